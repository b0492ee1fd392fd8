"""The runner's queue over its control socket: pauses, priorities, cancels, estimates, a full queue."""

import time

import pytest

from bus.config.limits import Limits
from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    JobListReply,
    JobView,
    PipelinesReply,
    QueueReply,
    SubmitParams,
    SubmitReply,
)
from bus.contracts.messages import JobCompleted
from bus.protocol.control import ControlError
from pipeline_runner.queue.service import JobService
from tests.support.factories import context, request_for
from tests.support.held_pipelines import Local, Remote, Start, ask, heard, refusal, show, submit, wait_for
from tests.support.helpers import wait_until


def test_a_paused_queue_starts_nothing_and_says_why(start_runner: Start, local: Local) -> None:
    """What runs comes to its end; also after a restart nothing starts until somebody resumes it."""
    runner = start_runner()
    submit(runner, "one", "two")
    wait_for(runner, "one", "running")

    reply = ask(runner, "queue.pause", {}, QueueReply)
    assert (reply.paused, reply.lanes["local"].queued, reply.lanes["local"].running) == (True, 1, 1)
    local.released.set()
    wait_for(runner, "one", "completed")
    runner = start_runner()

    assert show(runner, "two").waits_for == "paused; resume with `variantbus job resume`"
    assert ask(runner, "pipelines", {}, PipelinesReply).paused
    assert local.ran == ["one"]
    assert not ask(runner, "queue.resume", {}, QueueReply).paused
    wait_for(runner, "two", "completed")


def test_one_pipeline_is_paused_alone(start_runner: Start, local: Local, remote: Remote) -> None:
    """The others go on; resuming one of them while all are paused is refused, as is an unknown one."""
    local.released.set()
    runner = start_runner()
    heard(runner, remote)
    ask(runner, "queue.pause", {"pipeline": "local"}, QueueReply)
    submit(runner, "one")
    submit(runner, "two", pipeline="remote")

    wait_for(runner, "two", "completed")
    assert show(runner, "one").state == "queued"

    ask(runner, "queue.pause", {}, QueueReply)
    assert refusal(runner, "queue.resume", {"pipeline": "local"})[0] == "conflict"
    assert refusal(runner, "queue.pause", {"pipeline": "lokal"}) == (
        "invalid_request",
        "pipeline: 'lokal' is unknown; did you mean 'local'?",
    )
    ask(runner, "queue.resume", {}, QueueReply)
    wait_for(runner, "one", "completed")


def test_an_urgent_job_overtakes_those_that_wait(start_runner: Start, local: Local) -> None:
    """But not the one that runs."""
    runner = start_runner()
    submit(runner, "running", "plain")
    wait_for(runner, "running", "running")
    submit(runner, "urgent", priority=10)

    local.released.set()
    wait_for(runner, "plain", "completed")

    assert local.ran == ["running", "urgent", "plain"]
    assert show(runner, "urgent").priority == 10


def test_jobs_behind_a_cancelled_experiment_start(
    start_runner: Start, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is being cancelled, and although the runner claims some of its jobs in between."""
    monkeypatch.setattr("pipeline_runner.queue.service.CANCELS_AT_ONCE", 2)
    runner = start_runner()
    names = [f"a-{number:03}" for number in range(60)]
    jobs = [request_for(name, pipeline="local", stage="run", config={}, mark=context()) for name in names]
    ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)
    submit(runner, "behind")
    wait_for(runner, "a-000", "running")

    assert ask(runner, "job.cancel", CancelParams(experiment_id="exp-1"), CancelReply) == CancelReply(cancelled=60)

    wait_for(runner, "a-000", "cancelled")
    local.released.set()
    wait_for(runner, "behind", "completed")
    ended = [message.job_id for message in runner.logged("job.completed.") if isinstance(message, JobCompleted)]
    assert sorted(ended) == sorted([*names, "behind"])
    assert local.ran == ["behind"]


@pytest.mark.fault(item="F113")
def test_more_jobs_of_an_experiment_wait_for_the_end_of_its_cancel(
    start_runner: Start, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is extended right after the cancel was answered: it does not mean them."""
    runner = start_runner()
    job, more = (
        request_for(name, pipeline="local", stage="run", config={}, mark=context()) for name in ("one", "more")
    )
    ask(runner, "queue.pause", {}, QueueReply)
    ask(runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)
    with monkeypatch.context() as slow:
        slow.setattr(JobService, "cancel_some", lambda _: False)
        ask(runner, "job.cancel", CancelParams(experiment_id="exp-1"), CancelReply)
        assert refusal(runner, "job.submit", {"jobs": [more]}) == (
            "unavailable",
            "jobs of exp-1 are still being cancelled; try again in a moment",
        )

    ask(runner, "queue.resume", {}, QueueReply)
    wait_for(runner, "one", "cancelled")
    local.released.set()
    ask(runner, "job.submit", SubmitParams(jobs=[more]), SubmitReply)
    wait_for(runner, "more", "completed")


def test_a_refused_job_is_named_in_the_details(start_runner: Start) -> None:
    """So that whoever submits many can send the others."""
    runner = start_runner()
    jobs = [request_for("good", pipeline="local", stage="run", config={}), request_for("bad", pipeline="nobody")]

    with pytest.raises(ControlError) as refused:
        ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)

    assert (refused.value.code, refused.value.details) == ("invalid_request", {"job": "1"})


