"""The runner's queue over its control socket: pauses, priorities, servers that are away, estimates, a full queue."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bus.limits import Limits
from bus.log import Log
from bus.loop import Loop
from bus.messages import JobCompleted, JobResult, JobStarted
from bus.requester import request
from bus.requests import (
    CancelParams,
    CancelReply,
    JobListReply,
    JobRequest,
    JobView,
    PipelinesReply,
    QueueReply,
    SubmitParams,
    SubmitReply,
)
from bus.specs import StageSpec, VariableSpec
from bus.wire import ControlError
from pipeline_runner.jobs import NormalizedJobRecord, cancelled_result, failed_result
from pipeline_runner.outputs import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.retries import MAX_FAULTS
from pipeline_runner.runner import Runner
from tests.factories import Hosted, context, request_for, well
from tests.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, deadline, wait_until

SPEC = {"run": StageSpec(variables={"level": VariableSpec(kind="int")})}


class Local(Pipeline):
    """Runs jobs until the test lets them go, and then as long as it says."""

    def __init__(self) -> None:
        """Hold everything."""
        self.released = threading.Event()
        self.ran: list[str] = []

    def stages(self) -> dict[str, StageSpec]:
        """Take `level`."""
        return SPEC

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Wait."""
        progress(0.5)
        limit = deadline(60)
        while not self.released.wait(0.002):
            if cancelled():
                return cancelled_result()
            assert not limit.passed
        self.ran.append(job.job_id)
        return well()


class Remote(Pipeline):
    """A pipeline with a server that is there, or not, or fails."""

    concurrency = 1
    refresh_seconds = 3600.0

    def __init__(self) -> None:
        """Begin with a server that is away and was never heard of."""
        self.away = "server: nobody answers"
        self.known = False
        self.faults: list[str] = []  # the kinds of the next errors
        self.runs: list[str] = []
        self.times: list[float] = []
        self.slow: threading.Event | None = None  # what a run waits for

    def stages(self) -> dict[str, StageSpec]:
        """Say what the server takes, if it was ever heard of."""
        return SPEC if self.known else {"run": StageSpec(unavailable=self.away)}

    def refresh(self) -> str:
        """Ask the server."""
        self.known = self.known or not self.away
        return self.away

    def run(self, job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Fail as long as the test says so."""
        self.runs.append(job.job_id)
        self.times.append(time.monotonic())
        if self.slow:
            self.slow.wait(PATIENCE * TIME_FACTOR)
        if self.faults:
            return failed_result(self.faults.pop(0), "not now")
        return well()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest and ask much more often than in earnest."""
    monkeypatch.setattr("pipeline_runner.retries.FIRST_REST_SECONDS", 0.02)
    monkeypatch.setattr("pipeline_runner.refresher.AWAY_SECONDS", 0.02)
    monkeypatch.setattr("pipeline_runner.refresher.HURRY_SECONDS", 0.01)


@pytest.fixture
def local() -> Local:
    """Give the pipeline without a server."""
    return Local()


@pytest.fixture
def remote() -> Remote:
    """Give the pipeline with one."""
    return Remote()


Start = Callable[..., Hosted[Runner]]


@pytest.fixture
def start(no_leaks: None, tmp_path: Path, local: Local, remote: Remote) -> Iterator[Start]:  # noqa: ARG001 - it looks after us
    """Start a runner with one worker, again and again on the same file."""
    runners: list[Hosted[Runner]] = []

    def hosted(limits: Limits | None = None, more: dict[str, Pipeline] | None = None) -> Hosted[Runner]:
        def make(log: Log, loop: Loop) -> Runner:
            log.limits = limits or log.limits
            pipelines: dict[str, Pipeline] = {"local": local, "remote": remote, **(more or {})}
            outputs = Outputs(tmp_path / "outputs")
            return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST)

        for runner in runners:
            runner.stop()
        runners.append(Hosted(tmp_path / "runner.db", make))
        return runners[-1]

    yield hosted
    for runner in runners:
        runner.stop()


def ask(runner: Hosted[Runner], method: str, params: object, reply: type[Any]) -> Any:
    """Ask the runner."""
    return request(str(runner.service.publisher.control), method, params, reply)


def refusal(runner: Hosted[Runner], method: str, params: object) -> tuple[str, str]:
    """Give code and text of a refusal."""
    with pytest.raises(ControlError) as refused:
        ask(runner, method, params, dict[str, Any])
    return refused.value.code, refused.value.message


