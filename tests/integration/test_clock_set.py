"""A wall clock that is set while a job runs: what the job took is measured by the monotonic clock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bus.contracts.messages import JobCompleted
from bus.eventlog.log import Log
from pipeline_runner.queue.jobs import CLOCK_SLACK, NormalizedJobRecord, start_of
from pipeline_runner.queue.service import JobService
from tests.support.factories import badly, request_for, well

YEARS = 30 * 365.25 * 86_400
NOW = 1_800_000_000.0


class Hands:
    """Both clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        """Start at some moment."""
        self.wall, self.steady = NOW, 50.0

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def hands() -> Hands:
    """Return the clocks."""
    return Hands()


@pytest.fixture
def service(tmp_path: Path, open_log: Callable[[Path], Log], hands: Hands) -> JobService:
    """Return a service that reads them, with one job that runs."""
    log = open_log(tmp_path / "runner.db")
    one = JobService(log, clock=lambda: hands.wall, steady=lambda: hands.steady)
    one.submit([request_for("one")])
    one.claim({"embedded": 1})
    return one


def duration(job: NormalizedJobRecord | JobCompleted) -> float:
    """Return how long a job took, as everybody reckons it."""
    assert job.started_at is not None
    assert job.finished_at is not None
    return job.finished_at - job.started_at


@pytest.mark.fault(item="F65")
@pytest.mark.parametrize("jump", [-YEARS, -3600.0, -4.0, -0.05, 0.0, 0.05, 3600.0, YEARS])
def test_a_job_takes_what_it_took(service: JobService, hands: Hands, jump: float) -> None:
    """The end is when the clock now says it is, and the start was so long before."""
    hands.pass_by(2.0)
    hands.wall += jump
    hands.pass_by(3.0)

    (ended,) = service.finish({"one": well("a")})

    assert duration(ended) == pytest.approx(5.0, abs=CLOCK_SLACK)
    assert ended.finished_at == hands.wall
    mean = service.queues["embedded"].mean_seconds
    assert mean == pytest.approx(5.0, abs=CLOCK_SLACK)


@pytest.mark.fault(item="F65")
def test_without_a_jump_the_start_is_what_was_published(service: JobService, hands: Hands) -> None:
    """It is the same number as in `job.started`."""
    hands.pass_by(3.0)

    (ended,) = service.finish({"one": badly("no")})

    assert (ended.started_at, ended.finished_at) == (NOW, NOW + 3.0)


@pytest.mark.fault(item="F65")
def test_a_job_of_an_earlier_process_takes_at_least_nothing(
    service: JobService, hands: Hands, tmp_path: Path, open_log: Callable[[Path], Log]
) -> None:
    """Nobody has measured it; its start is never after its end."""
    service.cancel(service.store.get("one"))  # type: ignore[arg-type]  # it is there
    hands.wall -= YEARS
    service._log.close()
    log = open_log(tmp_path / "runner.db")
    again = JobService(log, clock=lambda: hands.wall, steady=lambda: hands.steady)

    assert again.elapsed("one") is None
    again.recover()

    ended = again.store.get("one")
    assert ended
    assert duration(ended) == 0.0


@pytest.mark.fault(item="F65")
def test_what_is_not_known_is_put_in_order() -> None:
    """A start in the future, or none."""
    assert start_of(None, 5.0, 3.0) is None
    assert start_of(9.0, 5.0, None) == 5.0
    assert start_of(4.0, 5.0, None) == 4.0
    assert start_of(4.0, 5.0, -3.0) == 4.0
    assert start_of(5.01, 5.0, 0.01) == 4.99
