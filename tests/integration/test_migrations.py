"""Older databases are brought to this version, after a copy; wherever that is cut off, the next start goes on."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from msgspec import msgpack

from bus.eventlog import schemas
from bus.eventlog.errors import LogError
from bus.eventlog.log import SQL as LOG
from bus.eventlog.log import Log
from bus.eventlog.verification import opened
from bus.eventlog.versions import OWN
from tests.support.helpers import append
from tests.support.old_data import KNOWN, VERSIONS, is_older, unpack, versions_of
from variantbus.cli.verify import STORES

OpenLog = Callable[..., Log]
LATER: Final = {  # columns that the first version did not have
    *(("experiments", name) for name in ("status", "completed", "seconds", "summary")),
    *(("results", name) for name in ("images", "remarks")),
}
pytestmark = pytest.mark.fault(item="F53")
ALL = [(version, service) for version in VERSIONS for service in STORES]
OLDER = [pair for pair in ALL if is_older(*pair)]


@pytest.fixture(params=OLDER, ids="-".join)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a database that an earlier version wrote, and that has to be migrated."""
    version, service = request.param
    return unpack(version, tmp_path) / f"{service}.db"


def open_all(open_log: OpenLog, path: Path) -> Log:
    """Open a log with the tables of its service."""
    log = open_log(path)
    try:
        for store, statements in STORES[path.stem].items():
            log.create_tables(store, statements)
    except LogError:
        log.close()  # as the process would end
        raise
    return log


def content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all tables with the columns that the first version had, but for what opening changes."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        found = {}
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})") if row[1] not in ("crc", "version")]
            columns = sorted(column for column in columns if (name, column) not in LATER)
            rows = db.execute(f"SELECT {', '.join(columns)} FROM {name}").fetchall()  # noqa: S608 - names of our own
            found[name] = sorted(rows, key=repr)
        if "results" in found:
            found["pictures"] = pictures_in(db)
        return {name: rows for name, rows in found.items() if name not in ("closing", "epochs", "scopes")}


