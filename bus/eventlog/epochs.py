"""The epochs of a log: a new one begins where what others were told may have been lost."""

import sqlite3
from pathlib import Path
from typing import Final

from bus.eventlog import sql
from bus.eventlog.files import LogFile, boot_id, new_epoch
from bus.eventlog.opening import report_lost_end
from bus.protocol.frames import Epochs

SQL: Final = sql.load("bus.eventlog", "epochs.sql")


class EpochTable:
    """The epochs of one log, and how it was left."""

    def __init__(self, db: sqlite3.Connection, kept: int) -> None:
        """Read the newest epochs, at most so many; a new log has none."""
        self._db, self._kept = db, kept
        self.known: Epochs = self._read()

    def settle(self, path: Path, file: LogFile, head: int, *, doubtful: bool) -> None:
        """Keep the epoch only if nothing that others were told can have been rolled back; `doubtful`: it can."""
        left = self._db.execute(SQL["select_closing"]).fetchone()
        noted_epoch, noted_head = file.read_head()
        replaced = noted_epoch is not None and noted_epoch not in (epoch for epoch, _ in self.known)
        report_lost_end(path, head, noted_epoch, noted_head, replaced=replaced)
        safe = left is not None and (left[0] or left[1] == boot_id())
        if not self.known or not safe or noted_head > head or replaced or doubtful:
            self.begin(head)
        self._note(is_clean=False)

    def begin(self, head: int) -> None:
        """Begin an epoch behind an offset."""
        self._db.execute(SQL["insert_epoch"], (new_epoch(), head))
        self.known = self._read()

    def note_clean(self) -> None:
        """Note that the log is closed in good order: the next opening keeps the epoch."""
        self._note(is_clean=True)

    def _note(self, *, is_clean: bool) -> None:
        self._db.execute(SQL["upsert_closing"], {"clean": int(is_clean), "boot_id": boot_id()})

    def _read(self) -> Epochs:
        return self._db.execute(SQL["select_epochs"], (self._kept,)).fetchall()
