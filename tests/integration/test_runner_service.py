"""A whole runner, asked over its control socket."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    JobListReply,
    JobRequest,
    PipelinesReply,
    SubmitParams,
    SubmitReply,
)
from bus.contracts.messages import JobCompleted, JobProgress, JobQueued, JobResult, JobStarted
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.eventlog.log import Log
from bus.subscriber.sync import Start, Subscriber
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, Setup
from pipeline_runner.pipelines.embedded.pipeline import EmbeddedPipeline
from pipeline_runner.pipelines.registry import load_pipelines
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, context, request_for, well
from tests.support.held_pipelines import ask, refusal, show, wait_for
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, deadline, wait_until


class HeldPipeline(Pipeline):
    """A pipeline whose jobs run until they are cancelled, or let go."""

    def __init__(self) -> None:
        """Hold everything."""
        self.released = False
        self.images = 1

    def stages(self) -> dict[str, StageSpec]:
        """Take anything in `steps`."""
        return {"txt2img": StageSpec(variables={"steps": VariableSpec(kind="int")})}

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Wait."""
        progress(0.5, 1, 2)
        limit = deadline(60)
        while not self.released:
            if cancelled():
                return cancelled_result()
            assert not limit.passed
            time.sleep(0.002)
        return well(*(f"{job.job_id} {number}" for number in range(self.images)))


Start_ = Callable[[], ServiceThread[Runner]]


@pytest.fixture
def held() -> HeldPipeline:
    """Return the pipeline of the runner."""
    return HeldPipeline()


@pytest.fixture
def start(no_leaks: None, tmp_path: Path, held: HeldPipeline) -> Iterator[Start_]:  # noqa: ARG001 - it looks after us
    """Start a runner, again and again on the same file."""
    runners: list[ServiceThread[Runner]] = []

    def make(log: Log, loop: Loop) -> Runner:
        outputs = Outputs(tmp_path / "outputs")
        pipelines: dict[str, Pipeline] = {"held": held, "embedded": EmbeddedPipeline(Setup(outputs=outputs))}
        return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST)

    def hosted() -> ServiceThread[Runner]:
        for runner in runners:
            runner.stop()
        runners.append(ServiceThread(tmp_path / "runner.db", make))
        return runners[-1]

    yield hosted
    for runner in runners:
        runner.stop()


@pytest.fixture
def runner(start: Start_) -> ServiceThread[Runner]:
    """Return a runner with one worker."""
    return start()


def submit(runner: ServiceThread[Runner], *jobs: JobRequest) -> SubmitReply:
    """Submit jobs."""
    reply = ask(runner, "job.submit", SubmitParams(jobs=list(jobs)), SubmitReply)
    assert isinstance(reply, SubmitReply)
    return reply


def one(name: str = "one", **config: Any) -> JobRequest:
    """Return a job that is held."""
    return request_for(name, pipeline="held", config=config)


def test_a_submitted_job_runs_and_its_picture_is_on_disk(runner: ServiceThread[Runner], tmp_path: Path) -> None:
    """From submission to file, with queued, started and completed in the log."""
    assert submit(runner, request_for("one", mark=context())) == SubmitReply(
        accepted=1, known=0, rooms={"embedded": 99_999}
    )

    ended = wait_for(runner, "one", "completed")

    assert ended.result is not None
    assert (tmp_path / "outputs" / ended.result.images[0].path).exists()
    assert [type(message) for message in runner.logged("job.")] == [JobQueued, JobStarted, JobCompleted]


def test_submitting_again_is_known(runner: ServiceThread[Runner]) -> None:
    """A client that lost the reply hears so."""
    submit(runner, one())
    wait_for(runner, "one", "running")  # it takes no place in the queue any more

    assert submit(runner, one(), one("two")) == SubmitReply(accepted=1, known=1, rooms={"held": 99_999})


