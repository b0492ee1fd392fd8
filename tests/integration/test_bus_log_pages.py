"""Damage to the pages of the log's table: what cannot be read is named, and never skipped in silence."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from bus.eventlog import reader
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from tests.support.btree import CELL_COUNT, Table
from tests.support.helpers import append
from tests.support.log_files import remove_oldest, tamper

OpenLog = Callable[..., Log]
EVENTS: Final = 400
TOPICS: Final = tuple(f"{name}.{number}." for name in ("status", "work") for number in range(3))
FLIPS: Final = 360


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.db"


def topic_of(offset: int) -> str:
    """Return the topic of an event of `write`."""
    return TOPICS[offset % len(TOPICS)]


def write(path: Path, events: int = EVENTS) -> Table:
    """Write a log whose table has a root, many leaves, and events of several topics."""
    log = Log(path)
    for start in range(1, events + 1, 20):
        append(log, *((topic_of(offset), f"event-{offset:05d} {'x' * 150}") for offset in range(start, start + 20)))
    log.close()
    return Table(path, "log")


def read(log: Log, prefix: str) -> tuple[dict[int, str], list[int]]:
    """Read a log page by page; return the topics of what is there by offset, and what is damaged."""
    found: dict[int, str] = {}
    damaged: list[int] = []
    after = 0
    while after < log.head:
        page = log.fetch(prefix, after)
        assert page.next > after
        assert len(page.damaged) <= 1000
        assert [record.offset for record in page.records] == sorted({record.offset for record in page.records})
        found |= {record.offset: record.topic for record in page.records}
        damaged += page.damaged
        after = page.next
    return found, damaged


def check(log: Log, events: int = EVENTS) -> list[int]:
    """Check that each event is given as it was written, or named as damaged; return the damaged ones."""
    assert log.head == events
    for prefix in ("", "status.", "work.1."):
        found, damaged = read(log, prefix)
        expected = {offset for offset in range(1, events + 1) if topic_of(offset).startswith(prefix)}
        assert found.keys() | set(damaged) >= expected
        assert not found.keys() & set(damaged)
        assert found == {offset: topic_of(offset) for offset in found}
        assert found.keys() <= expected
    listing = log.latest("", 100)
    assert {record.topic for record in listing.records} | {topic_of(offset) for offset in listing.damaged} == {*TOPICS}
    return read(log, "")[1]


def flip_and_check(path: Path, content: bytes) -> str:
    """Open a file with a flipped bit in a folder of its own, read all of it, and say how that ended."""
    path.write_bytes(content)
    for suffix in (".db-wal", ".db-shm", ".head"):
        path.with_name(f"test{suffix}").unlink(missing_ok=True)
    try:
        log = Log(path)
    except LogError:
        return "refused"
    try:
        if damaged := check(log):
            assert log.damaged >= len(damaged) - len(read(log, "")[1]) >= 0
        append(log, ("work.0.", "new"))
        assert [record.offset for record in log.fetch("", EVENTS).records] == [EVENTS + 1]
    finally:
        log.close()
    return "damaged" if damaged else "whole"


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.fault(item="F56")
@pytest.mark.parametrize("part", ["headers", "beginnings", "anywhere"])
def test_any_flipped_bit_in_a_page_of_the_log_ends_well(path: Path, part: str) -> None:
    """Each event is given as it was written, or is named as damaged; or the file is refused in a sentence."""
    table, rng = write(path), random.Random(14)  # noqa: S311 - no secret
    positions = {
        "headers": [at for start in (*table.starts[:3], *table.starts[-2:]) for at in table.header(start)],
        "beginnings": [start + at for start in table.starts for at in range(64)],  # the places and keys of cells
        "anywhere": [start + at for start in table.starts for at in range(table.page_size)],
    }[part]
    ends = {flip_and_check(path, table.flipped(rng.choice(positions), rng.randrange(8))) for _ in range(FLIPS)}

    assert ends <= {"whole", "damaged", "refused"}
    assert "damaged" in ends


@pytest.mark.fault(item="F56")
def test_rows_that_a_page_has_lost_are_named(open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One bit in the number of cells of the root: SQLite finds no fault, and leaves out the rows of many pages."""
    table = write(path)
    root = table.starts[0]
    bit = max(bit for bit in range(8) if table.content[root + CELL_COUNT] >> bit & 1)
    path.write_bytes(table.flipped(root + CELL_COUNT, bit))

    log = open_log(path)
    damaged = check(log)

    assert len(damaged) > 100
    assert damaged == list(range(damaged[0], damaged[-1] + 1))
    assert log.damaged == len(damaged)
    assert f"{len(damaged)} records from {damaged[0]} to {damaged[-1]} are damaged or missing" in caplog.text
    append(log, ("work.0.", "new"))
    assert [record.offset for record in log.fetch("", EVENTS).records] == [EVENTS + 1]


