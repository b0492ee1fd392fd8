"""One bit of a runner's log flips while it is stopped: its events are lost, and nothing else is."""

import pytest

from bus.contracts.jobs import QueueReply
from tests.support.btree import CELL_COUNT, Table
from tests.support.experiment_files import services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, view_of

JOBS = 240
EVENTS_OF_A_JOB = 3  # queued, started, completed
EXPERIMENT = f"""
name = "Damage"
pipeline = "noop"
stage = "run"
jobs_per_variant = {JOBS // 8}
[variable]
name = "level"
values = {list(range(8))}
"""


def damage(runner: ServiceProcess) -> None:
    """Halve the number of cells in the root of the table: SQLite leaves out the rows of the other half in silence."""
    path = runner.data / "runner.db"
    table = Table(path, "log")
    count = table.starts[0] + CELL_COUNT
    path.write_bytes(table.flipped(count, max(bit for bit in range(8) if table.content[count] >> bit & 1)))


@pytest.mark.fault(item="F56")
def test_an_experiment_whose_events_a_damaged_page_hides_is_completed_all_the_same(workspace: Workspace) -> None:
    """The learning service was away when the jobs ended; it asks how those ended whose events are lost."""
    runner, learning = services(workspace, workers=8, steady=True)
    runner.ask("queue.pause", {}, QueueReply)
    experiment_id = submit(workspace, EXPERIMENT)
    wait_until(lambda: runner.head == JOBS, COMMAND_SECONDS, what="all jobs at the runner")
    learning.kill()
    runner.ask("queue.resume", {}, QueueReply)
    wait_until(lambda: runner.head >= EVENTS_OF_A_JOB * JOBS, COMMAND_SECONDS, what="the ends of all jobs")
    assert runner.terminate() == 0
    damage(runner)

    runner.start()
    learning.start()

    wait_until(lambda: view_of(learning, experiment_id).totals.completed == JOBS, COMMAND_SECONDS, what="all 240 jobs")
    assert view_of(learning, experiment_id).status == "completed"
    health = workspace.run("check", code=4)
    assert "damaged or missing" in health.out, health
