"""The runner's queue where servers are away, fail, or where a pipeline does nonsense."""

import threading
from itertools import pairwise

import pytest

from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    PipelinesReply,
    QueueParams,
    QueueReply,
    SubmitParams,
    SubmitReply,
)
from bus.contracts.messages import JobCompleted, JobError, JobStarted
from bus.protocol.control import ControlError, NoParams
from pipeline_runner.queue.retries import MAX_FAULTS
from tests.support.factories import EXPERIMENT, context, request_for
from tests.support.held_pipelines import Local, Nonsense, Remote, Start, ask, heard, refusal, show, submit, wait_for
from tests.support.helpers import wait_until


def test_a_server_that_was_never_heard_of_has_nothing_to_plan_with(start_runner: Start, remote: Remote) -> None:
    """A job for it is refused for now, with the reason; as soon as the server answers it is taken."""
    runner = start_runner()

    assert refusal(
        runner, "job.submit", SubmitParams(jobs=[request_for("one", pipeline="remote", stage="run", config={})])
    ) == ("unavailable", "server: nobody answers")

    heard(runner, remote)
    submit(runner, "one", pipeline="remote")
    wait_for(runner, "one", "completed")


def test_a_server_that_goes_away_pauses_its_own_queue_alone(start_runner: Start, local: Local, remote: Remote) -> None:
    """The job goes back to its place, others wait with the reason; all of it goes on by itself."""
    local.released.set()
    runner = start_runner()
    heard(runner, remote)
    remote.away, remote.faults = "server: connection refused", ["unreachable"]

    submit(runner, "one", "two", pipeline="remote")
    submit(runner, "three")
    wait_for(runner, "three", "completed")
    wait_until(lambda: show(runner, "two").waits_for, what="the reason")

    assert "not now" in show(runner, "two").waits_for or "connection refused" in show(runner, "two").waits_for
    assert submit(runner, "four", pipeline="remote").accepted == 1, "what it offers is known"
    remote.away = ""
    ended = wait_for(runner, "one", "completed")
    wait_for(runner, "four", "completed")
    assert (ended.attempt, ended.faults) == (2, 1)
    assert ended.fault is not None
    assert ended.fault.message == "not now"
    assert remote.runs == ["one", "one", "two", "four"]


@pytest.mark.fault(item="F154")
@pytest.mark.parametrize("cause", ["pause", "away"])
def test_nobody_waits_for_a_timed_job_that_cannot_run_either(
    start_runner: Start, local: Local, remote: Remote, cause: str
) -> None:
    """It was about to run alone; then its pipeline is paused, or the server of that goes away."""
    local.concurrency, remote.refresh_seconds = 2, 0.02
    runner = start_runner()
    heard(runner, remote)
    submit(runner, "one")
    wait_for(runner, "one", "running")
    submit(runner, "timed", pipeline="remote", exclusive=True)
    submit(runner, "two")
    wait_until(lambda: "must end first" in show(runner, "two").waits_for, what="the turn of the timed job")
    assert show(runner, "two").state == "queued"
    for waiting in ("two", "timed"):
        assert "so job one must end first" in show(runner, waiting).waits_for
    lanes = ask(runner, "pipelines", NoParams(), PipelinesReply).lanes
    assert ["must end first" in lane.waits_for for lane in lanes.values() if lane.queued] == [True, True]

    if cause == "pause":
        ask(runner, "queue.pause", QueueParams(pipeline="remote"), QueueReply)
    remote.away = "server: gone" if cause == "away" else ""

    wait_for(runner, "two", "running")
    assert show(runner, "timed").state == "queued"
    local.released.set()