def submit(runner: Hosted[Runner], *names: str, pipeline: str = "local", priority: int = 0) -> SubmitReply:
    """Submit jobs by their names."""
    jobs = [
        JobRequest(job_id=name, pipeline=pipeline, stage="run", config={"level": 1}, priority=priority)
        for name in names
    ]
    reply = ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)
    assert isinstance(reply, SubmitReply)
    return reply


def show(runner: Hosted[Runner], name: str) -> JobView:
    """Ask how a job is."""
    view = ask(runner, "job.show", {"job_id": name}, JobView)
    assert isinstance(view, JobView)
    return view


def wait_for(runner: Hosted[Runner], name: str, state: str) -> JobView:
    """Wait until a job is in a state."""
    wait_until(lambda: show(runner, name).state == state, what=f"{name} {state}")
    return show(runner, name)


def heard(runner: Hosted[Runner], remote: Remote) -> None:
    """Let the server be there, and wait until the runner knows it."""
    remote.away = ""
    wait_until(lambda: not ask(runner, "pipelines", {}, PipelinesReply).lanes["remote"].waits_for, what="the server")


def test_a_paused_queue_starts_nothing_and_says_why(start: Start, local: Local) -> None:
    """What runs comes to its end; also after a restart nothing starts until somebody resumes it."""
    runner = start()
    submit(runner, "one", "two")
    wait_for(runner, "one", "running")

    reply = ask(runner, "queue.pause", {}, QueueReply)
    assert (reply.paused, reply.lanes["local"].queued, reply.lanes["local"].running) == (True, 1, 1)
    local.released.set()
    wait_for(runner, "one", "completed")
    runner = start()

    assert show(runner, "two").waits_for == "paused; `variantbus job resume` goes on"
    assert ask(runner, "pipelines", {}, PipelinesReply).paused
    assert local.ran == ["one"]
    assert not ask(runner, "queue.resume", {}, QueueReply).paused
    wait_for(runner, "two", "completed")


def test_one_pipeline_is_paused_alone(start: Start, local: Local, remote: Remote) -> None:
    """The others go on; resuming one of them while all are paused is refused, as is an unknown one."""
    local.released.set()
    runner = start()
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


def test_an_urgent_job_overtakes_those_that_wait(start: Start, local: Local) -> None:
    """But not the one that runs."""
    runner = start()
    submit(runner, "running", "plain")
    wait_for(runner, "running", "running")
    submit(runner, "urgent", priority=10)

    local.released.set()
    wait_for(runner, "plain", "completed")

    assert local.ran == ["running", "urgent", "plain"]
    assert show(runner, "urgent").priority == 10


def test_a_server_that_was_never_heard_of_has_nothing_to_plan_with(start: Start, remote: Remote) -> None:
    """A job for it is refused for now, with the reason; as soon as the server answers it is taken."""
    runner = start()

    assert refusal(
        runner, "job.submit", SubmitParams(jobs=[request_for("one", pipeline="remote", stage="run", config={})])
    ) == ("unavailable", "server: nobody answers")

    heard(runner, remote)
    submit(runner, "one", pipeline="remote")
    wait_for(runner, "one", "completed")


def test_a_server_that_goes_away_pauses_its_own_queue_alone(start: Start, local: Local, remote: Remote) -> None:
    """The job goes back to its place, others wait with the reason; all of it goes on by itself."""
    local.released.set()
    runner = start()
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


