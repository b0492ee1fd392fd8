"""Retention: what leaves the log, what never does, and what a restart or a full disk does to it."""

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from bus.config.limits import Limits
from bus.eventlog import newest as newest_index
from bus.eventlog import retention
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.retention import Clock
from tests.support.helpers import append, job
from tests.support.log_files import checkpoint

OpenLog = Callable[..., Log]
DAY = 86_400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.sqlite"


class Days:
    """A clock that both the log's records and its retention read; a new day begins when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Begin at day 0."""
        self.day = 0.0
        self._began = time.time()
        ticks = count()
        monkeypatch.setattr(
            "bus.eventlog.log.time.time_ns", lambda: int((self._began + self.day * DAY) * 1e9) + next(ticks)
        )

    def clock(self) -> Clock:
        """Return the clock for retention."""
        return Clock(lambda: self._began + self.day * DAY, lambda: self.day * DAY)


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Days:
    """Let a test say what day it is."""
    return Days(monkeypatch)


def keep(*, days: int = 0, size: int = 0, newest: int = 0) -> Limits:
    """Return limits that say what retention leaves."""
    return Limits(retain_days=days, retain_bytes=size, retain_newest_events=newest)


def trimmed(log: Log) -> int:
    """Trim to the end; give the oldest offset that is left."""
    while log.trim():
        pass
    return log.first


def newest(log: Log, prefix: str = "") -> dict[str, int]:
    """Return what `latest` says, over pages of two."""
    found: dict[str, int] = {}
    after = ""
    while True:
        records, after, _ = log.latest(prefix, 2, after)
        found |= {record.topic: record.offset for record in records}
        if not after:
            return found


@pytest.mark.fault(item="F37")
def test_what_is_older_than_the_limit_leaves_at_the_oldest_end(open_log: OpenLog, path: Path, today: Days) -> None:
    """Nothing younger does, offsets are never given out again, and a fetch begins where the log now begins."""
    log = open_log(path, limits=keep(days=2), clock=today.clock())
    for day in range(4):
        today.day = day
        append(log, *(("a.x.", n) for n in range(700)))

    assert trimmed(log) == 701  # day 0 is three days ago; day 1 is not yet older than two
    assert log.removed == {"age": 700}
    page = log.fetch("", 0, limit=5)
    assert [record.offset for record in page.records] == [701, 702, 703, 704, 705]
    today.day = 30
    assert trimmed(log) == log.head + 1 == 2801
    assert log.fetch("", 0).records == []

    append(log, ("a.x.", 1))

    assert (log.head, log.first) == (2801, 2801)


def test_what_is_more_than_the_limit_leaves_until_the_rest_fits(open_log: OpenLog, path: Path) -> None:
    """The size counts what is in use: the file itself stays as large, and its space is used again."""
    log = open_log(path, limits=keep(size=400_000, newest=10))
    for _ in range(20):
        append(log, *(("a.x.", n) for n in range(500)))
        trimmed(log)
    checkpoint(log)
    size = path.stat().st_size

    for _ in range(40):
        append(log, *(("a.x.", n) for n in range(500)))
        trimmed(log)

    assert 1 < log.first <= log.head
    checkpoint(log)
    assert path.stat().st_size <= size * 1.5


def test_the_newest_stay_whatever_the_limits_say(open_log: OpenLog, path: Path, today: Days) -> None:
    """A clock that is wrong and a limit that is too small leave so many."""
    log = open_log(path, limits=keep(days=1, size=1, newest=100), clock=today.clock())
    append(log, *(("a.x.", n) for n in range(1000)))
    today.day = 5000

    assert trimmed(log) == 901


@pytest.mark.fault(item="F30")
def test_a_clock_that_is_set_removes_nothing(open_log: OpenLog, path: Path) -> None:
    """A jump into the year 2040 looks as if everything were old."""
    wall, steady = [time.time()], [0.0]
    clock = Clock(lambda: wall[0], lambda: steady[0])
    log = open_log(path, limits=keep(days=1), clock=clock)
    append(log, *(("a.x.", n) for n in range(100)))
    wall[0] += 14 * 365 * DAY

    assert trimmed(log) == 1

    steady[0] += retention.CLOCK_PAUSE + 1
    wall[0] += retention.CLOCK_PAUSE + 1
    assert trimmed(log) == 101  # after an hour it is the time


