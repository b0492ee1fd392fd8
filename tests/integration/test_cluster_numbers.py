"""The numbers of ends are kept with the positions: in the same transaction, and over a restart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bus.eventlog.log import Log
from learning_service.cluster.numbers import Key, Lost, Numbered, Numbers

KEY = Key("machine-1", 7)
Told = list[tuple[Key, Lost]]


def numbers(log: Log) -> tuple[Numbers, Told]:
    """Return the numbers of a file, and what they tell."""
    told: Told = []
    return Numbers(log, lambda *lost: told.append(lost)), told


def note(log: Log, known: Numbers, *ends: tuple[int, int]) -> None:
    """Write ends in one transaction."""
    with log.transaction() as tx:
        known.note(tx, [Numbered(KEY, *end) for end in ends])


def test_what_was_seen_is_known_after_a_restart(open_log: Callable[..., Log], tmp_path: Path) -> None:
    """So a loss is noticed whichever process has seen the ends before it."""
    log = open_log(tmp_path / "learning.db")
    known, _ = numbers(log)
    note(log, known, (1, 0), (3, 1))
    again, told = numbers(log)
    note(log, again, (4, 3))
    assert told == [(KEY, Lost(2, 1))]
    assert again._seen == numbers(log)[0]._seen == {KEY: (4, frozenset())}


def test_what_was_not_committed_was_not_seen(open_log: Callable[..., Log], tmp_path: Path) -> None:
    """It is read again; a loss that it showed is told then."""
    log = open_log(tmp_path / "learning.db")
    known, told = numbers(log)

    def fail() -> None:
        with log.transaction() as tx:
            known.note(tx, [Numbered(KEY, 3, 1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (known._seen, told) == ({}, [])
    note(log, known, (3, 1))
    assert told == [(KEY, Lost(1, 1))]