def pictures_in(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return the jobs that made each picture; the first versions had a table of them."""
    key = "experiment_id, job_id, variant_index, repeat_index"
    is_old = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'pictures'").fetchone()
    source = "image FROM pictures" if is_old else "images FROM results WHERE images IS NOT NULL"
    rows = db.execute(f"SELECT {key}, {source}")
    found = [(*job, msgpack.decode(made)) for *job, made in rows]
    return sorted((*job, repr(image)) for *job, made in found for image in ([made] if is_old else made))


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


@pytest.mark.parametrize("service", STORES)
def test_there_is_a_data_folder_of_every_version_that_is_migrated(service: str) -> None:
    """Who writes a migration adds the folder of the version before it (tests/fixtures/make_version.py)."""
    there = [versions_of(version, service) for version in VERSIONS]

    for store, statements in {OWN: LOG, **STORES[service]}.items():
        migrated = {int(name.removeprefix("migration_")) - 1 for name in statements if name.startswith("migration_")}
        missing = migrated - {versions[store] for versions in there}
        assert not missing, f"tests/fixtures has no data folder with version {missing} of the {store} tables"


@pytest.mark.parametrize(("version", "service"), ALL, ids="-".join)
def test_a_schema_changes_with_its_version_alone(version: str, service: str, tmp_path: Path) -> None:
    """Without a new version, the files that are out there would be refused as damaged."""
    path = unpack(version, tmp_path) / f"{service}.db"
    with opened(path) as db:
        found = schemas.objects_in(db)

    for store, statements in {OWN: LOG, **STORES[service]}.items():
        if versions_of(version, service)[store] == KNOWN[service][store]:
            assert schemas.difference(statements["schema"], found) is None, f"{store} needs a migration"


def test_a_migration_is_made_once(open_log: OpenLog, old: Path) -> None:
    """The next start finds nothing to do, and makes no copy."""
    open_all(open_log, old).close()
    for copy in copies(old):
        copy.unlink()

    open_all(open_log, old).close()

    assert copies(old) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "old",
    [*(pytest.param(one, marks=pytest.mark.exhaustive) for one in OLDER[:-1]), OLDER[-1]],
    indirect=True,
    ids="-".join,
)
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


@pytest.mark.fault(item="F62")
def test_damage_in_a_table_that_goes_is_set_aside_before(open_log: OpenLog, tmp_path: Path) -> None:
    """Otherwise a damaged picture would get a new checksum, with the row of its job, and nobody would see it."""
    path = unpack("version-3.tar.xz", tmp_path) / "learning.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        job, *_ = (name for (name,) in db.execute("SELECT job_id FROM pictures"))
        db.execute("UPDATE pictures SET image = x'00' WHERE job_id = ?", (job,))

    log = open_all(open_log, path)

    assert [(row.table, row.values["job_id"]) for row in log.damaged_rows()] == [("pictures", job)]
    assert log.query("SELECT images FROM results WHERE job_id = ?", (job,)) == [(None,)]


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


def test_a_version_from_before_the_first_migration_is_refused_and_left_as_it_is(
    open_log: OpenLog, tmp_path: Path
) -> None:
    """Nothing knows how to go on from there; so no step is taken, and no copy is made."""
    path = tmp_path / "test.db"
    log = open_log(path)
    log.create_tables("test", {"schema": "CREATE TABLE t (a);"})
    newest = {
        "schema": "CREATE TABLE t (a, b, c);",
        "migration_3": "ALTER TABLE t ADD COLUMN b;",
        "migration_4": "ALTER TABLE t ADD COLUMN c;",
    }

    with pytest.raises(LogError, match="has version 1 of the test tables, this program knows 2 to 4: an early"):
        log.create_tables("test", newest)

    assert copies(path) == []
    assert log.query("SELECT * FROM pragma_table_info('t')") == [(0, "a", "", 0, None, 0)]


def test_a_migration_that_does_not_end_in_the_schema_is_not_written(open_log: OpenLog, tmp_path: Path) -> None:
    """As with a table that somebody has changed; the program that wrote the file can still use it."""
    path = tmp_path / "test.db"
    log = open_log(path)
    older = {"schema": "CREATE TABLE t (a);"}
    newer = {"schema": "CREATE TABLE t (a, b);", "migration_2": "ALTER TABLE t ADD COLUMN b;"}
    log.create_tables("test", older)
    with log.transaction() as tx:
        tx.execute("ALTER TABLE t ADD COLUMN strange")

    with pytest.raises(LogError, match="t is not as this program creates it; restore it from a backup"):
        log.create_tables("test", newer)

    with log.transaction() as tx:
        tx.execute("ALTER TABLE t DROP COLUMN strange")
    log.create_tables("test", older)
    log.create_tables("test", newer)


@pytest.mark.fault(item="F80")
def test_each_migration_copies_what_is_there_and_the_copy_of_the_last_one_is_kept(
    open_log: OpenLog, tmp_path: Path
) -> None:
    """Also if no event was published between two, so that their copies have the same name."""
    path = tmp_path / "test.db"
    statements = {"schema": "CREATE TABLE t (a);"}
    log = open_log(path)
    log.create_tables("test", statements)
    for version, published in ((2, False), (3, False), (4, True)):
        with log.transaction() as tx:
            tx.execute("INSERT INTO t (a) VALUES (?)", (version,))
        if published:
            append(log, ("a.", 1))
        column = f"b{version}"
        statements = {
            **statements,
            "schema": statements["schema"].replace(");", f", {column});"),
            f"migration_{version}": f"ALTER TABLE t ADD COLUMN {column};",
        }
        log.create_tables("test", statements)

        (copy,) = copies(path)
        assert copy.name == f"test.db.before-migration-{int(published)}"
        with closing(sqlite3.connect(copy)) as db:
            assert [a for (a,) in db.execute("SELECT a FROM t")] == list(range(2, version + 1))


@pytest.mark.fault(item="F80")
def test_a_copy_that_cannot_be_read_or_was_cut_off_is_made_again(open_log: OpenLog, old: Path) -> None:
    """It is no copy."""
    head = dict(content(old)["sqlite_sequence"])["log"]
    for name in (f"{old.name}.before-migration-{head}", f"{old.name}.before-migration-{head}.unfinished"):
        old.with_name(name).write_bytes(b"something else")
    before = content(old)

    open_all(open_log, old).close()

    (copy,) = copies(old)
    assert content(copy) == before