@pytest.mark.fault(item="F30")
@pytest.mark.parametrize("ahead", [1, 1200])
def test_times_in_the_future_do_not_hold_up_what_follows(
    open_log: OpenLog, path: Path, today: Days, ahead: int
) -> None:
    """The clock was wrong when they were written: what was published after them, and is old, shows that they are."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    append(log, ("a.x.", 1))
    today.day = 1000
    append(log, *(("a.x.", n) for n in range(ahead)))
    today.day = 0
    append(log, ("a.x.", 2))
    today.day = 1.5
    append(log, ("a.x.", 3), ("a.x.", 4))
    today.day = 2

    for _ in range(9):  # one step of the search at a time
        first = trimmed(log)

    assert first == ahead + 3 == log.head - 1


@pytest.mark.fault(item="F30")
def test_times_in_the_future_before_young_events_stay_with_them(open_log: OpenLog, path: Path, today: Days) -> None:
    """They were published before them, nobody knows how long: a clock that was set back removes nothing."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    today.day = 1000
    append(log, *(("a.x.", n) for n in range(600)))
    today.day = 2
    append(log, ("a.x.", 2))

    for _ in range(3):
        assert trimmed(log) == 1

    today.day = 4
    append(log, ("a.x.", 3))
    for _ in range(3):
        first = trimmed(log)
    assert first == 602


def test_a_clock_that_was_wrong_is_not_followed_any_more(open_log: OpenLog, path: Path) -> None:
    """What looked old by it is looked at again."""
    wall, day = time.time(), [100.0]
    log = open_log(path, limits=keep(days=1), clock=Clock(lambda: wall + day[0] * DAY, lambda: day[0] * DAY))
    append(log, ("a.x.", 1), ("a.x.", 2))
    assert log._trimmer._find_old(2) == 2

    day[0] = 0.5

    assert log._trimmer._find_old(2) == 0


def test_large_events_are_looked_at_some_at_a_time(open_log: OpenLog, path: Path, today: Days) -> None:
    """The search for what is old reads them: it takes milliseconds, too."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    with log.transaction() as tx:
        for number in range(20):
            tx.append("a.x.", job(f"{number}{'x' * 400_000}"))
    today.day = 2

    assert log._trimmer._find_old(20) == 3
    assert log._trimmer._find_old(20) == 6


def test_the_newest_of_each_status_topic_is_never_lost(open_log: OpenLog, path: Path, today: Days) -> None:
    """`latest` gives it from wherever it is; other topics leave it with their last record."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    append(
        log, ("variant.status.e.0.", 1), ("variant.status.e.0.", 2), ("variant.status.e.1.", 3), ("job.completed.", 4)
    )
    append(log, ("experiment.status.e.", 5), ("event.rejected.", 6))
    today.day = 2
    append(log, ("variant.status.e.1.", 7), ("job.queued.", 8))

    assert trimmed(log) == 7
    statuses = {"experiment.status.e.": 5, "variant.status.e.0.": 2, "variant.status.e.1.": 7}
    assert newest(log) == {**statuses, "job.queued.": 8}
    assert newest(log, "variant.status.e.") == {"variant.status.e.0.": 2, "variant.status.e.1.": 7}

    log.close()
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    today.day = 9
    assert trimmed(log) == 9
    assert newest(log) == statuses
    append(log, ("variant.status.e.0.", 9))
    assert newest(log) == {**statuses, "variant.status.e.0.": 9}
    today.day = 12
    assert trimmed(log) == 10
    assert newest(log) == {**statuses, "variant.status.e.0.": 9}
    assert log.newest("variant.status.") == 9
    assert log.query("SELECT count(*) FROM kept") == [(3,)]


def test_a_record_that_was_kept_is_checked_like_any_other(open_log: OpenLog, path: Path, today: Days) -> None:
    """A flipped bit in it is not handed out."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    append(log, ("variant.status.e.0.", 1), ("variant.status.e.1.", 2))
    today.day = 2
    trimmed(log)
    with log.transaction() as tx:
        tx.execute("UPDATE kept SET time_ns = time_ns + 1 WHERE topic = 'variant.status.e.0.'")

    assert newest(log) == {"variant.status.e.1.": 2}


def test_the_index_of_newest_records_lags_and_is_right_all_the_same(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, written, and read from the end of the log after a crash, in every order of the three."""
    monkeypatch.setattr(newest_index, "LAG_RECORDS", 5)
    expected: dict[str, int] = {}
    log = open_log(path)
    for n in range(1, 60):
        topic = f"{'ab'[n % 2]}.{n * 7 % 11}."
        append(log, (topic, n))
        expected[topic] = n
        if n % 8 == 0:
            log._release()  # the process dies: nothing is written that a clean close would write
            log = open_log(path)
        assert newest(log) == expected
        assert newest(log, "a.") == {name: offset for name, offset in expected.items() if name.startswith("a.")}
        for prefix in ("", "a.", "b.3.", "c."):
            of_prefix = [offset for name, offset in expected.items() if name.startswith(prefix)]
            assert log.newest(prefix) == max(of_prefix, default=0)


