"""The file of a learning service that stands by: it does what the entries of the ledger say."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from bus.cluster.errors import ClusterRefusedError
from bus.cluster.tail import Stored
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.replicas import Entry, replay
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from bus.transport.steps import Steps
from learning_service.cluster import places
from learning_service.cluster.codec import Assembler, Began, Body, BrokenError
from learning_service.cluster.places import Place

AT_ONCE: Final = 16  # entries that are applied before others have their turn
FORGOTTEN_AT_ONCE: Final = 1000


class Replica:
    """Applies entries, in the loop's thread."""

    def __init__(self, log: Log, loop: Loop, place: Place, tables: dict[str, int]) -> None:
        """Continue at a place; `tables` are the versions of this program's stores."""
        self._log, self._loop, self._tables = log, loop, tables
        self._assembler = Assembler(place.link)
        self.place, self.last = place, place.sequence
        self.leads = ""  # the name of whoever began to lead last
        self.applied = 0

    def start(self, batch: Sequence[Stored], done: "Future[None]") -> None:
        """Apply messages, in steps; the future gets `BrokenError` if this file cannot go on with them."""
        if done.set_running_or_notify_cancel():
            self._loop.start(self._apply_all(batch, done))

    def _apply_all(self, batch: Sequence[Stored], done: "Future[None]") -> Steps[None]:
        try:
            for number, stored in enumerate(batch, 1):
                if body := self._take(stored):
                    place = Place(self.place.created, stored.sequence, self._assembler.link)
                    yield from self._until_written(body, place)
                self.last = stored.sequence  # not before: who has all of a ledger may lead
                if number % AT_ONCE == 0:
                    yield None
        except (BrokenError, ClusterRefusedError) as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    def _take(self, stored: Stored) -> Body | None:
        """Return the entry that a message completes."""
        if stored.sequence != self.last + 1:
            raise BrokenError(f"{self.last + 1} to {stored.sequence - 1} are missing")
        return self._assembler.take(stored.data)

    def _until_written(self, body: Body, place: Place) -> Steps[None]:
        """Do what an entry says; while there is no room on the disk, try again."""
        while True:
            try:
                if isinstance(body, Entry):
                    while body.forgotten and self._log.forget(body.forgotten, FORGOTTEN_AT_ONCE):
                        yield None
                self._write(body, place)
            except StorageError as error:
                room = Future[None]()
                retry_later(self._loop, error, partial(room.set_result, None))
                yield room
            except sqlite3.IntegrityError as error:
                raise BrokenError(f"this file is not as that of the leader was: {error}") from error
            else:
                return

    def _write(self, body: Body, place: Place) -> None:
        if isinstance(body, Began):
            self._check(body)
        with self._log.transaction() as tx:
            if isinstance(body, Entry):
                if body.head != self._log.head:
                    raise BrokenError(f"the next entry is behind the event {body.head}, this file has {self._log.head}")
                replay(tx, body, self._log.head)
            places.write(tx, place)
        self.place = place
        self.applied += 1

    def _check(self, began: Began) -> None:
        """Refuse to follow a newer program, whose statements would fail here."""
        newer = [name for name, version in began.tables.items() if version > self._tables.get(name, 0)]
        if newer:
            text = f"the learning service {began.name} is of a newer version, which has other tables ({newer[0]})"
            raise ClusterRefusedError(f"{text}; update this one too")
        self.leads = began.name