def test_a_failed_job_is_retried_by_hand(start_runner: Start, remote: Remote) -> None:
    """Under its id; what went well, or belongs to an experiment that has counted it, is refused."""
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["oom"]
    submit(runner, "one", pipeline="remote")
    wait_for(runner, "one", "failed")

    assert ask(runner, "job.retry", {"job_id": "one"}, JobView).state in ("queued", "running")
    wait_for(runner, "one", "completed")

    code, message = refusal(runner, "job.retry", {"job_id": "one"})
    assert code == "conflict"
    assert message == "one is completed; only what has failed or was cancelled can run again"
    remote.faults = ["oom"]
    job = request_for("marked", pipeline="remote", stage="run", config={}, mark=context())
    ask(runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)
    wait_for(runner, "marked", "failed")
    assert refusal(runner, "job.retry", {"job_id": "marked"}) == (
        "conflict",
        "marked belongs to exp-1, which has already counted its end",
    )


def test_what_runs_may_come_to_its_end_when_the_rest_is_cancelled(start_runner: Start, local: Local) -> None:
    """Cancel after this job."""
    runner = start_runner()
    marks = [request_for(name, pipeline="local", stage="run", config={}, mark=context()) for name in ("one", "two")]
    ask(runner, "job.submit", SubmitParams(jobs=marks), SubmitReply)
    wait_for(runner, "one", "running")

    params = CancelParams(experiment_id="exp-1", finish_running=True)
    assert ask(runner, "job.cancel", params, CancelReply) == CancelReply(cancelled=1)
    assert show(runner, "two").state == "cancelled"
    assert show(runner, "one").state == "running"

    local.released.set()
    wait_for(runner, "one", "completed")


def test_a_full_queue_says_for_how_many_there_is_room(start_runner: Start) -> None:
    """Nothing of a submission that does not fit is taken."""
    runner = start_runner(Limits(queued_jobs=2))
    submit(runner, "one")
    wait_for(runner, "one", "running")
    assert submit(runner, "two").rooms == {"local": 1}

    code, message = refusal(
        runner,
        "job.submit",
        SubmitParams(jobs=[request_for(name, pipeline="local", stage="run", config={}) for name in ("three", "four")]),
    )

    assert (code, message) == ("unavailable", "local has room for 1 more jobs of 2 (queued_jobs); try again later")
    assert refusal(runner, "job.show", {"job_id": "three"})[0] == "not_found"
    lanes = ask(runner, "pipelines", {}, PipelinesReply).lanes
    assert (lanes["local"].room, lanes["remote"].room) == (1, 2)


def test_estimates_are_made_of_the_jobs_before(start_runner: Start) -> None:
    """A running job by its own progress, a queued one by its place and what others took."""
    runner = start_runner()
    submit(runner, "first")
    wait_for(runner, "first", "running")
    submit(runner, "a", "b", "c")
    assert show(runner, "a").eta_seconds is None, "nothing has ended yet"
    wait_until(lambda: show(runner, "first").eta_seconds is not None, what="progress")
    first = show(runner, "first")
    assert first.started_at is not None
    assert first.eta_seconds is not None
    assert 0 < first.eta_seconds < time.time() - first.started_at + 0.5  # half of it is done: as long as it has run

    runner.call(lambda: runner.service._queues["local"].note_duration(10.0))

    listed = {job.job_id: job.eta_seconds for job in ask(runner, "job.list", {}, JobListReply).jobs}
    assert [listed[name] for name in "abc"] == [20.0, 30.0, 40.0]
    assert [show(runner, name).eta_seconds for name in "abc"] == [20.0, 30.0, 40.0]
    page = ask(runner, "job.list", {"limit": 1}, JobListReply).jobs
    assert [(job.job_id, job.eta_seconds) for job in page] == [("c", 40.0)]
