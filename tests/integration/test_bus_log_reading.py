"""Reading the log: pages of a fetch, the newest record of each topic."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.eventlog.log import Log
from bus.protocol.control import PAGE_BYTES, SCAN_LIMIT
from tests.support.helpers import append, job
from tests.support.log_files import remove_oldest

OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.sqlite"


def fill(log: Log, count: int, topic: str = "a.") -> None:
    """Log `count` messages in one transaction."""
    append(log, *((topic, n) for n in range(count)))


def offsets(log: Log, prefix: str = "", after: int = 0) -> list[int]:
    """Return the offsets of all records with a prefix."""
    return [record.offset for record in log.fetch(prefix, after).records]


def test_a_fetch_gives_pages_that_join_without_gap_or_overlap(open_log: OpenLog, path: Path) -> None:
    """Following `next` with any limit gives each record of the prefix once, in order."""
    log = open_log(path)
    append(log, *((f"{'ab'[n % 3 == 0]}.x.", n) for n in range(20)))
    for prefix, limit in itertools.product(["", "a.", "b.", "b.x.", "c."], [1, 2, 3, 7, 100]):
        found, after = [], 0
        while after < log.head:
            page = log.fetch(prefix, after, limit=limit)
            assert len(page.records) <= limit
            assert page.next > after
            found += page.records
            after = page.next

        assert found == log.fetch(prefix, 0).records
        assert all(record.topic.startswith(prefix) for record in found)


def test_a_fetch_ends_at_until(open_log: OpenLog, path: Path) -> None:
    """The range is (after, until], cut at the head."""
    log = open_log(path)
    fill(log, 5)

    assert [record.offset for record in log.fetch("", 1, 3).records] == [2, 3]
    assert log.fetch("", 1, 3).next == 3
    assert log.fetch("", 1, 99).next == 5
    assert log.fetch("", 9, 99).records == []


def test_a_page_ends_with_the_record_that_takes_it_over_the_byte_limit(open_log: OpenLog, path: Path) -> None:
    """A reply is about 1 MiB at most, and never empty for a large record."""
    log = open_log(path)
    append(log, *(("a.", "x" * (PAGE_BYTES // 3)) for _ in range(4)))

    page = log.fetch("", 0)

    assert [record.offset for record in page.records] == [1, 2, 3]
    assert page.next == 3
    assert log.fetch("", 3).next == 4


def test_a_fetch_looks_at_a_bounded_number_of_records(open_log: OpenLog, path: Path) -> None:
    """A rare prefix cannot stall the publisher: the page says how far it is complete."""
    log = open_log(path)
    with log.transaction() as tx:
        tx.append("rare.", job(0))
        for n in range(SCAN_LIMIT):
            tx.append("a.", job(n))
        tx.append("rare.", job(1))

    first = log.fetch("rare.", 0)
    second = log.fetch("rare.", first.next)

    assert ([record.offset for record in first.records], first.next) == ([1], SCAN_LIMIT)
    assert ([record.offset for record in second.records], second.next) == ([SCAN_LIMIT + 2], log.head)


def test_a_fetch_behind_retention_starts_at_the_first_that_is_kept(open_log: OpenLog, path: Path) -> None:
    """Offsets that retention has taken are not searched, and the page is complete beyond them."""
    log = open_log(path)
    fill(log, 5)
    remove_oldest(log, 3)

    assert log.first == 4
    assert offsets(log) == [4, 5]
    assert log.fetch("", 0, 2).next == 3


def test_latest_gives_the_newest_record_of_each_topic_in_pages(open_log: OpenLog, path: Path) -> None:
    """Pages in topic order join to the present state."""
    log = open_log(path)
    append(log, ("v.a.", 1), ("v.b.", 2), ("v.a.", 3), ("w.", 4), ("v.c.", 5), ("v.b.", 6))

    one, behind, _ = log.latest("v.", 2)
    two, end, _ = log.latest("v.", 2, behind)

    assert [(record.topic, record.offset) for record in [*one, *two]] == [("v.a.", 3), ("v.b.", 6), ("v.c.", 5)]
    assert (behind, end) == ("v.b.", "")
    assert [record.offset for record in log.latest("", 10)[0]] == [3, 6, 5, 4]


def test_a_page_of_latest_ends_at_the_byte_limit(open_log: OpenLog, path: Path) -> None:
    """Large records make more pages, not larger ones."""
    log = open_log(path)
    append(log, *((f"{name}.", "x" * (PAGE_BYTES // 2)) for name in "abc"))

    records, behind, _ = log.latest("", 10)

    assert [record.topic for record in records] == ["a.", "b."]
    assert behind == "b."


def test_newest_finds_the_last_offset_of_a_prefix(open_log: OpenLog, path: Path) -> None:
    """0 where there is none."""
    log = open_log(path)
    append(log, ("a.x.", 1), ("a.y.", 2), ("b.", 3))

    assert [log.newest(prefix) for prefix in ["", "a.", "a.x.", "b.", "c."]] == [3, 2, 1, 3, 0]
