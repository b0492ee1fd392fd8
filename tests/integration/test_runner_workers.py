"""The worker pool: pipelines in threads, results and progress in the loop."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from msgspec.structs import replace

from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec
from bus.transport.loop import Loop
from pipeline_runner.execution.previews import PROGRESS_GAP
from pipeline_runner.execution.workers import WorkerPool
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result
from pipeline_runner.scoring.measuring import Measuring
from tests.support.factories import badly, image, pool_calls, record_of, well
from tests.support.helpers import PATIENCE, TIME_FACTOR, deadline

Work = Callable[[NormalizedJobRecord, Progress, Cancelled], JobResult]


class Fake(Pipeline):
    """A pipeline that does what a test says."""

    def __init__(self, work: Work) -> None:
        """Run jobs by this function."""
        self._work = work

    def stages(self) -> Mapping[str, StageSpec]:
        """Return none: nobody asks."""
        return {}

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Run the function."""
        return self._work(job, progress, cancelled)


@dataclass
class PoolHarness:
    """A pool with what it reported, driven by the test's own thread."""

    loop: Loop
    pool: WorkerPool
    ended: dict[str, JobResult] = field(default_factory=dict)
    threads: set[int | None] = field(default_factory=set)
    reports: list[tuple[str, float, int | None, int | None]] = field(default_factory=list)

    def run_until(self, condition: Callable[[], object]) -> None:
        """Step the loop until a condition holds."""
        limit = deadline()
        while not condition():
            assert not limit.passed, "the condition did not come true"
            self.loop.step(0.05)

    def result_of(self, name: str = "job-1") -> JobResult:
        """Wait for the end of a job."""
        self.run_until(lambda: name in self.ended)
        return self.ended[name]


Start = Callable[[Work], PoolHarness]


@pytest.fixture
def start_pool(loop: Loop, tmp_path: Path) -> Iterator[Start]:
    """Make a pool for a function; its threads are stopped at the end."""
    made: list[PoolHarness] = []

    def make(work: Work) -> PoolHarness:
        def done(job_id: str, result: JobResult, _confirmed: bool) -> None:
            one.threads.add(threading.get_ident())
            one.ended[job_id] = result

        def report(job: NormalizedJobRecord, fraction: float, step: int | None, steps: int | None) -> None:
            one.threads.add(threading.get_ident())
            one.reports.append((job.job_id, fraction, step, steps))

        calls = pool_calls(done=done, report=report)
        pool = WorkerPool(loop, {"embedded": Fake(work)}, calls, Outputs(tmp_path), Measuring(tmp_path, {}))
        one = PoolHarness(loop, pool)
        made.append(one)
        return one

    yield make
    for one in made:
        assert one.pool.stop(PATIENCE * TIME_FACTOR)[1] == []


def until_cancelled(_job: NormalizedJobRecord, _progress: Progress, cancelled: Cancelled) -> JobResult:
    """Run until asked to stop."""
    limit = deadline()
    while not cancelled():
        assert not limit.passed
        time.sleep(0.001)
    return cancelled_result()


def test_a_job_runs_in_a_thread_of_its_own_and_ends_in_the_loop(start_pool: Start) -> None:
    """Nothing that owns a socket or the database is touched by a worker."""
    where = []

    def work(job: NormalizedJobRecord, progress: Progress, _cancelled: Cancelled) -> JobResult:
        where.append((threading.get_ident(), threading.current_thread().name))
        progress(0.5)
        return well(job.job_id)

    harness = start_pool(work)
    harness.pool.start(record_of("job-1"))

    assert harness.result_of() == well("job-1")
    assert where[0][0] != threading.get_ident()
    assert where[0][1] == "job-1"
    assert harness.threads == {threading.get_ident()}