def test_a_server_that_is_busy_rests_and_the_job_runs_again(
    start_runner: Start, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is sent to it meanwhile; after too many faults the job fails, and the next one has its turn."""
    rests: list[int] = []

    def rest(faults: int) -> float:
        rests.append(faults)
        return 0.02

    monkeypatch.setattr("pipeline_runner.queue.capacity.rest_seconds", rest)
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["busy"] * MAX_FAULTS

    submit(runner, "one", "two", pipeline="remote")
    wait_for(runner, "two", "completed")

    failed = show(runner, "one")
    assert (failed.state, failed.attempt, failed.faults) == ("failed", MAX_FAULTS, MAX_FAULTS - 1)
    assert failed.result is not None
    assert failed.result.error is not None
    assert failed.result.error.kind == "busy"
    assert remote.runs == ["one"] * MAX_FAULTS + ["two"]
    assert rests == list(range(1, MAX_FAULTS + 1)), "also after the last one, and the longer, the more there were"
    gaps = [later - earlier for earlier, later in pairwise(remote.times)]
    assert min(gaps) >= 0.02
    ended = [message.job_id for message in runner.logged("job.completed.") if isinstance(message, JobCompleted)]
    assert ended == ["one", "two"]


def test_an_exception_of_a_server_that_is_well_is_its_job_s_alone(
    start_runner: Start, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is tried once more at once; the same words again are its end, and the next job does not wait."""
    monkeypatch.setattr("pipeline_runner.queue.capacity.rest_seconds", lambda _: 1e6)
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["server_error"] * 2

    submit(runner, "one", "two", pipeline="remote")
    wait_for(runner, "two", "completed")

    failed = show(runner, "one")
    assert (failed.state, failed.attempt, failed.faults) == ("failed", 2, 1)
    assert remote.runs == ["one", "one", "two"]


@pytest.mark.parametrize("cancelled", ["job", "experiment"])
def test_a_rest_ends_when_the_job_that_has_caused_it_is_cancelled(
    start_runner: Start, remote: Remote, monkeypatch: pytest.MonkeyPatch, cancelled: str
) -> None:
    """Others wait for nothing that nobody wants any more."""
    monkeypatch.setattr("pipeline_runner.queue.capacity.rest_seconds", lambda _: 1e6)
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["busy"]
    first = request_for("one", pipeline="remote", stage="run", config={}, mark=context())
    ask(runner, "job.submit", SubmitParams(jobs=[first]), SubmitReply)
    submit(runner, "two", pipeline="remote")
    wait_until(lambda: "rests for" in show(runner, "two").waits_for, what="the rest")

    cause = CancelParams(job_id="one") if cancelled == "job" else CancelParams(experiment_id=EXPERIMENT)
    ask(runner, "job.cancel", cause, CancelReply)

    wait_for(runner, "two", "completed")
    assert remote.runs == ["one", "two"]


def test_of_a_value_that_always_fails_only_the_first_seeds_are_run(start_runner: Start, remote: Remote) -> None:
    """The others say why they were not; those of another value are run."""
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["server_error"] * 4  # two jobs, each twice
    jobs = [
        request_for(f"{index}-{repeat}", pipeline="remote", stage="run", config={}, mark=context(index, repeat=repeat))
        for index in range(2)
        for repeat in range(4)
    ]

    ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)
    wait_for(runner, "1-3", "completed")

    assert remote.runs == ["0-0", "0-0", "0-1", "0-1", "1-0", "1-1", "1-2", "1-3"]
    for name in ("0-2", "0-3"):
        result = wait_for(runner, name, "failed").result
        assert result
        assert result.error == JobError(
            kind="not_run", message="not run, as the first 2 jobs of this value failed with: not now"
        )


def test_a_server_that_answers_questions_but_no_job_does_not_burn_the_queue(
    start_runner: Start, remote: Remote
) -> None:
    """It is there as soon as it is asked, so only the rest keeps one job after another from failing."""
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["unreachable"] * 1000

    submit(runner, *(f"job-{number}" for number in range(20)), pipeline="remote")
    wait_until(lambda: len(remote.runs) >= 3, what="some runs")
    runs = len(remote.runs)
    wait_until(lambda: len(remote.runs) > runs, what="another one")

    waits = [later - earlier for earlier, later in pairwise(remote.times)]
    assert all(wait >= 0.02 * 2**number for number, wait in enumerate(waits[:5]))