def test_one_invalid_job_refuses_all(runner: ServiceThread[Runner]) -> None:
    """The sentence names the field, and nothing is queued."""
    code, message = refusal(runner, "job.submit", SubmitParams(jobs=[one(), one("two", stepps=1)]))

    assert code == "invalid_request"
    assert message == "config.stepps: unknown key; did you mean 'steps'?"
    assert refusal(runner, "job.show", {"job_id": "one"})[0] == "not_found"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipeline": "helt"}, "pipeline: 'helt' is unknown; did you mean 'held'?"),
        ({"stage": "img2img"}, "stage: held has no stage 'img2img'; known are: txt2img"),
        ({"mark": context(experiment="")}, "a topic token must not be empty"),
        ({"mark": context(experiment="ü" * 60)}, "is no topic: at most"),
        ({"config": {"prompt": "x" * 300_000}}, "bytes, over 262144; shorten its texts"),
    ],
    ids=["pipeline", "stage", "empty id", "long id", "large config"],
)
def test_a_job_that_could_not_run_or_be_published_is_refused(
    runner: ServiceThread[Runner], changes: dict[str, Any], message: str
) -> None:
    """Before it is queued."""
    job = request_for("one", **{"pipeline": "held", "config": {}, **changes})

    code, text = refusal(runner, "job.submit", SubmitParams(jobs=[job]))

    assert code == "invalid_request"
    assert message in text


def test_a_queued_job_is_cancelled_at_once(runner: ServiceThread[Runner]) -> None:
    """It never starts."""
    submit(runner, one(), one("two"))
    wait_for(runner, "one", "running")

    assert ask(runner, "job.cancel", CancelParams(job_id="two"), CancelReply) == CancelReply(cancelled=1)

    assert (show(runner, "two").state, show(runner, "two").started_at) == ("cancelled", None)


def test_a_running_job_is_stopped_and_the_next_one_starts(runner: ServiceThread[Runner]) -> None:
    """A cancel frees its worker."""
    submit(runner, one(), one("two"))
    wait_for(runner, "one", "running")

    ask(runner, "job.cancel", CancelParams(job_id="one"), CancelReply)

    wait_for(runner, "one", "cancelled")
    wait_for(runner, "two", "running")


def test_an_experiment_is_cancelled_whole(runner: ServiceThread[Runner]) -> None:
    """Running and queued jobs of it end; those of others stay; asking again cancels nothing more."""
    marks = {"a": context(), "b": context(1, 4.0), "c": context(experiment="exp-10")}
    submit(runner, *(request_for(name, pipeline="held", config={}, mark=mark) for name, mark in marks.items()))
    wait_for(runner, "a", "running")

    params = CancelParams(experiment_id="exp-1")
    assert ask(runner, "job.cancel", params, CancelReply) == CancelReply(cancelled=2)

    wait_for(runner, "a", "cancelled")
    wait_for(runner, "b", "cancelled")
    wait_for(runner, "c", "running")
    assert ask(runner, "job.cancel", params, CancelReply) == CancelReply(cancelled=0)


def test_a_cancel_that_cannot_be_is_refused(runner: ServiceThread[Runner], held: HeldPipeline) -> None:
    """An ended job, an unknown one, both kinds of target or none."""
    held.released = True
    submit(runner, one())
    wait_for(runner, "one", "completed")

    assert refusal(runner, "job.cancel", CancelParams(job_id="one"))[0] == "conflict"
    assert refusal(runner, "job.cancel", CancelParams(job_id="nobody"))[0] == "not_found"
    assert refusal(runner, "job.cancel", CancelParams())[0] == "invalid_request"
    assert refusal(runner, "job.cancel", CancelParams(job_id="a", experiment_id="b"))[0] == "invalid_request"


def test_jobs_are_listed_page_by_page(runner: ServiceThread[Runner]) -> None:
    """Newest first; a page that is full says where the next begins."""
    submit(runner, *(one(f"job-{number}") for number in range(3)))

    first = ask(runner, "job.list", {"limit": 2}, JobListReply)
    rest = ask(runner, "job.list", {"limit": 2, "before": first.before}, JobListReply)

    assert [job.job_id for job in [*first.jobs, *rest.jobs]] == ["job-2", "job-1", "job-0"]
    assert rest.before is None
    wait_for(runner, "job-0", "running")
    assert [job.job_id for job in ask(runner, "job.list", {"state": "running"}, JobListReply).jobs] == ["job-0"]


