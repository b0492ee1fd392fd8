"""The numbers of ends: a runner counts its own, and says up to where all are acknowledged. So a reader sees a loss.

Servers may lose what they have acknowledged, and say nothing of it: a copy that comes back empty may win an election,
and what is written next takes the places of what was lost. Then no place is missing, but a number is.
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import checked
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.cluster", "numbers.sql")
TABLE: Final = "end_numbers"


class Key(NamedTuple):
    """A runner and the epoch of its log, with which its numbers begin anew."""

    runner: str
    epoch: int


class Numbered(NamedTuple):
    """Which end it is of a runner, and up to which one all were acknowledged before it was sent."""

    key: Key
    number: int
    complete: int


class Seen(NamedTuple):
    """All numbers up to `complete` were seen or told as lost, and those `above`."""

    complete: int = 0
    above: frozenset[int] = frozenset()

    def after(self, number: int, complete: int) -> tuple["Seen", "Lost | None"]:
        """Return what was seen with one more end, and what it shows to be lost."""
        above = self.above | {number} if number > self.complete else self.above
        lost = None
        if complete > self.complete:
            there = {one for one in above if one <= complete}
            if count := complete - self.complete - len(there):
                lost = Lost(_first_missing(self.complete, there), count)
            above, reached = above - there, complete
        else:
            reached = self.complete
        while reached + 1 in above:
            reached += 1
            above -= {reached}
        return Seen(reached, above), lost


class Lost(NamedTuple):
    """So many ends of a runner were acknowledged and are not there; the number of the first of them."""

    first: int
    ends: int


class Numbers:
    """Keeps them; what is written becomes known with the commit of its transaction."""

    def __init__(self, log: Log, on_lost: Callable[[Key, Lost], None]) -> None:
        """Create the table if it is not there. `on_lost` is called behind the commit of what shows a loss."""
        create_tables(log)
        rows = log.query(SQL["select"])
        self._seen = {Key(runner, epoch): Seen(at, frozenset(json.loads(above))) for runner, epoch, at, above in rows}
        self._on_lost = on_lost

    def note(self, tx: Transaction, ends: Iterable[Numbered]) -> None:
        """Write that ends were seen, in their order."""
        changed: dict[Key, Seen] = {}
        lost: list[tuple[Key, Lost]] = []
        for end in ends:
            seen = changed.get(end.key) or self._seen.get(end.key, Seen())
            changed[end.key], missing = seen.after(end.number, end.complete)
            if missing:
                lost.append((end.key, missing))
        if changed:
            rows = [(*key, seen.complete, json.dumps(sorted(seen.above))) for key, seen in changed.items()]
            tx.executemany(SQL["upsert"], checked(TABLE, rows))
            tx.after_commit(partial(self._committed, changed, lost))

    def _committed(self, changed: dict[Key, Seen], lost: list[tuple[Key, Lost]]) -> None:
        self._seen |= changed
        for one in lost:
            self._on_lost(*one)


def create_tables(log: Log) -> None:
    """Create the table if it is not there."""
    log.create_tables("end_numbers", SQL)


def _first_missing(complete: int, there: set[int]) -> int:
    first = complete + 1
    while first in there:
        first += 1
    return first