def test_threads_stay_for_the_next_job(start_pool: Start) -> None:
    """There are as many as jobs ran at a time, and no more."""
    threads: set[int] = set()

    def work(_job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        threads.add(threading.get_ident())
        return well()

    harness = start_pool(work)
    for number in range(20):
        harness.pool.start(record_of(f"job-{number}"))
        harness.result_of(f"job-{number}")

    assert len(threads) == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError("by its loop"), "CancelledError: by its loop"),
        (FileNotFoundError("bad name \udc80"), "FileNotFoundError: bad name ?"),
    ],
)
def test_a_pipeline_that_raises_fails_its_job(
    start_pool: Start, error: BaseException, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a pipeline raises, also to end the program, the job has failed and its worker is free again."""
    caplog.set_level(logging.CRITICAL)  # a captured surrogate could not be reported by the test's own process

    def work(_job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        raise error

    harness = start_pool(work)
    harness.pool.start(record_of())

    result = harness.result_of()
    assert result.error is not None
    assert (result.success, result.error.kind, result.error.message) == (False, "internal", message)


@pytest.mark.parametrize(
    "returned",
    [
        None,
        {"success": True},
        True,
        JobResult(success=True, metrics={"a": cast("Any", object())}),
        JobResult(success=True, warnings=("\ud800",)),
        JobResult(success=True, images=(replace(image(), width=2**70),)),
    ],
    ids=["nothing", "a map", "true", "what cannot be encoded", "a lone surrogate", "a huge number"],
)
def test_a_pipeline_that_returns_no_result_fails_its_job(start_pool: Start, returned: Any) -> None:
    """A plug-in that forgets its return value, or returns what cannot be encoded, does not end the runner."""
    harness = start_pool(lambda _job, _progress, _cancelled: cast("JobResult", returned))
    harness.pool.start(record_of())

    result = harness.result_of()

    if returned == {"success": True}:
        assert result == JobResult(success=True)  # the same in plain data is a result
    else:
        assert result.error is not None
        assert (result.success, result.error.kind) == (False, "internal")


def test_a_job_of_a_pipeline_that_is_gone_fails(start_pool: Start) -> None:
    """The queue may hold jobs of a plug-in that was uninstalled."""
    harness = start_pool(until_cancelled)
    harness.pool.start(record_of(pipeline="plug-in"))

    result = harness.result_of()
    assert result.error is not None
    assert result.error.kind == "invalid_request"
    assert "'plug-in' is not installed any more" in result.error.message


def test_a_cancelled_job_stops_and_is_cancelled(start_pool: Start) -> None:
    """The pipeline is asked to stop, and its end is reported as any other."""
    harness = start_pool(until_cancelled)
    harness.pool.start(record_of("one"))
    harness.pool.start(record_of("two"))

    harness.pool.cancel("one")

    assert harness.result_of("one") == cancelled_result()
    assert "two" not in harness.ended


def test_a_pipeline_that_fails_because_it_was_stopped_did_not_fail(start_pool: Start) -> None:
    """An error in a job that is being cancelled is a cancellation."""

    def work(job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        until_cancelled(job, progress, cancelled)
        return badly("interrupted")

    harness = start_pool(work)
    harness.pool.start(record_of())
    harness.pool.cancel("job-1")

    assert harness.result_of() == cancelled_result()


def test_a_pipeline_that_was_done_before_it_noticed_is_done(start_pool: Start) -> None:
    """A picture that exists is not thrown away."""

    def work(job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        until_cancelled(job, progress, cancelled)
        return well("a")

    harness = start_pool(work)
    harness.pool.start(record_of())
    harness.pool.cancel("job-1")

    assert harness.result_of() == well("a")


def test_cancelling_an_unknown_job_does_nothing(start_pool: Start) -> None:
    """It may have ended a moment ago."""
    harness = start_pool(until_cancelled)
    harness.pool.cancel("nobody")
    assert harness.ended == {}


def test_progress_is_reported_at_most_five_times_a_second(start_pool: Start) -> None:
    """However often a pipeline reports, the first is passed on at once, and then one for each gap."""
    began, ended = list[float](), list[float]()

    def work(_job: NormalizedJobRecord, progress: Progress, _cancelled: Cancelled) -> JobResult:
        began.append(time.monotonic())
        step = 0
        while time.monotonic() < began[0] + 2.5 * PROGRESS_GAP or len(harness.reports) < 2:
            step += 1
            progress(step / 1e9, step, 10**9)
        ended.append(time.monotonic())
        return well()

    harness = start_pool(work)
    harness.pool.start(record_of())
    harness.result_of()

    allowed = (ended[0] - began[0]) / PROGRESS_GAP + 1
    assert 2 <= len(harness.reports) <= allowed
    assert harness.reports[0] == ("job-1", 1e-9, 1, 10**9)


def test_each_job_has_its_own_share_of_progress(start_pool: Start) -> None:
    """A chatty job does not silence another one."""

    def work(job: NormalizedJobRecord, progress: Progress, _cancelled: Cancelled) -> JobResult:
        for _ in range(100):
            progress(0.5)
        return well(job.job_id)

    harness = start_pool(work)
    for name in ("one", "two"):
        harness.pool.start(record_of(name))
        harness.result_of(name)

    names = [name for name, *_ in harness.reports]
    assert list(dict.fromkeys(names)) == ["one", "two"]  # a slow machine may take longer than a gap for a job


@pytest.mark.parametrize(
    ("said", "reported"),
    [(-0.5, 0.0), (0.25, 0.25), (7.0, 1.0), (float("nan"), 0.0), (np.float32(0.5), 0.5), (np.int64(1), 1.0)],
)
def test_progress_is_a_fraction(start_pool: Start, said: float, reported: float) -> None:
    """Whatever a pipeline says, what is published is 0..1."""

    def work(_job: NormalizedJobRecord, progress: Progress, _cancelled: Cancelled) -> JobResult:
        progress(said)
        return well()

    harness = start_pool(work)
    harness.pool.start(record_of())
    harness.result_of()

    assert harness.reports == [("job-1", reported, None, None)]
    assert type(harness.reports[0][1]) is float


def test_stopping_reports_no_end(start_pool: Start) -> None:
    """The jobs are to run again at the next start, so nobody may hear that they were cancelled."""
    harness = start_pool(until_cancelled)
    harness.pool.start(record_of("one"))
    harness.pool.start(record_of("two"))

    assert harness.pool.stop(PATIENCE * TIME_FACTOR) == ({"one": cancelled_result(), "two": cancelled_result()}, [])
    assert harness.ended == {}


def test_stopping_does_not_wait_for_a_pipeline_that_hangs(start_pool: Start) -> None:
    """It is counted, and its thread is a daemon that cannot keep the process."""
    release = threading.Event()
    kept = []

    def work(_job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        kept.append(threading.current_thread().daemon)
        release.wait(PATIENCE * TIME_FACTOR)
        return well()

    harness = start_pool(work)
    harness.pool.start(record_of("hangs"))
    try:
        assert harness.pool.stop(0.05) == ({}, ["hangs"])
    finally:
        release.set()
    harness.run_until(lambda: kept)
    assert kept == [True]