@pytest.mark.fault(item="F56")
@pytest.mark.parametrize("bit", [0, 5, 6])
def test_a_row_with_a_wrong_key_is_named_by_its_right_one(open_log: OpenLog, path: Path, bit: int) -> None:
    """Its checksum covers the key: the record that is missing is damaged, and not the one whose key it has now."""
    table = write(path)
    path.write_bytes(table.flipped(table.cell_of(b"event-00200") + 3, bit))  # length and key take two bytes each

    assert check(open_log(path)) == [200]


@pytest.mark.fault(item="F56")
@pytest.mark.parametrize("bit", [3, 6])
def test_a_wrong_key_of_the_oldest_row_does_not_move_the_beginning_of_the_log(
    open_log: OpenLog, path: Path, bit: int
) -> None:
    """The log notes up to where retention has come: what is missing behind that was not removed by it."""
    table = write(path)
    path.write_bytes(table.flipped(table.cell_of(b"event-00001") + 2, bit))  # its key takes one byte

    log = open_log(path)

    assert (log.first, check(log)) == (1, [1])
    assert not log.trim()
    remove_oldest(log, 10)
    log.close()
    assert open_log(path).first == 11


@pytest.mark.fault(item="F56")
def test_many_missing_records_are_named_a_page_at_a_time(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply stays small, and the work for it bounded; `next` says how far it is complete."""
    monkeypatch.setattr(reader, "SINGLES", 50)
    write(path)
    tamper(path, 'DELETE FROM log WHERE "offset" BETWEEN 11 AND 390')
    log = open_log(path)

    pages = [log.fetch("", 0), log.fetch("status.", 60, limit=20), log.fetch("", 388)]

    assert [(len(page.records), len(page.damaged), page.next) for page in pages] == [
        (10, 50, 60),
        (0, 20, 80),
        (10, 2, 400),
    ]
    assert check(log) == list(range(11, 391))


@pytest.mark.fault(item="F56")
def test_damage_is_found_before_anybody_asks_for_what_is_lost(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records that are there at the start are examined once, some at a time."""
    monkeypatch.setattr(reader, "EXAMINED", 100)
    write(path)
    tamper(path, 'DELETE FROM log WHERE "offset" IN (120, 330)')
    log = open_log(path)
    append(log, ("work.0.", "new"))

    found = []
    for _ in range(5):
        log.examine()
        found.append(log.damaged)

    assert found == [0, 1, 1, 2, 2]


def test_a_start_reads_a_bounded_part_of_large_events(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not read has no known predecessors, which subscribers ask for."""
    monkeypatch.setattr(reader, "LAST_BYTES", 5000)
    write(path)

    newest = open_log(path).last_topics(1000)

    assert newest == [(offset, topic_of(offset)) for offset in range(EVENTS - len(newest) + 1, EVENTS + 1)]
    assert 5 <= len(newest) <= 40


@pytest.mark.fault(item="F56")
def test_a_damaged_topic_does_not_hide_its_record_from_those_who_want_it(open_log: OpenLog, path: Path) -> None:
    """Who reads one topic is told as well: nobody can know what topic it had."""
    write(path)
    tamper(path, "UPDATE log SET topic = 'status.2.' WHERE \"offset\" = 60")  # it was status.0.

    assert open_log(path).fetch("status.0.", 55, 65).damaged == [60]


@pytest.mark.fault(item="F56")
def test_a_reader_behind_a_damaged_record_is_not_told_that_there_is_nothing_new(open_log: OpenLog, path: Path) -> None:
    """After a crash the end of the log is read again, to know the newest of each topic: one of them is not known."""
    log = open_log(path)
    append(log, ("a.", 1), ("b.", 2), ("c.", 3), ("b.", 4))
    log._release()  # as a crash leaves it
    tamper(path, 'DELETE FROM log WHERE "offset" = 3')

    for _ in range(2):
        log = open_log(path)
        assert [log.newest(prefix) for prefix in ("a.", "b.", "c.", "d.")] == [3, 4, 3, 3]
        assert log.last_topics(10) == [(4, "b.")], "the chain begins anew behind it"
        assert log.fetch("c.", 0).damaged == [3]
        assert [record.topic for record in log.latest("", 10).records] == ["a.", "b."]
        log.close()


@pytest.mark.fault(item="F56")
def test_retention_that_meets_a_damaged_page_stops_and_says_so(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the process at every start. Reading and publishing go on."""
    table = write(path)
    content = bytearray(table.content)
    leaf = table.starts[3]
    content[leaf] = 0  # no kind of page
    path.write_bytes(content)
    log = open_log(path)
    remove_oldest(log, 2)
    monkeypatch.setattr(log._trimmer, "cut", lambda _head: (100, "age"))

    assert not log.trim()
    monkeypatch.undo()
    assert not log.trim()
    assert "is damaged where retention would remove events" in caplog.text
    append(log, ("work.0.", "new"))
    assert log.fetch("", EVENTS).records
