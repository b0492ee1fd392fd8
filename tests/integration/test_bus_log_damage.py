"""Damaged and foreign files: what is refused as a whole, and what costs one record."""

from collections.abc import Callable
from pathlib import Path

import pytest

import bus.eventlog.log
from bus.eventlog import schemas
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from bus.eventlog.pages import checksum
from tests.support.helpers import append
from tests.support.log_files import fill, offsets, tamper

OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.sqlite"


def foreign_database(path: Path) -> None:
    """Make a database of another program."""
    tamper(path, "CREATE TABLE things (name TEXT)")


def another_applications_file(path: Path) -> None:
    """Make a database with the id of another program."""
    tamper(path, "PRAGMA application_id = 7")


def newer_log(path: Path) -> None:
    """Make a log of a newer version of this program."""
    Log(path).close()
    tamper(path, "PRAGMA user_version = 99")


def text_file(path: Path) -> None:
    """Write some text."""
    path.write_text("These are my notes.\n" * 100, encoding="utf-8")


def garbage(path: Path) -> None:
    """Write what only begins like a database."""
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)


@pytest.mark.fault(item="F18")
@pytest.mark.fault(item="F47")
@pytest.mark.parametrize("make", [foreign_database, another_applications_file, newer_log, text_file, garbage])
def test_a_file_that_is_no_log_is_refused_and_left_as_it_is(
    open_log: OpenLog, path: Path, make: Callable[[Path], None]
) -> None:
    """The error names the file; not one byte of it is changed, and the lock is released."""
    path.parent.mkdir()
    make(path)
    before = path.read_bytes()

    for _ in range(2):
        with pytest.raises(LogError, match=r"test\.sqlite"):
            open_log(path)

    assert path.read_bytes() == before


@pytest.mark.fault(item="F18")
def test_a_log_that_was_emptied_is_refused(open_log: OpenLog, path: Path) -> None:
    """An empty file in place of a log is not silently begun anew, as its head file tells."""
    log = open_log(path)
    fill(log, 1)
    log.close()
    path.write_bytes(b"")

    with pytest.raises(LogError, match="no variantbus log"):
        open_log(path)


def test_a_file_whose_creation_was_cut_off_is_completed(open_log: OpenLog, path: Path) -> None:
    """A process may die between the first table and the last setting."""
    path.parent.mkdir()
    tamper(path, next(schemas.split(bus.eventlog.log.SQL["schema"])))
    tamper(path, "PRAGMA user_version = 1")

    log = open_log(path)
    fill(log, 1)

    assert offsets(log) == [1]


@pytest.mark.fault(item="F17")
@pytest.mark.parametrize(
    ("good", "bad"),
    [(b"txt2img", b"txt3img"), (b"queued_at", b"queue\xff_at"), (b"a.b.", b"a.c."), (b"a.b.", b"a\xffb.")],
)
def test_a_flipped_byte_in_the_file_costs_one_record(open_log: OpenLog, path: Path, good: bytes, bad: bytes) -> None:
    """The record is listed as damaged and not delivered, the others are, and the log goes on."""
    log = open_log(path)
    append(log, ("x.", 1), ("a.b.", 2))
    log.close()
    whole = path.read_bytes()
    # records grow from the end of a page, so the first hit that follows the marker of the second record is its own
    start = whole.index(b"a.b.", whole.index(b"CREATE TABLE scopes"))
    at = whole.index(good, start)
    path.write_bytes(whole[:at] + bad[: len(good)] + whole[at + len(good) :])
    log = open_log(path)
    fill(log, 1)

    page = log.fetch("", 0)

    assert page.damaged == [2]
    assert [record.offset for record in page.records] == [1, 3]
    assert log.last_topics(10) == [(3, "a.")]


@pytest.mark.fault(item="F17")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log SET body = body || x'FF' WHERE \"offset\" = 2",
        "UPDATE log SET topic = 'a.b.' WHERE \"offset\" = 2",
        'UPDATE log SET time_ns = time_ns + 1 WHERE "offset" = 2',
        'UPDATE log SET crc = crc + 1 WHERE "offset" = 2',
    ],
)
def test_a_damaged_record_is_listed_and_the_others_are_given(
    open_log: OpenLog, path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The checksum covers body, topic and time; one bad record does not stop the rest."""
    log = open_log(path)
    fill(log, 3)
    log.close()
    tamper(path, damage)
    log = open_log(path)

    page = log.fetch("", 0)

    assert page.damaged == [2]
    assert [record.offset for record in page.records] == [1, 3]
    assert page.next == 3
    assert "record 2 is damaged or missing" in caplog.text


def test_a_damaged_record_is_not_among_the_latest(open_log: OpenLog, path: Path) -> None:
    """The newest record of a topic is left out if it is damaged."""
    log = open_log(path)
    append(log, ("a.", 1), ("b.", 2))
    with log.transaction() as tx:
        tx.execute("UPDATE log SET body = x'80' WHERE \"offset\" = 1")

    records, behind, damaged = log.latest("", 10)

    assert [record.offset for record in records] == [2]
    assert not behind
    assert damaged == [1]


def test_the_checksum_covers_all_that_a_record_says() -> None:
    """Every field changes it."""
    one: tuple[int, bytes, int, bytes] = (1, b"a.", 2, b"x")
    others = [(2, b"a.", 2, b"x"), (1, b"b.", 2, b"x"), (1, b"a.", 3, b"x"), (1, b"a.", 2, b"y")]

    assert len({checksum(*each) for each in [one, *others]}) == 5
