"""Reads a log's file from end to end while no service has it, changes not one byte, and says what is wrong with it."""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from bus.config.limits import DEFAULT_LIMITS
from bus.eventlog import damage, row_checksums, schemas, sql
from bus.eventlog.connection import undecoded
from bus.eventlog.errors import LogError
from bus.eventlog.files import holder
from bus.eventlog.log import APPLICATION_ID
from bus.eventlog.log import SQL as LOG_SQL
from bus.eventlog.pages import checksum
from bus.eventlog.reader import Reader
from bus.eventlog.versions import OWN

SQL: Final = sql.load("bus.eventlog", "verification.sql")
MOST: Final = 1000  # damaged records that are looked for, and findings of one kind
BACKUP: Final = "restore the file from a backup"
AT_OPENING: Final = "start its service: it says whether it can use the file"
MAKES_ANEW: Final = "an index is damaged; its service makes it anew at its next start"
AT_START: Final = "its service sets it aside at its next start, and restores what can be restored"
NO_STATE: Final = {"damaged_rows", "sqlite_sequence", "sqlite_stat1"}
Stores = Mapping[str, Mapping[str, str]]


class Finding(NamedTuple):
    """Something that is not as it was written."""

    file: str
    what: str
    advice: str


class Extent(NamedTuple):
    """What a database holds: events, rows of state with a checksum, and those that an earlier version wrote bare."""

    events: int
    rows: int
    bare: int


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that no service has, so that neither it nor a file beside it is changed.

    With a write-ahead log it is copied first, as SQLite cannot read the two without writing.

    Raises:
        LogError: a service has it, it cannot be read, or there is no room for the copy.
    """
    wal = Path(f"{path}-wal")
    for one in (path, wal, path.with_suffix(".lock"), path.with_suffix(".head")):
        if one.exists() and not one.is_file():  # a pipe would be waited for
            raise LogError(f"{one} is no regular file; move it away, or restore it from a backup")
    with _locked(path), tempfile.TemporaryDirectory(prefix="variantbus-") as folder:
        source, options = path, "?immutable=1"
        try:
            if wal.exists() and wal.stat().st_size:
                source, options = Path(folder, path.name), ""
                shutil.copyfile(path, source)
                shutil.copyfile(wal, f"{source}-wal")
            source.open("rb").close()
        except OSError as error:
            raise LogError(f"{path} cannot be read, or not be copied to {folder}: {error.strerror}") from error
        with closing(sqlite3.connect(source.absolute().as_uri() + options, uri=True, isolation_level=None)) as db:
            # without a file of shared memory, for which the folder may have no room: it would look like damage
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            row_checksums.register(db)
            yield db


def verify(db: sqlite3.Connection, path: Path, stores: Stores) -> Iterator[Finding]:
    """Yield all that is wrong with an open database; `stores` are those that may have tables in it."""
    file = path.name
    try:
        if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            yield Finding(file, "is no variantbus log", "move it away, or restore it from a backup")
            return
        for (text,) in db.execute(f"PRAGMA integrity_check({MOST})"):
            for line in text.splitlines():
                if line != "ok" and not line.startswith("***"):
                    yield Finding(file, line, MAKES_ANEW if damage.OF_INDEXES.match(line) else AT_OPENING)
        found = schemas.objects_in(db)
        yield from _versions(db, file, stores, found)
        yield from _records(db, file, has_removed="removed" in found)
        yield from _head(db, path)
        for name, (kind, _, _) in found.items():
            if kind == "table" and (table := row_checksums.describe(db, name)):
                yield from _rows(db, file, table)
        if "damaged_rows" in found:
            for row in damage.waiting(db, None):
                what = f"a row of {row.table} was set aside as damaged earlier and is not restored"
                yield Finding(file, what, "what it said is lost; see the log of its service")
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        why = undecoded(error) if isinstance(error, UnicodeDecodeError) else str(error)
        yield Finding(file, f"cannot be read on: {why}", BACKUP)


def extent(db: sqlite3.Connection) -> Extent:
    """Return how much a database holds, as far as it can be counted."""
    events = rows = bare = 0
    with suppress(sqlite3.Error, UnicodeDecodeError):
        for name, (kind, _, _) in schemas.objects_in(db).items():
            if kind != "table":
                continue
            (count,) = db.execute(f'SELECT count(*) FROM "{name}"').fetchone()  # noqa: S608 - a name of our own
            if name in row_checksums.RECORDS:
                events += count
            elif row_checksums.describe(db, name):
                rows += count
            elif name not in NO_STATE:
                bare += count
    return Extent(events, rows, bare)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep services out meanwhile, unless none has ever opened the file."""
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise LogError(f"{path} is in use by {holder(path)}; stop that one first") from None
    finally:
        os.close(lock)


