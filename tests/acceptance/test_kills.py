"""`kill -9` of the services in mid-run: nothing is lost, and nothing is counted twice."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bus.protocol.control import ControlError
from tests.support.checker import check_everything, outputs_of
from tests.support.experiment_files import gate, open_gate, pictures, program, submit
from tests.support.helpers import POLL_SECONDS, wait_until
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, steady_ports, view_of, wait_for_jobs


def start_both(workspace: Workspace) -> tuple[ServiceProcess, ServiceProcess]:
    """Start a runner and a learning service on ports where they can be started again."""
    runner = workspace.runner(ports=steady_ports())
    return runner, workspace.learning(runner, ports=steady_ports())


def wait_for_end(learning: ServiceProcess, experiment_id: str) -> None:
    """Wait until every variant has ended."""

    def has_ended() -> bool:
        totals = view_of(learning, experiment_id).totals
        return totals.completed + totals.failed + totals.cancelled == totals.jobs

    wait_until(has_ended, COMMAND_SECONDS, what=f"the end of {experiment_id}")


def test_a_killed_learning_service_catches_up_and_counts_every_job_once(workspace: Workspace) -> None:
    """The learning service is killed in mid-run; jobs end without it, and the next one has counted them all."""
    runner, learning = start_both(workspace)
    experiment_id = submit(workspace, program(values=5, jobs=8, script=gate(workspace, 2)))
    wait_for_jobs(learning, experiment_id, 10)
    before, head = view_of(learning, experiment_id), learning.head

    learning.kill()
    seen = runner.head
    open_gate(workspace)
    wait_until(lambda: runner.head > seen + 20, COMMAND_SECONDS, what="jobs that end unseen")
    learning.start()

    after = view_of(learning, experiment_id)
    assert learning.head >= head, "a log that was read never becomes shorter"
    pairs = zip(before.variants, after.variants, strict=True)
    assert all(then.revision <= now.revision for then, now in pairs), "a revision went back"
    wait_for_end(learning, experiment_id)
    check_everything(runner, learning, experiment_id)


def test_a_killed_runner_runs_its_unfinished_jobs_again_under_their_ids(workspace: Workspace) -> None:
    """The runner is killed in mid-run; the jobs that ran then run again, one attempt later, and end once."""
    runner, learning = start_both(workspace)
    experiment_id = submit(workspace, program(values=5, jobs=6, script=gate(workspace, 2)))
    wait_for_jobs(learning, experiment_id, 10)
    wait_until(lambda: view_of(learning, experiment_id).totals.running == 2, what="jobs that run")

    runner.kill()
    open_gate(workspace)
    runner.start()

    wait_for_end(learning, experiment_id)
    check_everything(runner, learning, experiment_id)
    attempts = [job["attempt"] for job in workspace.run("job", "list", "--json", "--limit", "100").json]
    assert sorted(attempts) == [1] * 28 + [2] * 2, "exactly the two that ran were taken again"


@pytest.mark.exhaustive
def test_no_picture_is_half_written_when_the_runner_is_killed_while_it_writes(workspace: Workspace) -> None:
    """Whenever the runner dies, a file under its final name is whole."""
    runner, learning = start_both(workspace)
    experiment_id = submit(workspace, pictures(values=4, jobs=4, steps=2, size=128))
    outputs = outputs_of(runner)
    for head in (18, 30):
        writes = partial(is_writing, runner, outputs, head)
        wait_until(writes, COMMAND_SECONDS, what="a file", longest_poll=POLL_SECONDS)
        runner.kill()
        runner.start()

    wait_for_end(learning, experiment_id)
    check_everything(runner, learning, experiment_id)


def is_writing(runner: ServiceProcess, outputs: Path, head: int) -> bool:
    """Return whether a file is being written just now; after nine more events the answer is yes."""
    now = runner.head
    return now >= head + 9 or (now >= head and any(outputs.rglob(".*.png.*")))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (2, 3))])
def test_both_services_survive_kills_at_random_moments(workspace: Workspace, seed: int) -> None:
    """Both are killed several times, whenever a random number of events has been logged; all jobs count once."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    runner, learning = start_both(workspace)
    experiment_id = submit(workspace, program(values=6, jobs=8, script="sleep 0.05"))
    moments = sorted(chance.sample(range(10, 120), 6))
    for moment in moments:
        wait_until(has_logged(runner, moment), COMMAND_SECONDS, what=f"event {moment}")
        victims = chance.choice([(runner,), (learning,), (runner, learning), (learning, runner)])
        for victim in victims:
            victim.kill()
        for victim in reversed(victims):
            victim.start()

    wait_for_end(learning, experiment_id)
    check_everything(runner, learning, experiment_id)


def has_logged(service: ServiceProcess, head: int) -> Callable[[], bool]:
    """Return a function that says whether a service's log has got so far; one that does not answer has not."""

    def condition() -> bool:
        try:
            return service.head >= head
        except ControlError:
            return False

    return condition


def test_what_a_killed_runner_left_running_is_ended_by_the_next_one(workspace: Workspace) -> None:
    """A program whose runner was killed does not run beside its second attempt."""
    runner, learning = start_both(workspace)
    experiment_id = submit(workspace, program(values=1, jobs=1, script="sleep 60"))
    wait_until(lambda: workspace.running("sleep"), what="the program's start")
    left_behind = workspace.running("sleep")

    runner.kill()
    assert all(one.is_running() for one in left_behind), "a runner that is killed cannot end its programs"
    runner.start()

    wait_until(lambda: not any(one.is_running() for one in left_behind), what="the end of what was left behind")
    wait_until(lambda: workspace.running("sleep"), what="the second attempt")
    workspace.run("experiment", "cancel", experiment_id)
    wait_for_end(learning, experiment_id)
    wait_until(lambda: not workspace.running("sleep"), what="the end of the second attempt")