def test_a_step_takes_milliseconds_and_says_that_there_is_more(
    open_log: OpenLog, path: Path, today: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So publishing goes on between two steps."""
    monkeypatch.setattr("bus.eventlog.trimming.TRIM_SECONDS", 0.0)
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    append(log, *(("a.x.", n) for n in range(3 * retention.STEP)))
    today.day = 2

    assert log.trim()
    assert log.first == retention.STEP + 1
    assert log.trim()
    assert log.trim()
    assert not log.trim()
    assert log.first == log.head + 1


def test_a_full_disk_stops_retention_and_nothing_is_lost(open_log: OpenLog, path: Path, today: Days) -> None:
    """A deletion needs room too; when there is some, it goes on."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    append(log, *((f"variant.status.e.{n}.", n) for n in range(600)))
    today.day = 2
    log.query(f"PRAGMA max_page_count = {log.query('PRAGMA page_count')[0][0]}")
    with pytest.raises(StorageError):
        log.trim()

    assert len(newest(log)) == 600

    log.query("PRAGMA max_page_count = 1000000")
    assert trimmed(log) == 601
    assert len(newest(log)) == 600


def test_a_damaged_topic_does_not_stop_retention(open_log: OpenLog, path: Path, today: Days) -> None:
    """It is no text any more, and a time is no number: what is old leaves all the same."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    append(log, ("variant.status.e.0.", 1), ("variant.status.e.1.", 2), ("job.completed.", 3))
    with log.transaction() as tx:
        tx.execute("UPDATE log SET topic = CAST(x'ff2e' AS TEXT) WHERE \"offset\" = 1")
        tx.execute('UPDATE log SET time_ns = CAST(time_ns AS REAL) WHERE "offset" = 2')
    page = log.fetch("", 0)
    assert ([record.offset for record in page.records], page.damaged) == ([3], [1, 2])
    today.day = 2

    assert trimmed(log) == 4


def test_a_step_is_bounded_in_bytes_too(open_log: OpenLog, path: Path, today: Days) -> None:
    """Large messages leave some at a time."""
    log = open_log(path, limits=keep(days=1), clock=today.clock())
    with log.transaction() as tx:
        for number in range(20):
            tx.append("a.x.", job(f"{number}{'x' * 400_000}"))
    today.day = 2

    assert log._trimmer.cut(log.head) == (3, "age")
    assert trimmed(log) == 21


@pytest.mark.fault(item="F100")
def test_what_is_forgotten_is_listed_no_more_and_kept_by_nothing(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither after a restart nor when retention takes the records; a new record brings a topic back."""
    monkeypatch.setattr(newest_index, "LAG_RECORDS", 3)
    log = open_log(path, keep_newest=("status.",), limits=keep(size=1))
    append(log, ("status.a.1.", 1), ("status.a.2.", 2), ("status.ab.", 3))
    trimmed(log)
    assert len(log.query("SELECT 1 FROM kept")) == 3
    append(log, ("status.a.2.", 4), ("status.a.3.", 5))

    assert log.forget("status.a.", 2)
    assert list(newest(log)) == ["status.a.3.", "status.ab."]
    assert not log.forget("status.a.", 2)
    log._release()  # as a crash leaves it
    log = open_log(path, keep_newest=("status.",), limits=keep(size=1))

    assert newest(log) == {"status.ab.": 3}
    assert log.newest("status.a.") == 5, "a subscriber that has lost the last one would not ask for it"
    assert log.newest("status.ab.") == 5, "of a forgotten topic it is no longer known which prefixes it has"
    assert [record.offset for record in log.fetch("status.a.", 0).records] == [4, 5]
    trimmed(log)
    assert [topic for (topic,) in log.query("SELECT topic FROM kept")] == ["status.ab."]
    assert log.newest("status.a.") == 0
    append(log, ("status.a.2.", 6))
    assert newest(log) == {"status.ab.": 3, "status.a.2.": 6}


def test_to_forget_what_is_not_there_changes_nothing(open_log: OpenLog, path: Path) -> None:
    """It may be asked for again after a crash."""
    log = open_log(path, keep_newest=("status.",))
    append(log, ("status.a.", 1))

    assert not log.forget("status.b.", 10)

    assert newest(log) == {"status.a.": 1}
    assert log.newest("status.b.") == 0