def _versions(db: sqlite3.Connection, file: str, stores: Stores, found: schemas.Objects) -> Iterator[Finding]:
    """Yield stores of newer versions, and tables that are not as this version creates them."""
    versions = {OWN: db.execute("PRAGMA user_version").fetchone()[0], **dict(db.execute(SQL["select_scopes"]))}
    others = sorted(versions.keys() - stores.keys() - {OWN})
    if stores and others and not versions.keys() & stores.keys():
        yield Finding(file, f"is of another service, which has tables called {', '.join(others)}", BACKUP)
    for store, statements in {OWN: LOG_SQL, **stores}.items():
        version, known = versions.get(store), schemas.version_of(statements)
        if isinstance(version, int) and version > known:
            yield Finding(
                file, f"has version {version} of the {store} tables; {known} is known here", "use a newer program"
            )
        elif version == known and (wrong := schemas.difference(statements["schema"], found)):
            yield Finding(file, f"{wrong} is not as this program creates it", BACKUP)


def _records(db: sqlite3.Connection, file: str, *, has_removed: bool) -> Iterator[Finding]:
    """Yield the records that are damaged or missing, as ranges."""
    first, last, counter = db.execute(SQL["select_ends"]).fetchone()
    removed = db.execute(SQL["select_removed"]).fetchone() if has_removed else None
    at = removed[0] if removed and isinstance(removed[0], int) else (first or 1) - 1
    head = counter if isinstance(counter, int) else last or 0
    if last not in (None, counter):
        yield Finding(file, f"its newest event is {last}, its counter says {counter!r:.40}", "its service corrects it")
        head = min(last, head)
    damaged: list[int] = []
    reader = Reader(db, DEFAULT_LIMITS, at + 1)
    while at < head and len(damaged) < MOST:
        for offset, row in reader.rows(at, head):
            at = offset
            if row is None:
                damaged.append(offset)
    for low, high in ranges(damaged):
        which = f"event {low} is" if low == high else f"events {low} to {high} are"
        yield Finding(
            file, f"{which} damaged or missing", "subscribers are told; restore a backup if what it said matters"
        )
    for row in db.execute(SQL["select_kept"]):
        if checksum(*row[:4]) != row[4]:
            topic = row[1].decode("ascii", "backslashreplace")
            yield Finding(file, f"the newest event of {topic} is damaged", "subscribers are told")


def _head(db: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    """Yield what the head file says otherwise."""
    head, advice = path.with_suffix(".head"), "a new epoch begins at the next start"
    try:
        epoch, noted = (int(field) for field in head.read_bytes()[:64].split())
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        yield Finding(head.name, "cannot be read, or does not hold an epoch and an offset", advice)
        return
    if epoch not in {one for (one,) in db.execute(SQL["select_epochs"])}:
        yield Finding(head.name, f"names the epoch {epoch}, which {path.name} does not know", advice)
    counter = db.execute(SQL["select_ends"]).fetchone()[2] or 0  # there is none before the first event
    if not isinstance(counter, int) or counter < noted:
        yield Finding(path.name, f"has lost its end: it ends at {counter}, once it reached {noted}", advice)


def _rows(db: sqlite3.Connection, file: str, table: row_checksums.Table) -> Iterator[Finding]:
    """Yield the damaged rows of a table of state."""
    for values, intact in row_checksums.rows(db, table):
        if not intact:
            key = damage.key_of(table, values)
            yield Finding(file, f"a row of the table {table.name} is damaged: {key}", AT_START)


def ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return growing numbers as ranges, each with its first and its last."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found