@pytest.mark.parametrize(
    "what",
    [
        "stages raises",
        "stages is no spec",
        "refresh exits",
        "refresh gives a number",
        "check raises",
        "progress is huge",
        "an error without words",
    ],
)
def test_a_pipeline_that_does_nonsense_hurts_only_itself(start_runner: Start, local: Local, what: str) -> None:
    """The runner goes on, says what it offers, and runs the jobs of others; a job of it ends, or waits and says why."""
    local.released.set()
    nonsense = Nonsense(what)
    nonsense.away = ""
    runner = start_runner(more={"nonsense": nonsense})
    job = request_for("odd", pipeline="nonsense", stage="run", config={})

    def tried() -> bool:
        try:
            ask(runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)
        except ControlError as error:
            return error.code == "invalid_request"
        return True

    if what not in ("refresh exits", "refresh gives a number"):
        wait_until(tried, what="a decision about the job")
    submit(runner, "other")
    wait_for(runner, "other", "completed")

    lanes = ask(runner, "pipelines", {}, PipelinesReply).lanes
    match what:
        case "progress is huge":
            wait_for(runner, "odd", "completed")
        case "an error without words":
            failed = wait_for(runner, "odd", "failed")
            assert failed.result is not None
            assert failed.result.error is not None
            assert failed.result.error.message == "Speechless"
        case "check raises":
            assert refusal(runner, "job.submit", SubmitParams(jobs=[job])) == (
                "invalid_request",
                "config: nonsense cannot check it (ZeroDivisionError)",
            )
        case _:
            wait_until(
                lambda: ask(runner, "pipelines", {}, PipelinesReply).lanes["nonsense"].waits_for, what="the reason"
            )
    assert set(lanes) == {"local", "remote", "nonsense"}


def test_what_succeeds_while_the_runner_stops_has_succeeded(start_runner: Start, local: Local, remote: Remote) -> None:
    """Its result is written, and it does not run again; what had to be stopped does, and no fault is counted."""
    runner = start_runner()
    heard(runner, remote)
    slow = remote.slow = threading.Event()
    submit(runner, "held")
    submit(runner, "slow", pipeline="remote")
    wait_for(runner, "held", "running")
    wait_for(runner, "slow", "running")
    threading.Timer(0.2, slow.set).start()

    runner = start_runner()

    assert (show(runner, "slow").state, show(runner, "slow").attempt) == ("completed", 1)
    assert wait_for(runner, "held", "running").faults == 0
    local.released.set()
    assert wait_for(runner, "held", "completed").attempt == 2


def test_what_is_invalid_never_runs_again(start_runner: Start, remote: Remote) -> None:
    """One run, one end."""
    runner = start_runner()
    heard(runner, remote)
    remote.faults = ["invalid_request"]

    submit(runner, "one", pipeline="remote")

    assert wait_for(runner, "one", "failed").attempt == 1
    assert remote.runs == ["one"]


def test_many_jobs_start_and_end_in_few_transactions(start_runner: Start, remote: Remote) -> None:
    """Each with its own messages, in order, exactly once."""
    remote.concurrency = 16
    runner = start_runner()
    heard(runner, remote)
    names = [f"job-{number}" for number in range(200)]

    submit(runner, *names, pipeline="remote")
    wait_for(runner, names[-1], "completed")
    wait_until(lambda: ask(runner, "pipelines", {}, PipelinesReply).running == 0, what="the end of all")

    told = runner.logged("job.")
    assert [one.job_id for one in told if isinstance(one, JobStarted)] == names
    assert sorted(one.job_id for one in told if isinstance(one, JobCompleted)) == sorted(names)
