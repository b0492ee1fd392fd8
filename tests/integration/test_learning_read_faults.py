"""A failed read is no fault of an event: it is waited for, or the process ends, and no job's end is passed over."""

import errno
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bus.eventlog.errors import LogError, StorageError
from learning_service.events.router import Outcome, _advance
from learning_service.storage.judgements import RatingRow
from learning_service.storage.unit_of_work import UnitOfWork
from tests.support.consumer_bench import RUNNER, Bench, bench, delivery
from tests.support.factories import EXPERIMENT, JobScript, context, image, planned_experiment, well
from tests.support.helpers import wait_until
from tests.support.learning_services import ALL, Services, create, rejections, wait_for

pytestmark = pytest.mark.fault(item="F59")
READS = 3  # of the experiment, its variants and its search: at least so many happen


def planned(path: Path) -> None:
    """Store the example experiment, with a picture that is rated before a second job makes it again."""
    with bench(path) as one:
        with one.log.transaction() as tx:
            one.store.insert(tx, planned_experiment(jobs=2))
            one.store.judgements.rate(tx, EXPERIMENT, RatingRow(image("a").sha256, 5, "", 1.0))
        one.deliver(1, JobScript(context()).completed(well("a")))
        with one.log.transaction() as tx:
            work = UnitOfWork(tx, one.store)
            work.rate(work.draft(EXPERIMENT), 0, 1.0)


SECOND = JobScript(context(repeat=1), f"{EXPERIMENT}.0.1.0").completed(well("a"))


@contextmanager
def failing_read(one: Bench, number: int, error: Exception) -> Iterator[list[int]]:
    """Let the n-th read fail, once; yield the list that gets it when it is reached."""
    count, read = itertools.count(1), one.log.query
    failed: list[int] = []

    def query(statement: str, params: Any = ()) -> list[Any]:
        if next(count) == number:
            failed.append(number)
            raise error
        return read(statement, params)

    one.log.query = query  # type: ignore[method-assign]
    try:
        yield failed
    finally:
        one.log.query = read  # type: ignore[method-assign]


def each_read(folder: Path, check: Callable[[Path, int], bool]) -> None:
    """Check with each read failing in turn, until there are no more."""
    reached = 0
    while check(folder / f"{reached}.db", reached + 1):
        reached += 1
    assert reached >= READS


def has_applied(one: Bench) -> bool:
    """Let the loop do what is due; return whether no event waits any more."""
    one.loop.step(0.01)
    return not one.consumer._waiting


def disk_error() -> sqlite3.OperationalError:
    """Return what SQLite raises if the disk cannot be read."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    return error


def test_a_read_that_fails_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever read it is: the event is applied once, and not rejected."""
    monkeypatch.setattr("bus.transport.retry.RETRY_SECONDS", 0.01)

    def check(path: Path, number: int) -> bool:
        planned(path)
        with bench(path) as one:
            with failing_read(one, number, StorageError("the disk is busy")) as failed:
                one.deliver(2, SECOND)
                wait_until(lambda: has_applied(one), what="another try")
            assert (one.position().offset, one.rejected()) == (2, [])
            assert (one.variant().completed, one.variant().status) == (2, "completed")
            return bool(failed)

    each_read(tmp_path, check)


@pytest.mark.parametrize(
    "error",
    [
        LogError("the database failed"),
        MemoryError(),
        OSError(errno.EIO, "Input/output error"),
        disk_error(),
        sqlite3.DatabaseError("database disk image is malformed"),
        sqlite3.InterfaceError("bad parameter or other API misuse"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_read_that_fails_for_good_ends_the_process(tmp_path: Path, error: Exception) -> None:
    """Whichever read it is, nothing is rejected or passed over: the next start applies the event."""

    def check(path: Path, number: int) -> bool:
        planned(path)
        with bench(path) as one, failing_read(one, number, error) as failed:
            with suppress(LogError, MemoryError, OSError, sqlite3.Error):
                one.deliver(2, SECOND)
            if not failed:
                return False
        with bench(path) as one:
            assert (one.position().offset, one.variant().completed, one.rejected()) == (1, 1, [])
            one.deliver(2, SECOND)
            assert (one.position().offset, one.variant().completed, one.rejected()) == (2, 2, [])
        return True

    each_read(tmp_path, check)


def test_a_value_that_no_column_takes_rejects_its_event_alone(tmp_path: Path) -> None:
    """It would fail each time. Its runner is asked how its jobs ended, in the same transaction; the others count."""
    planned(tmp_path / "learning.db")
    with bench(tmp_path / "learning.db") as one:
        bad = JobScript(context(repeat=2**63), f"{EXPERIMENT}.0.1.0").completed(well("b"))
        other = JobScript(context(1, 4.0)).completed(well("c"))

        one.take([delivery(2, bad), delivery(3, other)])

        assert (one.rejected(), one.asked, one.store.reconciles()) == (["handler_error"], [RUNNER], [RUNNER])
        assert one.position().offset == 3
        assert one.store.get(EXPERIMENT).variants[1].completed == 1


def test_a_gap_that_could_not_be_noted_is_noted_with_the_events_behind_it(tmp_path: Path) -> None:
    """So there is never a position behind a gap of which nothing is known after a restart."""
    planned(tmp_path / "learning.db")
    with bench(tmp_path / "learning.db") as one:
        one.consumer.note_gap(RUNNER)
        assert one.store.reconciles() == []
        one.deliver(9, SECOND)

    with bench(tmp_path / "learning.db") as one:
        assert (one.position().offset, one.store.reconciles()) == (9, [RUNNER])


def test_the_end_of_a_job_that_could_not_be_handled_is_asked_for(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision that fails once: the event is rejected, and the runner says how the job ended."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    failures = [ZeroDivisionError()]

    def advance(*arguments: Any) -> Outcome:
        if failures:
            raise failures.pop()
        return _advance(*arguments)

    monkeypatch.setattr("learning_service.events.router._advance", advance)

    runner.finish(ALL[0])  # alone: the ends of a batch are decided together
    wait_until(lambda: rejections(learning), what="the rejection")
    runner.finish(ALL[1])

    assert wait_for(learning, "completed").totals.completed == 2
    assert [one.reason for one in rejections(learning)] == ["handler_error"]
    assert ALL[0] in runner.shown
