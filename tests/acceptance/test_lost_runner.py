"""A machine with a runner dies for good, and comes back after all: its jobs run elsewhere, and each counts once."""

import pytest

from bus.contracts.jobs import QueueReply
from bus.contracts.runners import RunnerListReply, RunnerView
from tests.support.experiment_files import gate, open_gate, program, submit
from tests.support.helpers import wait_until
from tests.support.workspace import Workspace, sentence_of, steady_ports, view_of, wait_for_jobs

VALUES, JOBS = 2, 3


@pytest.mark.fault(item="F115")
@pytest.mark.fault(item="F116")
def test_the_jobs_of_a_lost_runner_run_at_another_one(workspace: Workspace) -> None:
    """`runner-list` and `check` name it, `runner-forget` asks first; when it is back, it drops what it had."""
    lost = workspace.runner("--workers", "1", ports=steady_ports(), data=workspace.folder / "lost")
    other = workspace.runner("--workers", "2", data=workspace.folder / "other")
    learning = workspace.learning(lost, "--runner", other.control)
    other.ask("queue.pause", {}, QueueReply)
    script = f"echo ran >> {workspace.folder}/ran-$1-$2; {gate(workspace, 1)}"
    experiment_id = submit(workspace, program(values=VALUES, jobs=JOBS, script=script))
    wait_until(lambda: view_of(learning, experiment_id).totals.running, what="a job at the runner")
    lost.kill()

    def listed() -> RunnerView:
        runners = learning.ask("runner.list", {}, RunnerListReply).runners
        return next(one for one in runners if one.address == lost.control)

    wait_until(lambda: listed().away_since, what="the notice that it is away")
    jobs = listed().jobs
    assert jobs
    asked = workspace.run("runner-forget", lost.control, code=2)
    assert "not a terminal; add --yes" in asked.err
    forgotten = workspace.run("runner-forget", lost.control, "--yes")
    assert forgotten.err == f"{lost.control} is forgotten: {jobs} jobs go to other runners, 0 end as cancelled\n"
    open_gate(workspace)
    other.ask("queue.resume", {}, QueueReply)
    lost.start()
    wait_for_jobs(learning, experiment_id, VALUES * JOBS)
    view = view_of(learning, experiment_id)
    assert (view.status, view.totals.jobs, view.totals.cancelled) == ("completed", VALUES * JOBS, 0)

    wait_until(lambda: listed().answers and not listed().withdrawals, what="the withdrawals")
    assert view_of(learning, experiment_id).totals == view.totals
    assert "answers" in workspace.run("runner-list").out
    refusal = workspace.run("runner-forget", lost.control, "--yes", code=4)
    assert "answers, so its jobs are not lost" in sentence_of(refusal)
