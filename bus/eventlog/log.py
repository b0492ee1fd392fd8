"""The log: one SQLite file in which a service writes its state and, in the same transaction, what it publishes.

So there is never a state change without its message, nor a message without its state change. The log knows nothing
of sockets: a publisher registers with `on_commit` and gets the records once they are safe.
"""

import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.eventlog import connection, damage, own_tables, sql
from bus.eventlog.appending import append, can_append
from bus.eventlog.checkpoints import Checkpoints
from bus.eventlog.damage import DamagedRow
from bus.eventlog.disk_faults import database_fault
from bus.eventlog.epochs import EpochTable
from bus.eventlog.errors import DiskError, LogError, StorageError
from bus.eventlog.files import LogFile
from bus.eventlog.newest import NewestIndex, indexed
from bus.eventlog.opening import check_files, is_new, not_a_log, refusal
from bus.eventlog.pages import Listing, Page
from bus.eventlog.reader import Reader, is_damage
from bus.eventlog.replicas import Recorder, Replicator
from bus.eventlog.retention import Clock, Trimmer
from bus.eventlog.space import Space, begin_shrinkable, make_shrinkable, space_of
from bus.eventlog.tables import Tables
from bus.eventlog.transaction import Transaction
from bus.eventlog.trimming import Trimming
from bus.eventlog.versions import OWN
from bus.protocol.control import PAGE_LIMIT
from bus.protocol.frames import Epochs, Record

Durability = Literal["normal", "full"]
SQL: Final = sql.load("bus.eventlog", "log.sql")
APPLICATION_ID: Final = 0x76427573  # "vBus"
STALE_SECONDS: Final = 30.0  # services retry every second, so an old failure has no unwritten transaction
logger = logging.getLogger(__name__)


