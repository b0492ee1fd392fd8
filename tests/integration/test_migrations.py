"""Older databases are brought to this version, after a copy; wherever that is cut off, the next start goes on."""

import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from bus.eventlog import schemas
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from variantbus.cli.verify import STORES

OpenLog = Callable[..., Log]
FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
VERSIONS: Final = sorted(path.name for path in FIXTURES.glob("version-*.tar.xz"))
pytestmark = pytest.mark.fault(item="F53")


@pytest.fixture(params=[(version, service) for version in VERSIONS for service in STORES], ids="-".join)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a database that an earlier version wrote."""
    version, service = request.param
    with tarfile.open(FIXTURES / version) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "data" / f"{service}.db"


def open_all(open_log: OpenLog, path: Path) -> Log:
    """Open a log with the tables of its service."""
    log = open_log(path)
    for store, statements in STORES[path.stem].items():
        log.create_tables(store, statements)
    return log


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all tables with the columns that the first version had, but for what opening changes."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        found = {}
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})") if row[1] not in ("crc", "version")]
            rows = db.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall()  # noqa: S608 - names of our own
            found[name] = sorted(rows, key=repr)
        return {name: rows for name, rows in found.items() if name not in ("closing", "epochs", "scopes")}


def copies(path: Path) -> list[Path]:
    """Return the copies that migrations have made."""
    return sorted(path.parent.glob(f"{path.name}.before-migration-*"))


def test_all_is_there_and_the_schema_is_that_of_a_new_file(open_log: OpenLog, old: Path) -> None:
    """There are not two histories of a schema: what migrations make is what a new file gets."""
    before = content(old)

    log = open_all(open_log, old)
    made = schemas.objects_in(log._db)
    log.close()

    assert before.items() <= content(old).items()  # and a table may be new
    new = open_all(open_log, old.parent / "new" / old.name)
    assert made == schemas.objects_in(new._db)
    (copy,) = copies(old)
    assert content(copy) == before


def test_a_migration_is_made_once(open_log: OpenLog, old: Path) -> None:
    """The next start finds nothing to do, and makes no copy."""
    open_all(open_log, old).close()
    for copy in copies(old):
        copy.unlink()

    open_all(open_log, old).close()

    assert copies(old) == []


def test_a_crash_at_any_statement_leaves_what_the_next_start_completes(
    open_log: OpenLog, old: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The files are copied before each statement, as a crash would leave them; one copy for people is enough."""
    before = content(old)
    crashes: list[Path] = []

    def watched(script: str) -> Iterator[str]:
        for statement in split(script):
            crashes.append(tmp_path / f"crash-{len(crashes)}")
            shutil.copytree(old.parent, crashes[-1])
            yield statement

    split = schemas.split
    with monkeypatch.context() as watching:
        watching.setattr(schemas, "split", watched)
        open_all(open_log, old).close()

    assert crashes
    for crash in crashes:
        log = open_all(open_log, crash / old.name)
        log.close()
        assert before.items() <= content(crash / old.name).items()
        assert len(copies(crash / old.name)) == 1


@pytest.mark.parametrize(
    ("fault", "why"), [("no room", r"it needs [1-9]\d* KiB of free space"), ("a folder in its place", "")]
)
def test_without_a_copy_nothing_is_changed(
    open_log: OpenLog, old: Path, monkeypatch: pytest.MonkeyPatch, fault: str, why: str
) -> None:
    """The sentence says what is missing; once it is there, the next start migrates."""
    before = content(old)
    with monkeypatch.context() as broken:
        if fault == "no room":
            broken.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        else:
            head = dict(content(old)["sqlite_sequence"])["log"]
            (old.parent / f"{old.name}.before-migration-{head}.unfinished").mkdir()
        with pytest.raises(LogError, match=rf"was not changed, as no copy of it can be made first: {why}.*; make room"):
            open_all(open_log, old)

    assert before.items() <= content(old).items()
    for folder in old.parent.glob("*.unfinished"):
        folder.rmdir()
    open_all(open_log, old).close()
    assert before.items() <= content(old).items()


def test_a_version_from_before_the_first_migration_is_refused(open_log: OpenLog, tmp_path: Path) -> None:
    """Nothing knows how to go on from there."""
    log = open_log(tmp_path / "test.db")
    log.create_tables("test", {"schema": "CREATE TABLE t (a);"})

    with pytest.raises(LogError, match="has version 1 of the test tables, which is too old"):
        log.create_tables("test", {"schema": "CREATE TABLE t (a, b);", "migration_3": "ALTER TABLE t ADD COLUMN b;"})