def test_a_runner_tells_what_it_offers_and_how_busy_it_is(runner: ServiceThread[Runner], tmp_path: Path) -> None:
    """Learning services plan and choose by it."""
    submit(runner, one(), one("two"), one("three"))
    wait_for(runner, "one", "running")

    reply = ask(runner, "pipelines", {}, PipelinesReply)

    assert set(reply.pipelines) == {"held", "embedded"}
    assert set(reply.pipelines["embedded"]) == {"txt2img", "img2img"}
    assert (reply.queued, reply.running, reply.outputs) == (2, 1, str(tmp_path / "outputs"))


def test_progress_is_published_but_not_logged(runner: ServiceThread[Runner]) -> None:
    """Whoever listens hears it; the topic has experiment and variant."""
    with Subscriber([str(runner.service.publisher.control)], ["job.progress"], start=Start.NOW) as subscriber:
        assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
        submit(runner, request_for("one", pipeline="held", config={}, mark=context(3, 6.5)))
        batch = subscriber.receive(PATIENCE * TIME_FACTOR)

    assert [delivery.topic for delivery in batch] == ["job.progress.exp-1.3."]
    progress = batch[0].message
    assert isinstance(progress, JobProgress)
    assert (progress.job_id, progress.fraction, progress.step, progress.steps) == ("one", 0.5, 1, 2)
    assert runner.logged("job.progress.") == []


def test_a_runner_that_is_stopped_runs_its_jobs_again_at_the_next_start(start: Start_, held: HeldPipeline) -> None:
    """The running one has no end, keeps its id and has one attempt more; the queued one follows."""
    first = start()
    submit(first, one(), one("two"))
    wait_for(first, "one", "running")

    second = start()
    wait_for(second, "one", "running")
    held.released = True
    wait_for(second, "two", "completed")

    assert (show(second, "one").attempt, show(second, "two").attempt) == (2, 1)
    ended = [message.job_id for message in second.logged("job.completed.") if isinstance(message, JobCompleted)]
    assert ended == ["one", "two"]


def test_a_full_disk_does_not_end_the_runner(
    runner: ServiceThread[Runner], held: HeldPipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a job has made is written when there is room again, once; then the next job starts."""
    monkeypatch.setattr("bus.transport.retry.RETRY_SECONDS", 0.05)
    submit(runner, one(), one("two"))
    wait_for(runner, "one", "running")
    pages = runner.call(lambda: runner.log.query("PRAGMA page_count"))[0][0]
    runner.call(lambda: runner.log.query(f"PRAGMA max_page_count = {pages}"))

    held.images = 1000
    held.released = True
    wait_until(lambda: caplog.text.count("disk is full; trying again") > 1, what="several tries")
    assert show(runner, "one").state == "running"
    runner.call(lambda: runner.log.query("PRAGMA max_page_count = 1000000"))

    wait_for(runner, "two", "completed")
    ended = [message.job_id for message in runner.logged("job.completed.") if isinstance(message, JobCompleted)]
    assert ended == ["one", "two"]
    assert show(runner, "one").attempt == 1


def test_the_installed_pipelines_are_found(tmp_path: Path) -> None:
    """By entry point, as those of third parties are."""
    assert {"embedded", "command"} <= set(load_pipelines(Setup(outputs=Outputs(tmp_path))))


def test_a_pipeline_that_cannot_be_loaded_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken plug-in is logged, and the others work."""

    class Entry:
        """An installed pipeline."""

        def __init__(self, name: str, error: Exception | None) -> None:
            """`error` is raised at loading."""
            self.name, self._error = name, error

        def load(self) -> type[EmbeddedPipeline]:
            """Import it."""
            if self._error:
                raise self._error
            return EmbeddedPipeline

    found = [Entry("broken", ImportError("no such module")), Entry("fine", None)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: found)

    assert list(load_pipelines(Setup(outputs=Outputs(tmp_path)))) == ["fine"]
    assert "pipeline broken cannot be loaded" in caplog.text
