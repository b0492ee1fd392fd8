"""What is to be told, what was told, and how far the feed was read: one file, each step one transaction.

A message is noted together with the position behind the event that it is about, and removed when it has arrived. So
after `kill -9` none is lost; one that was just being sent may be sent again.
"""

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bus.eventlog import sql
from bus.protocol.validation import DECODE_ERRORS
from bus.subscriber.delivery import Delivery, Position
from variantbus.notify.news import KINDS, Kind, Told

SQL: Final = sql.load("variantbus.notify", "outbox.sql")
FIRST_REST_SECONDS: Final = 2.0  # after a message did not arrive; doubled each time
LONGEST_REST_SECONDS: Final = 600.0
DAY_SECONDS: Final = 86_400.0  # after which it is given up
PRIVATE: Final = 0o600
DAMAGED: Final = (*DECODE_ERRORS, TypeError)  # TypeError: of a column that is no blob
logger = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A message that has not arrived yet; its words are made when it is sent."""

    id: int
    experiment_id: str
    kinds: tuple[Kind, ...]
    target: str
    made_at: float
    attempts: int


class Outbox:
    """The file of the notifier. Not for several processes."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        path.touch(PRIVATE)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + SQL["schema"])

    def positions(self) -> dict[tuple[str, str], Position]:
        """Return how far each prefix of each publisher was read."""
        rows = self._db.execute(SQL["select_positions"])
        return {(source, prefix): Position(epoch, offset) for source, prefix, epoch, offset in rows}

    def told(self, experiment_id: str) -> Told | None:
        """Return what was told of an experiment; None if it is new, or its row is damaged: rather twice than never."""
        row = self._db.execute(SQL["select_told"], (experiment_id,)).fetchone()
        try:
            return msgspec.msgpack.decode(row[0], type=Told) if row else None
        except DAMAGED as error:
            logger.error("%s: what was told of it cannot be read: %s", experiment_id, error)  # noqa: TRY400
            return None

    def note(
        self, at: Delivery, experiment_id: str, told: Told, kinds: tuple[Kind, ...], targets: Iterable[str], now: float
    ) -> None:
        """Note what is told of an experiment, to whom, and the event that was read for it."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(SQL["upsert_told"], (experiment_id, msgspec.msgpack.encode(told)))
            encoded = msgspec.msgpack.encode(kinds)
            self._db.executemany(
                SQL["insert_waiting"], [(experiment_id, encoded, target, now, now) for target in targets]
            )
            self._read(at)

    def forget(self, at: Delivery, experiment_id: str) -> None:
        """Forget an experiment that was deleted."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(SQL["delete_told"], (experiment_id,))
            self._db.execute(SQL["delete_waiting_of"], (experiment_id,))
            self._read(at)

    def due(self, now: float) -> Waiting | None:
        """Return the message that has waited longest for its turn."""
        row = self._db.execute(SQL["select_due"], (now,)).fetchone()
        if row is None:
            return None
        number, experiment_id, encoded, *rest = row
        try:
            kinds = msgspec.msgpack.decode(encoded, type=tuple[Kind, ...])
        except DAMAGED:
            kinds = KINDS  # what of it is not true is left out
        return Waiting(number, experiment_id, kinds, *rest)

    def remove(self, message: Waiting) -> None:
        """Remove a message: it has arrived, or is given up."""
        self._db.execute(SQL["delete_waiting"], (message.id,))

    def postpone(self, message: Waiting, now: float) -> None:
        """Try a message again later."""
        rest = min(FIRST_REST_SECONDS * 2**message.attempts, LONGEST_REST_SECONDS)
        self._db.execute(SQL["postpone"], (now + rest, message.id))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _read(self, at: Delivery) -> None:
        self._db.execute(SQL["upsert_position"], (at.source, at.prefix, at.epoch, at.offset))
