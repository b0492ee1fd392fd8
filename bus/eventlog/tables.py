"""The tables of a store in a log's file: created, brought from older versions to this one, and checked when opened."""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bus.eventlog import damage, migrating, row_checksums, schemas
from bus.eventlog.copies import copy_before_migration
from bus.eventlog.errors import LogError
from bus.eventlog.versions import OWN, set_version, version_in

RECORDS: Final = "log"  # may be gigabytes, so they are checked as they are read
WHOLE_BYTES: Final = 256 << 20  # of a file whose pages are all checked when it is opened: about a second
logger = logging.getLogger(__name__)


class Tables:
    """Opens the tables of each store in one file."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Open none yet; `path` is for messages and for the copy that is made before a migration."""
        self._db, self._path = db, path
        row_checksums.register(db)
        migrating.register(db)

    def open(self, store: str, statements: Mapping[str, str]) -> int:
        """Create, migrate and check the tables of a store; return how many damaged rows were set aside.

        Raises:
            LogError: the tables are of a newer version, are not as this program creates them, or are damaged.
        """
        schema, newest = statements["schema"], schemas.version_of(statements)
        version, found = version_in(self._db, store), 0
        if store == OWN and self._size() <= WHOLE_BYTES and (wrong := damage.wrong_across_tables(self._db)):
            raise self._damaged(wrong)
        if self._is_current(schema) and (version is None or (version < newest and store == OWN)):
            set_version(self._db, store, newest)  # the row with the number was damaged, or the number
        elif version is None:
            self._create(store, schema, newest)
        elif version > newest:
            what = f"{self._path} has version {version} of the {store} tables, this program knows {newest}"
            copy = f"{self._path.name}.before-migration-…"
            raise LogError(
                f"{what}: a newer program wrote them; use that one, or put back the copy {copy} that it made"
            )
        elif version < newest:
            found = self._migrate(store, version, statements)
        self._require(schema)
        found += self._check(store, schemas.tables_of(schema))
        for table in self._checked(schemas.tables_of(schema)):
            if row_checksums.needs_triggers(table.name, schemas.without(statements)):
                row_checksums.add_triggers(self._db, table)
        return found

    def _create(self, store: str, schema: str, version: int) -> None:
        there = schemas.objects_in(self._db)
        if strange := [name for name in schemas.tables_of(schema) if name in there]:
            what = f"{self._path} has a table {strange[0]} that is not of this service"
            raise LogError(f"{what}; put the right file there, or restore it from a backup")
        with transaction(self._db):
            for statement in schemas.split(schema):
                self._db.execute(statement)
            for table in self._checked(schemas.tables_of(schema)):
                row_checksums.renew(self._db, table)
            set_version(self._db, store, version)

    def _is_current(self, schema: str) -> bool:
        return schemas.difference(schema, schemas.objects_in(self._db)) is None

    def _require(self, schema: str) -> None:
        if wrong := schemas.difference(schema, schemas.objects_in(self._db)):
            raise self._damaged(f"{wrong} is not as this program creates it")

    def _migrate(self, store: str, version: int, statements: Mapping[str, str]) -> int:
        """Bring the tables to the newest version, one version and one transaction at a time.

        Return how many damaged rows were set aside before: a migration gives all rows new checksums.
        """
        newest = schemas.version_of(statements)
        if missing := [step for step in range(version + 1, newest + 1) if f"migration_{step}" not in statements]:
            what = f"{self._path} has version {version} of the {store} tables"
            known = f"this program knows {missing[-1]} to {newest}"
            raise LogError(
                f"{what}, {known}: an early program wrote them; use that one, or move the file away to begin anew"
            )
        copy_before_migration(self._db, self._path, store, version)
        there = schemas.objects_in(self._db)
        names = list(dict.fromkeys([*schemas.tables_of(statements["schema"]), *schemas.dropped_by(statements)]))
        found = self._check(store, [name for name in names if name in there])
        for step in range(version + 1, newest + 1):
            with transaction(self._db):
                for statement in schemas.split(statements[f"migration_{step}"]):
                    self._db.execute(statement)
                for table in self._checked(names):
                    row_checksums.renew(self._db, table)
                set_version(self._db, store, step)
                if step == newest:
                    self._require(statements["schema"])  # before this step is written
        logger.info("%s: the %s tables are now of version %d", self._path, store, newest)
        return found

    def _check(self, store: str, names: list[str]) -> int:
        """Set damaged rows aside; return how many there were."""
        try:
            with transaction(self._db):
                return sum(damage.set_aside(self._db, store, name) for name in names if name != RECORDS)
        except sqlite3.OperationalError:
            raise  # a full disk, or one that fails
        except (LogError, sqlite3.DatabaseError) as error:
            raise self._damaged(str(error)) from error

    def _checked(self, names: Iterable[str]) -> Iterator[row_checksums.Table]:
        """Yield those tables that are there and have checksums by now."""
        for name in names:
            if table := row_checksums.describe(self._db, name):
                yield table

    def _damaged(self, what: str) -> LogError:
        return LogError(f"{self._path} is damaged: {what}; restore it from a backup (`variantbus verify` says more)")

    def _size(self) -> int:
        pages, size = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * size)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite may have rolled back by itself
            db.execute("ROLLBACK")
        raise
