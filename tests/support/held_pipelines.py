"""Pipelines that a test holds, with a server and without one, and questions to the runner that has them."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bus.contracts.fields import Config
from bus.contracts.jobs import JobRequest, JobView, PipelinesReply, SubmitParams, SubmitReply
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.control import ControlError
from bus.transport.client import request
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, well
from tests.support.helpers import PATIENCE, REPLY_SECONDS, TIME_FACTOR, deadline, wait_until

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
        """Return what the server takes, if it was ever heard of."""
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


class Nonsense(Remote):
    """A pipeline that does what none should; `what` says which."""

    def __init__(self, what: str) -> None:
        """Behave until the server has been heard of."""
        super().__init__()
        self.what = what

    def stages(self) -> dict[str, StageSpec]:
        """Return what it takes, or something else."""
        if self.what == "stages raises" and self.known:
            raise KeyError("a bug")
        if self.what == "stages is no spec" and self.known:
            return {"run": 5}  # type: ignore[dict-item]  # on purpose
        return super().stages()

    def refresh(self) -> str:
        """Return a reason, or something else."""
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


def ask(runner: ServiceThread[Runner], method: str, params: object, reply: type[Any]) -> Any:
    """Ask the runner."""
    return request(str(runner.service.publisher.control), method, params, reply, REPLY_SECONDS)


def refusal(runner: ServiceThread[Runner], method: str, params: object) -> tuple[str, str]:
    """Return code and text of a refusal."""
    with pytest.raises(ControlError) as refused:
        ask(runner, method, params, dict[str, Any])
    return refused.value.code, refused.value.message


def submit(
    runner: ServiceThread[Runner], *names: str, pipeline: str = "local", priority: int = 0, exclusive: bool = False
) -> SubmitReply:
    """Submit jobs by their names."""
    config: Config = {"level": 1}
    jobs = [
        JobRequest(job_id=name, pipeline=pipeline, stage="run", config=config, priority=priority, exclusive=exclusive)
        for name in names
    ]
    reply = ask(runner, "job.submit", SubmitParams(jobs=jobs), SubmitReply)
    assert isinstance(reply, SubmitReply)
    return reply


def show(runner: ServiceThread[Runner], name: str) -> JobView:
    """Ask how a job is."""
    view = ask(runner, "job.show", {"job_id": name}, JobView)
    assert isinstance(view, JobView)
    return view


def wait_for(runner: ServiceThread[Runner], name: str, state: str) -> JobView:
    """Wait until a job is in a state."""
    wait_until(lambda: show(runner, name).state == state, what=f"{name} {state}")
    return show(runner, name)


def heard(runner: ServiceThread[Runner], remote: Remote) -> None:
    """Let the server be there, and wait until the runner knows it."""
    remote.away = ""
    wait_until(lambda: not ask(runner, "pipelines", {}, PipelinesReply).lanes["remote"].waits_for, what="the server")


Start = Callable[..., ServiceThread[Runner]]
