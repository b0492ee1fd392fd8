"""A hundred thousand waiting jobs: what is done often looks at few of them."""

import re
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from bus.contracts.jobs import JobRequest
from bus.eventlog.log import Log
from pipeline_runner.queue.service import CANCELS_AT_ONCE, JobService
from pipeline_runner.queue.store import SQL
from tests.support.factories import context, request_for
from tests.support.helpers import TIME_FACTOR
from tests.support.job_queues import ONE, Open

JOBS: Final = 100_000
BATCH: Final = 1000
# asked at a start only, or of what is named by a person, or ended by its limit
ONCE: Final = {"select_running", "count_queued", "select_newest_ids", "select_unended_of_experiments"}


def jobs(first: int, count: int) -> list[JobRequest]:
    """Return jobs of one experiment, some of them urgent."""
    mark = context(0, 1.0)
    return [
        replace(request_for(f"job-{number}", mark=mark, config={"steps": 1}), priority=number % 3)
        for number in range(first, first + count)
    ]


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes of the processor: those on the wall depend on what else the machine does."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def median(calls: Iterator[float]) -> float:
    """Return what is usual."""
    return statistics.median(calls)


def test_a_long_queue_is_as_fast_as_a_short_one(tmp_path: Path, open_log: Callable[[Path], Log]) -> None:
    """Submitting, claiming, listing, looking at one and cancelling cost what they cost at first."""
    service = JobService(open_log(tmp_path / "runner.db"))

    def fill(first: int, last: int) -> float:
        return median(timed(partial(service.submit, jobs(start, BATCH))) for start in range(first, last, BATCH))

    first = fill(0, 5 * BATCH)
    short = usual(service)
    fill(5 * BATCH, JOBS - 5 * BATCH)
    last = fill(JOBS - 5 * BATCH, JOBS)
    long = usual(service)

    assert service.queues.queued == JOBS
    assert last < 3 * first + 0.01 * TIME_FACTOR, "submitting"
    for what, seconds in long.items():
        assert seconds < 3 * short[what] + 0.01 * TIME_FACTOR, what
    service.cancel_experiment("exp-1")
    step = median(timed(service.cancel_some) for _ in range(5))
    assert step < 0.2 * TIME_FACTOR, f"cancelling {CANCELS_AT_ONCE} at a time"


def usual(service: JobService) -> dict[str, float]:
    """Return what the things take that a runner does all the time; the queue is afterwards as it was."""
    store = service.store
    (newest,), _ = store.page(None, None, 1)

    def run() -> None:
        claimed = service.claim(ONE)
        service.release([one.job_id for one in claimed])

    calls: dict[str, Callable[[], object]] = {
        "a page": lambda: store.page(None, None, 100),
        "a page of a state": lambda: store.page("queued", None, 100),
        "the place of the newest": lambda: store.behind(*newest),
        "taking one and putting it back": run,
    }
    return {what: median(timed(call) for _ in range(20)) for what, call in calls.items()}


@pytest.mark.parametrize("name", sorted(set(SQL) - {"schema", "migration_3"} - ONCE))
def test_no_statement_searches_all_jobs(reopen: Open, name: str) -> None:
    """Each look-up has an index that leads to its rows, in their order."""
    _, log = reopen()

    plan = plan_of(log, SQL[name])

    assert not any("SCAN jobs" in step or "TEMP B-TREE" in step for step in plan), plan


def plan_of(log: Log, statement: str) -> list[str]:
    """Return how SQLite would run a statement."""
    text = statement.partition("\n")[2]  # without the remark
    names = dict.fromkeys(re.findall(r"(?<=:)\w+", text), 1)
    numbers = [int(number or 0) for number in re.findall(r"\?(\d*)", text)]
    positional = (None,) * (max(numbers, default=0) or len(numbers))
    rows = log.query(f"EXPLAIN QUERY PLAN {statement}", names or positional)
    return [str(row[3]) for row in rows]