def test_a_server_that_fails_rests_and_the_job_runs_again(
    start: Start, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is sent to it meanwhile; after too many faults the job fails, and the next one has its turn."""
    rests: list[int] = []

    def rest(faults: int) -> float:
        rests.append(faults)
        return 0.02

    monkeypatch.setattr("pipeline_runner.lanes.rest_seconds", rest)
    runner = start()
    heard(runner, remote)
    remote.faults = ["server_error"] * MAX_FAULTS

    submit(runner, "one", "two", pipeline="remote")
    wait_for(runner, "two", "completed")

    failed = show(runner, "one")
    assert (failed.state, failed.attempt, failed.faults) == ("failed", MAX_FAULTS, MAX_FAULTS - 1)
    assert failed.result is not None
    assert failed.result.error is not None
    assert failed.result.error.kind == "server_error"
    assert remote.runs == ["one"] * MAX_FAULTS + ["two"]
    assert rests == list(range(1, MAX_FAULTS + 1)), "also after the last one, and the longer, the more there were"
    gaps = [later - earlier for earlier, later in pairwise(remote.times)]
    assert min(gaps) >= 0.02
    ended = [message.job_id for message in runner.logged("job.completed.") if isinstance(message, JobCompleted)]
    assert ended == ["one", "two"]


def test_a_server_that_answers_questions_but_no_job_does_not_burn_the_queue(start: Start, remote: Remote) -> None:
    """It is there as soon as it is asked, so only the rest keeps one job after another from failing."""
    runner = start()
    heard(runner, remote)
    remote.faults = ["unreachable"] * 1000

    submit(runner, *(f"job-{number}" for number in range(20)), pipeline="remote")
    wait_until(lambda: len(remote.runs) >= 3, what="some runs")
    runs = len(remote.runs)
    wait_until(lambda: len(remote.runs) > runs, what="another one")

    waits = [later - earlier for earlier, later in pairwise(remote.times)]
    assert all(wait >= 0.02 * 2**number for number, wait in enumerate(waits[:5]))


def test_jobs_behind_a_cancelled_experiment_start(start: Start, local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is being cancelled, and although the runner claims some of its jobs in between."""
    monkeypatch.setattr("pipeline_runner.service.CANCELS_AT_ONCE", 2)
    runner = start()
    jobs = [
        request_for(f"a-{number:03}", pipeline="local", stage="run", config={}, mark=context()) for number in range(60)
    ]
    ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)
    submit(runner, "behind")
    wait_for(runner, "a-000", "running")

    assert ask(runner, "job.cancel", CancelParams(experiment_id="exp-1"), CancelReply) == CancelReply(cancelled=60)

    local.released.set()
    wait_for(runner, "behind", "completed")
    ended = [message.job_id for message in runner.logged("job.completed.") if isinstance(message, JobCompleted)]
    assert sorted(ended) == sorted([*names, "behind"])
    assert local.ran == ["behind"]