class Log:
    """A service's database file with its log; used by one thread, and by one process at a time."""

    def __init__(
        self,
        path: Path,
        *,
        keep_newest: tuple[str, ...] = (),
        durability: Durability = "normal",
        limits: Limits = DEFAULT_LIMITS,
        clock: Clock | None = None,
    ) -> None:
        """Open or create the file.

        `keep_newest`: the beginnings of topics whose newest record is the whole state of something; retention never
        takes it. `durability`: `normal` survives a crash of the process; `full` survives a power cut too, for
        an fsync (some tenths of a millisecond and up) a commit. `limits` say how much is kept, too; see `trim`.

        Raises:
            LogError: another process has it, it is no log, it is damaged, or its folder cannot be written.
        """
        self.path, self.limits = path, limits
        self._process = os.getpid()
        self._on_commit: list[Callable[[list[Record]], None]] = []
        self._begin: Callable[[sqlite3.Connection, int], Transaction] = Transaction
        self._synced = True
        self.head = 0  # the newest offset
        self._failed_at: float | None = None  # monotonic time of a transaction that could not be written, until one is
        self.write_failures = 0
        self._file = LogFile(path)
        try:
            with ExitStack() as opened:  # what is closed again if anything fails
                opened.callback(self._file.close)
                self._absent = not check_files(path)
                self._db = opened.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
                self._open()
                self._full = durability == "full"
                self._set_synchronous(full=self._full)
                self._index = NewestIndex(self._db, self._reader.topics(indexed(self._db), self.head))
                self._trimmer = Trimmer(self._db, self._reader, limits, clock or Clock(), keep_newest)
                self._checkpoints = opened.enter_context(closing(Checkpoints(self._db, path)))
                self._trimming = Trimming(
                    self._db, self._trimmer, self._reader, self._index, self.transaction, self._checkpoints
                )
                self._opened_at = self.head
                opened.pop_all()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter from a message that quotes a damaged schema
            raise refusal(error, path) from error

    @contextmanager
    def transaction(self, *, sync: bool = False) -> Iterator[Transaction]:
        """Open a transaction: it commits at the end of the block, an exception rolls all of it back.

        `sync` makes this one survive a power cut whatever the durability: for what a person typed.

        Raises:
            StorageError: nothing can be written now.
            DiskError: the disk failed, and the process has to end.
        """
        tx = self._begin(self._db, self.limits.body_bytes)
        try:
            self._set_synchronous(full=sync or self._full)
            self._db.execute("BEGIN IMMEDIATE")
            yield tx
            for prepare in tx.committing:
                prepare()
            records = append(self._db, self.head, tx.appended)
            if isinstance(tx, Recorder):
                tx.pass_on(self.head)
            self._db.execute("COMMIT")
        except BaseException as error:
            tx.release()
            if self._db.in_transaction:  # SQLite has rolled back by itself when the disk is full
                self._db.execute("ROLLBACK")
            fault = database_fault(error, self.path) if isinstance(error, sqlite3.Error) else error
            if isinstance(fault, StorageError):
                self._failed_at = time.monotonic()
                self.write_failures += 1
            if fault and fault is not error:
                raise fault from error
            raise
        self._failed_at = None
        self._publish(tx, records)

    def _publish(self, tx: Transaction, records: list[Record]) -> None:
        """Call the observers with the committed records."""
        if records:
            self.head = records[-1].offset
            self._index.note((record.offset, record.topic) for record in records)
            for callback in self._on_commit:  # first of all: this is what travels fast
                callback(records)
        for committed in tx.committed:
            committed()
        tx.release()
        if records and self._index.due:  # a transaction of its own, which has no records
            self._write_index()
        self._checkpoints.go_on()

    def on_commit(self, callback: Callable[[list[Record]], None]) -> None:
        """Call back with the records of each transaction after its commit, in order."""
        self._on_commit.append(callback)

    def replicate(self, replicator: Replicator) -> None:
        """From now on pass on what each transaction changes, before its commit; an exception of that rolls it back."""
        self._begin = partial(Recorder, replicator)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise what an error of the database means: `StorageError` if it may be gone soon, `DiskError` otherwise."""
        try:
            yield
        except sqlite3.Error as error:
            if fault := database_fault(error, self.path):
                raise fault from error
            raise

    def query(self, statement: str, params: Any = ()) -> list[Any]:
        """Return rows of the service's own tables.

        Raises:
            StorageError: nothing can be read now.
            DiskError: the disk failed, and the process has to end.
        """
        try:  # not by `_reading`, which would cost a third of a short query
            return self._db.execute(statement, params).fetchall()
        except sqlite3.Error as error:
            if fault := database_fault(error, self.path):
                raise fault from error
            raise

    def query_page(self, statement: str, params: Any, limit: int) -> tuple[list[Any], bool]:
        """Return up to `limit` rows, whose last columns (blobs) fill at most a page, and whether there may be more.

        Raises:
            StorageError, DiskError: as for `query`.
        """
        rows, size = [], 0
        with self._reading(), closing(self._db.execute(statement, params)) as cursor:
            for row in cursor:
                rows.append(row)
                size += len(row[-1])
                if len(rows) == limit or size >= self.limits.page_bytes:
                    return rows, True
        return rows, False

    def fetch(self, prefix: str, after: int, until: int | None = None, limit: int = PAGE_LIMIT) -> Page:
        """Return the records with a prefix and an offset in (after, until], at most `limit` and about 1 MiB of them.

        At most `scan_events` records are looked at; `Page.next` says how far the page is complete. Of each offset that
        is not in the page, it is certain that its record has another topic.

        Raises:
            StorageError, DiskError: as for `query`.
        """
        with self._reading():
            return self._reader.page(prefix, after, min(self.head if until is None else until, self.head), limit)

    def examine(self) -> None:
        """Read some of the records that were there at the start, once; `damaged` then counts those that are.

        Raises:
            StorageError, DiskError: as for `query`.
        """
        with self._reading():
            self._reader.examine(self._opened_at)

    def newest(self, prefix: str) -> int:
        """Return the newest offset with a prefix, 0 if there is none.

        Raises:
            StorageError, DiskError: as for `query`.
        """
        with self._reading():
            return self._index.newest(prefix)

    def latest(self, prefix: str, limit: int, after_topic: str = "") -> Listing:
        """Return the newest record of each topic with a prefix, in order, behind `after_topic`, 1 MiB at most."""
        with self._reading():
            return self._reader.listing(self._index.page(prefix, after_topic, limit), limit)

    def forget(self, prefix: str, limit: int) -> bool:
        """Let `latest` no longer return topics with a prefix, at most `limit` at once; return whether there are more.

        Retention keeps none of their records; a new one brings its topic back. Raises `StorageError` as `trim` does.
        """
        with self.transaction() as tx:
            tx.forgotten = prefix
            count = self._index.forget(prefix, limit)
        self._index.written()
        return count == limit

    def trim(self) -> bool:
        """Remove, for some milliseconds, what the retention does not allow; return whether there is more.

        The newest record of each topic of `keep_newest` stays, and `latest` returns it.

        Raises:
            StorageError: nothing can be written now.
        """
        try:
            with self._reading():
                return self._trimming.run(self.head)
        except DiskError as error:
            if not is_damage(error.__cause__):
                raise
            self._trimming.stop()  # reading goes on
            logger.error("%s is damaged where retention would remove events, so it stops: %s", self.path, error)  # noqa: TRY400 - no bug of ours
        return False

    @property
    def removed(self) -> Counter[str]:
        """How many events retention has taken since the start, by reason."""
        return self._trimming.removed

    @property
    def size(self) -> int:
        """Bytes of the topics and bodies of all events; `trim` counts them, from the oldest one on."""
        return self._trimmer.size

    @property
    def space(self) -> Space:
        """The bytes of the file's pages, in use and free."""
        return space_of(self._db)

    def last_topics(self, count: int) -> list[tuple[int, str]]:
        """Return offset and topic of the newest `count` records, oldest first; none that is before a damaged one."""
        return self._reader.last_topics(self.head - count, self.head)

    @property
    def epochs(self) -> Epochs:
        """The newest epochs, each with the head at its start, oldest first."""
        return self._epochs.known

    @property
    def epoch(self) -> int:
        """The present epoch: another one means that what others were told may have been lost."""
        return self._epochs.known[-1][0]

    @property
    def writable(self) -> bool:
        """Whether the last transaction could be written, and the last head noted; True if nobody has tried lately."""
        failed = self._failed_at is not None and time.monotonic() - self._failed_at < STALE_SECONDS
        return not failed and self._file.head_noted

    @property
    def first(self) -> int:
        """The oldest offset that is kept; head + 1 if none is."""
        return self._reader.first

    @property
    def damaged(self) -> int:
        """How many damaged records were found since the start."""
        return len(self._reader.damaged)

    def create_tables(self, store: str, statements: Mapping[str, str]) -> None:
        """Create a store's own tables in this file, bring those of an older version to this one, and check them.

        `statements`: `schema` creates the tables as they are now; each `migration_N` brings version N-1 to N, and the
        highest N is the version (1 without any). The file is copied before its first migration.

        In a table with a column `crc INTEGER`, behind all others, each row has a checksum, which no statement has to
        write. Rows that fail it are moved to `damaged_rows`. They are what `damaged_rows` returns, until the store has
        repaired them and called `mark_repaired`. A new epoch begins, since what others were told may be lost.

        Raises:
            LogError: the tables are of a newer version, are not as this program creates them, or are damaged.
        """
        try:
            damaged = self._tables.open(store, statements)
            if damaged:
                self._epochs.begin(self.head)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise refusal(error, self.path) from error

    def damaged_rows(self, store: str | None = None) -> list[DamagedRow]:
        """Return the rows of a store (of all stores) that were set aside and are not repaired, oldest first."""
        with self._reading():
            return damage.waiting(self._db, store)

    def mark_repaired(self, tx: Transaction, rows: Iterable[DamagedRow]) -> None:
        """Note, with the repair, that rows are repaired or no longer needed: `damaged_rows` does not return them."""
        damage.mark_repaired(tx, rows)

    def sync_head(self) -> None:
        """Write the head to the small synced file beside the database, in any thread; called about once a second.

        Raises:
            LogError: a file of the log was removed or replaced, or its disk failed.
        """
        self._file.write_head(lambda: (self.epoch, self.head))

    def close(self) -> None:
        """Close in good order: the next opening keeps the epoch. In a forked child nothing happens."""
        if os.getpid() != self._process:
            return  # the files, and whoever holds a lock at the moment, are the parent's
        self._checkpoints.wait()
        try:
            self._write_index()
            self._set_synchronous(full=True)
            self._epochs.note_clean()
            self.sync_head()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, OSError) as error:  # a full disk: what was committed is safe all the same
            logger.error("%s was not closed cleanly: %s", self.path, error)  # noqa: TRY400 - no bug of ours
        finally:
            self._release()

    def _release(self) -> None:
        self._checkpoints.close()
        self._db.close()
        self._file.close()

    def _set_synchronous(self, *, full: bool) -> None:
        """NORMAL survives the death of the process, not a power cut; FULL does, for an fsync a commit."""
        if full != self._synced:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._synced = full

    def _write_index(self) -> None:
        """Update the table of newest records; after a transient error it lags further behind."""
        with suppress(StorageError):
            with self.transaction():
                self._index.write()
            self._index.written()

    def _open(self) -> None:
        """Check whose file it is, create the tables of a new one, and settle the epoch, all synced to disk."""
        (application_id,) = self._db.execute("PRAGMA application_id").fetchone()
        new = application_id == 0 and is_new(self._db, self._file, SQL["schema"], absent=self._absent)
        if not new and application_id != APPLICATION_ID:
            raise not_a_log(self._db, self.path, self._file)
        if new:
            begin_shrinkable(self._db)
        connection.configure(self._db)  # only now: the journal mode is written into the file
        if new:
            own_tables.clear(self._db)
        self._tables = Tables(self._db, self.path)
        damaged = self._tables.open(OWN, SQL)
        make_shrinkable(self._db, self.path)
        if new:
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")  # last: until here it counts as new
        noted_epoch, noted_head = self._file.read_head()
        self.head, agreed = own_tables.settle_head(self._db, noted_head)
        self._reader = Reader(self._db, self.limits, own_tables.settle_first(self._db, self.head))
        own_tables.repair(self._db, self._reader, self.head, noted_epoch)
        self._epochs = EpochTable(self._db, self.limits.epochs_kept)
        self._epochs.settle(self.path, self._file, self.head, doubtful=bool(damaged) or not agreed)
        self.sync_head()
        if not can_append(self._db, self._reader, self.head):
            raise LogError(f"{self.path} is damaged where its next event would be; restore it from a backup")
        if new:  # so that the main file alone is a log, whatever becomes of the others
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