class Nonsense(Remote):
    """A pipeline that does what none should; `what` says which."""

    def __init__(self, what: str) -> None:
        """Behave until the server has been heard of."""
        super().__init__()
        self.what = what

    def stages(self) -> dict[str, StageSpec]:
        """Say what it takes, or something else."""
        if self.what == "stages raises" and self.known:
            raise KeyError("a bug")
        if self.what == "stages is no spec" and self.known:
            return {"run": 5}  # type: ignore[dict-item]  # on purpose
        return super().stages()

    def refresh(self) -> str:
        """Give a reason, or something else."""
        super().refresh()
        if self.what == "refresh exits":
            raise SystemExit(3)
        return 7 if self.what == "refresh gives a number" else ""  # type: ignore[return-value]  # on purpose

    def check(self, _stage: str, _config: dict[str, Any]) -> None:
        """Refuse by a bug."""
        if self.what == "check raises":
            raise ZeroDivisionError("a bug")

    def run(self, job: NormalizedJobRecord, progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Tell of progress that no number can hold, or fail in a way that cannot be told."""
        if self.what == "progress is huge":
            progress(0.5, 10**30, 10**30)
        if self.what == "an error without words":
            raise Speechless
        return super().run(job, progress, _cancelled)


class Speechless(Exception):  # noqa: N818 - it is about its text
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("no words")


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
def test_a_pipeline_that_does_nonsense_hurts_only_itself(start: Start, local: Local, what: str) -> None:
    """The runner goes on, says what it offers, and runs the jobs of others; a job of it ends, or waits with a reason."""
    local.released.set()
    nonsense = Nonsense(what)
    nonsense.away = ""
    runner = start(more={"nonsense": nonsense})
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
                "jobs[0] odd: config: nonsense cannot check it (ZeroDivisionError)",
            )
        case _:
            wait_until(
                lambda: ask(runner, "pipelines", {}, PipelinesReply).lanes["nonsense"].waits_for, what="the reason"
            )
    assert set(lanes) == {"local", "remote", "nonsense"}


def test_what_succeeds_while_the_runner_stops_has_succeeded(start: Start, local: Local, remote: Remote) -> None:
    """Its result is written, and it does not run again; what had to be stopped does, and no fault is counted."""
    runner = start()
    heard(runner, remote)
    slow = remote.slow = threading.Event()
    submit(runner, "held")
    submit(runner, "slow", pipeline="remote")
    wait_for(runner, "held", "running")
    wait_for(runner, "slow", "running")
    threading.Timer(0.2, slow.set).start()

    runner = start()

    assert (show(runner, "slow").state, show(runner, "slow").attempt) == ("completed", 1)
    assert wait_for(runner, "held", "running").faults == 0
    local.released.set()
    assert wait_for(runner, "held", "completed").attempt == 2


def test_a_refused_job_is_named_in_the_details(start: Start) -> None:
    """So that whoever submits many can send the others."""
    runner = start()
    jobs = [request_for("good", pipeline="local", stage="run", config={}), request_for("bad", pipeline="nobody")]

    with pytest.raises(ControlError) as refused:
        ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)

    assert (refused.value.code, refused.value.details) == ("invalid_request", {"job": "1"})


def test_what_is_invalid_never_runs_again(start: Start, remote: Remote) -> None:
    """One run, one end."""
    runner = start()
    heard(runner, remote)
    remote.faults = ["invalid_request"]

    submit(runner, "one", pipeline="remote")

    assert wait_for(runner, "one", "failed").attempt == 1
    assert remote.runs == ["one"]


def test_a_failed_job_is_retried_by_hand(start: Start, remote: Remote) -> None:
    """Under its id; what went well, or belongs to an experiment that has counted it, is refused."""
    runner = start()
    heard(runner, remote)
    remote.faults = ["oom"]
    submit(runner, "one", pipeline="remote")
    wait_for(runner, "one", "failed")

    assert ask(runner, "job.retry", {"job_id": "one"}, JobView).state in ("queued", "running")
    wait_for(runner, "one", "completed")

    code, message = refusal(runner, "job.retry", {"job_id": "one"})
    assert code == "conflict"
    assert "only what has failed or was cancelled can run again" in message
    remote.faults = ["oom"]
    job = request_for("marked", pipeline="remote", stage="run", config={}, mark=context())
    ask(runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)
    wait_for(runner, "marked", "failed")
    assert refusal(runner, "job.retry", {"job_id": "marked"}) == (
        "conflict",
        "marked belongs to exp-1, which has counted its end already",
    )


def test_what_runs_may_come_to_its_end_when_the_rest_is_cancelled(start: Start, local: Local) -> None:
    """Cancel after this job."""
    runner = start()
    marks = [request_for(name, pipeline="local", stage="run", config={}, mark=context()) for name in ("one", "two")]
    ask(runner, "job.submit", SubmitParams(jobs=marks), SubmitReply)
    wait_for(runner, "one", "running")

    params = CancelParams(experiment_id="exp-1", finish_running=True)
    assert ask(runner, "job.cancel", params, CancelReply) == CancelReply(cancelled=1)
    assert show(runner, "two").state == "cancelled"
    assert show(runner, "one").state == "running"

    local.released.set()
    wait_for(runner, "one", "completed")


def test_a_full_queue_says_for_how_many_there_is_room(start: Start) -> None:
    """Nothing of a submission that does not fit is taken."""
    runner = start(Limits(queued_jobs=2))
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


def test_estimates_are_made_of_the_jobs_before(start: Start) -> None:
    """A running job by its own progress, a queued one by its place and what others took."""
    runner = start()
    submit(runner, "first")
    wait_for(runner, "first", "running")
    submit(runner, "a", "b", "c")
    assert show(runner, "a").eta_seconds is None, "nothing has ended yet"
    wait_until(lambda: show(runner, "first").eta_seconds is not None, what="progress")
    time_of_first = show(runner, "first")
    assert time_of_first.started_at is not None
    assert time_of_first.eta_seconds == pytest.approx(time.time() - time_of_first.started_at, abs=0.5)

    runner.call(lambda: runner.service._lanes["local"].note_duration(10.0))

    listed = {job.job_id: job.eta_seconds for job in ask(runner, "job.list", {}, JobListReply).jobs}
    assert [listed[name] for name in "abc"] == [20.0, 30.0, 40.0]
    assert [show(runner, name).eta_seconds for name in "abc"] == [20.0, 30.0, 40.0]
    page = ask(runner, "job.list", {"limit": 1}, JobListReply).jobs
    assert [(job.job_id, job.eta_seconds) for job in page] == [("c", 40.0)]


def test_many_jobs_start_and_end_in_few_transactions(start: Start, remote: Remote) -> None:
    """Each with its own messages, in order, exactly once."""
    remote.concurrency = 16
    runner = start()
    heard(runner, remote)
    names = [f"job-{number}" for number in range(200)]

    submit(runner, *names, pipeline="remote")
    wait_for(runner, names[-1], "completed")
    wait_until(lambda: ask(runner, "pipelines", {}, PipelinesReply).running == 0, what="the end of all")

    told = runner.logged("job.")
    assert [one.job_id for one in told if isinstance(one, JobStarted)] == names
    assert sorted(one.job_id for one in told if isinstance(one, JobCompleted)) == sorted(names)
