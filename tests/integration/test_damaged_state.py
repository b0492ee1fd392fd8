"""State rows that fail their checksum: each costs itself, is named, and is handed to its store."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from bus.eventlog.own_tables import settle_head
from bus.eventlog.points import log_points
from tests.support.log_files import fill, offsets, spoil_page, tamper

OpenLog = Callable[..., Log]
STATE: Final = {
    "schema": """
        CREATE TABLE named (name TEXT PRIMARY KEY, value REAL, body BLOB, crc INTEGER) WITHOUT ROWID;
        CREATE INDEX named_by_value ON named (value, name);
        CREATE TABLE numbered (
            number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE CHECK (length(name) < 10), crc INTEGER
        );
    """
}
pytestmark = pytest.mark.fault(item="F52")


@pytest.fixture
def _intact_rows() -> None:
    """Let rows be damaged when a log is closed, which fails every other test."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


@pytest.fixture
def reopen(open_log: OpenLog, path: Path) -> Callable[[], Log]:
    """Open the log with the tables of a store."""

    def make() -> Log:
        log = open_log(path)
        try:
            log.create_tables("test", STATE)
        except LogError:
            log.close()
            raise
        return log

    return make


@pytest.fixture
def filled(reopen: Callable[[], Log], path: Path) -> Path:
    """Return a closed file with three rows in each table, whose statements know nothing of checksums."""
    log = reopen()
    with log.transaction() as tx:
        for n, name in enumerate(("apple", "birch", "cedar"), 1):
            tx.execute("INSERT INTO named (name, value, body) VALUES (?, ?, ?)", (name, n, bytes(50)))
            tx.execute("INSERT INTO numbered (name) VALUES (?)", (name,))
    fill(log, 4)
    log.close()
    return path


def flip(path: Path, good: bytes, bad: bytes, after: bytes = b"") -> None:
    """Change bytes of the file where they stand first behind others."""
    whole = path.read_bytes()
    at = whole.index(good, whole.index(after))
    path.write_bytes(whole[:at] + bad + whole[at + len(good) :])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE named SET value = 7 WHERE name = 'birch'",
        "UPDATE named SET value = '2' || x'ff' WHERE name = 'birch'",
        "UPDATE named SET body = CAST(x'ff00fe' AS TEXT) WHERE name = 'birch'",
        "UPDATE named SET name = CAST(x'62c3' AS TEXT) WHERE name = 'birch'",
        "UPDATE named SET body = NULL WHERE name = 'birch'",
        "UPDATE named SET crc = NULL WHERE name = 'birch'",
        "UPDATE named SET crc = 'x' WHERE name = 'birch'",
    ],
)
def test_a_damaged_row_costs_itself(
    reopen: Callable[[], Log], filled: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """It is set aside and named, the others are there, and a new epoch begins; after a repair nothing is left of it."""
    log = reopen()
    epoch = log.epoch
    log.close()
    tamper(filled, damage)

    log = reopen()
    assert log.query("SELECT name FROM named") == [("apple",), ("cedar",)]
    assert log.query("SELECT name FROM numbered") == [("apple",), ("birch",), ("cedar",)]
    assert "a row of the table named fails its checksum and is set aside" in caplog.text
    assert log.epoch != epoch
    assert log.epochs[-1] == (log.epoch, 4)
    (row,) = log.damaged_rows("test")
    assert row.table == "named"
    assert set(row.values) == {"name", "value", "body"}
    assert log.damaged_rows("other") == []
    assert log.damaged_rows() == [row]
    assert ("variantbus_log_damaged_rows", {"table": "named"}, 1) in list(log_points(log))

    with log.transaction() as tx:
        tx.execute("INSERT INTO named (name, value) VALUES ('birch', 2)")
        log.mark_repaired(tx, [row])
    assert log.damaged_rows("test") == []
    log.close()
    log = reopen()
    assert log.query("SELECT name FROM named") == [("apple",), ("birch",), ("cedar",)]
    assert offsets(log) == [1, 2, 3, 4]


def test_a_flipped_key_is_found_where_no_search_would_find_it(reopen: Callable[[], Log], filled: Path) -> None:
    """The row stands out of order in its table and in the index, which are written anew."""
    flip(filled, b"apple", b"zpple")

    log = reopen()

    left = log.query("SELECT name FROM named ORDER BY value")
    assert left in ([("birch",), ("cedar",)], [("apple",), ("birch",), ("cedar",)])
    assert [row.table for row in log.damaged_rows("test")] == ["named"] * (3 - len(left))
    assert log.query("PRAGMA integrity_check") == [("ok",)]


def test_an_index_that_lacks_a_row_is_made_anew_and_named(
    reopen: Callable[[], Log], filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its pages are sound, so only the count of its entries tells."""
    with closing(sqlite3.connect(filled)) as db:
        db.execute("PRAGMA writable_schema = ON")
        (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'named_by_value'").fetchone()
        partial = f"{sql} WHERE name <> 'birch'"
        db.execute("DROP INDEX named_by_value")
        db.execute(partial)
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'named_by_value'", (sql,))
        db.commit()

    log = reopen()

    assert "named: row 2 missing from index named_by_value; the table and its indexes are written again" in caplog.text
    assert log.query("SELECT name FROM named ORDER BY value") == [("apple",), ("birch",), ("cedar",)]
    assert log.damaged_rows() == []


def test_a_damaged_index_is_made_anew(
    reopen: Callable[[], Log], filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost by it: the rows are those of the table."""
    spoil_page(filled, "named_by_value")

    log = reopen()

    assert log.query("SELECT name FROM named ORDER BY value") == [("apple",), ("birch",), ("cedar",)]
    assert log.damaged_rows() == []
    assert "its indexes are made anew" in caplog.text


def test_damaged_pages_of_a_table_are_refused(reopen: Callable[[], Log], filled: Path) -> None:
    """Rows may be missing without a trace, so the file is not used."""
    spoil_page(filled, "named")

    with pytest.raises(LogError, match=r"test\.db is damaged: the table named .*; restore it from a backup"):
        reopen()


def test_the_index_of_newest_records_is_made_anew_from_the_log(reopen: Callable[[], Log], filled: Path) -> None:
    """Its pages may be damaged: all that it says stands in the log."""
    spoil_page(filled, "latest")

    log = reopen()

    assert [record.offset for record in log.latest("", 10).records] == [4]
    assert log.damaged_rows() == []


def test_a_table_is_not_written_again_where_that_would_free_pages_of_another(
    reopen: Callable[[], Log], filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a large file this is looked at only when something is wrong."""
    monkeypatch.setattr("bus.eventlog.tables.WHOLE_BYTES", 0)
    with closing(sqlite3.connect(filled)) as db:
        pages = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
    begin_at(filled, "named", pages["latest"])

    with pytest.raises(LogError, match="the table named is damaged"):
        reopen()

    begin_at(filled, "named", pages["named"])
    assert reopen().query("SELECT count(*) FROM named") == [(3,)]


def test_the_index_of_newest_records_is_not_made_anew_where_more_is_damaged(
    reopen: Callable[[], Log], filled: Path
) -> None:
    """Its pages may be those of another table."""
    spoil_page(filled, "latest")
    with closing(sqlite3.connect(filled)) as db:
        pages = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
    begin_at(filled, "numbered", pages["log"])

    with pytest.raises(LogError, match="is damaged"):
        reopen()


def test_a_table_that_breaks_its_own_rules_is_refused(open_log: OpenLog, path: Path) -> None:
    """Without checksums nobody knows which row is wrong."""
    log = open_log(path)
    statements = {"schema": "CREATE TABLE plain (value INTEGER CHECK (value > 0));"}
    log.create_tables("plain", statements)
    log.query("PRAGMA ignore_check_constraints = ON")
    log.query("INSERT INTO plain VALUES (-1)")
    log.query("PRAGMA ignore_check_constraints = OFF")

    with pytest.raises(LogError, match="the table plain is damaged: CHECK constraint failed"):
        log.create_tables("plain", statements)


def test_a_damaged_note_of_a_damaged_row_has_no_values(reopen: Callable[[], Log], filled: Path) -> None:
    """Whoever repairs finds nothing, and goes on."""
    for number, row in enumerate((b"\xc1", b"\x01", "text")):
        tamper(filled, "INSERT INTO damaged_rows VALUES (?, 'test', 'named', '', ?, 1.0, NULL)", (number + 1, row))

    assert [row.values for row in reopen().damaged_rows("test")] == [{}, {}, {}]


def test_an_error_of_the_disk_is_no_damage(open_log: OpenLog, path: Path) -> None:
    """While tables are looked at, too, it is refused as what it is."""
    log = open_log(path)
    log.create_tables("test", STATE)
    begun: list[str] = []
    log._db.set_trace_callback(begun.append)
    log._db.set_progress_handler(lambda: int("integrity_check" in begun[-1]), 1)

    with pytest.raises(LogError, match="interrupted"):
        log.create_tables("test", STATE)

    log._db.set_progress_handler(None, 0)
    log._db.set_trace_callback(None)
    log.create_tables("test", STATE)


def test_an_error_of_the_disk_is_no_damaged_end() -> None:
    """The end of the log is not given up because it cannot be read now."""

    class Failing(sqlite3.Connection):
        def execute(self, statement: str, _: object = (), /) -> sqlite3.Cursor:
            if "max(" in statement:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute("SELECT 5")

    with (
        closing(sqlite3.connect(":memory:", factory=Failing)) as db,
        pytest.raises(sqlite3.OperationalError, match="disk I/O error"),
    ):
        settle_head(db, 5)


@pytest.mark.parametrize("name", ["named", "numbered", "named_by_value", "latest", "log", "epochs", "scopes"])
def test_a_table_that_seems_to_begin_elsewhere_is_refused_and_loses_nothing(
    reopen: Callable[[], Log], filled: Path, name: str
) -> None:
    """Each bit of the page where it begins: another table must not be read, and not be written, in its place."""
    whole = filled.read_bytes()
    with closing(sqlite3.connect(filled)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    for bit in range(7):
        filled.write_bytes(whole)
        begin_at(filled, name, page ^ 1 << bit)
        with pytest.raises(LogError, match=r"restore it from a backup|cannot open|is no variantbus log"):
            reopen()
        begin_at(filled, name, page)
        log = reopen()
        assert log.query("SELECT name FROM named ORDER BY value") == [("apple",), ("birch",), ("cedar",)]
        assert offsets(log) == [1, 2, 3, 4]
        assert log.damaged_rows() == []
        log.close()


def begin_at(path: Path, name: str, page: int) -> None:
    """Say that a table or index begins at another page."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", (page, name))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"value REAL", b"value TEXT"),
        (b"PRIMARY KEY, value", b"PRIMARY K\xe9Y, value"),
        (b"length(name) < 10", b"length(name) < 90"),
        (b"(value, name)", b"(value, nbme)"),
    ],
)
def test_a_changed_schema_is_refused(reopen: Callable[[], Log], filled: Path, good: bytes, bad: bytes) -> None:
    """A flipped bit in the text of a CREATE statement must not change what is stored, or how."""
    flip(filled, good, bad)

    with pytest.raises(LogError, match="restore it from a backup"):
        reopen()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE latest SET \"offset\" = 1 WHERE topic = 'a.'",
        'UPDATE indexed SET "offset" = 1000',
        "DELETE FROM indexed",
        'UPDATE removed SET "offset" = 2',
        "DELETE FROM removed",
        "UPDATE epochs SET epoch = epoch + 1",
        "UPDATE closing SET boot_id = boot_id || '1', clean = 1",
        "UPDATE scopes SET version = 9",
        "UPDATE scopes SET version = 0",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 2",
    ],
)
def test_damaged_rows_of_the_log_itself_are_made_up_for(reopen: Callable[[], Log], filled: Path, damage: str) -> None:
    """Readers go on: the epochs that they know are known, the newest records are found, nothing is to be repaired."""
    log = reopen()
    epochs = log.epochs
    log.close()
    tamper(filled, damage)

    log = reopen()

    assert {epoch for epoch, _ in epochs} <= {epoch for epoch, _ in log.epochs}
    assert [record.offset for record in log.latest("", 10).records] == [4]
    assert log.damaged_rows() == []
    fill(log, 1)
    assert offsets(log) == [1, 2, 3, 4, 5]
    assert log.query("SELECT count(*) FROM named") == [(3,)]


@pytest.mark.parametrize("counter", [1, 400, "x", None])
def test_a_wrong_counter_gives_no_offset_twice(reopen: Callable[[], Log], filled: Path, counter: object) -> None:
    """The newest record decides, and a new epoch says so."""
    log = reopen()
    epoch = log.epoch
    log.close()
    tamper(filled, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'log'", (counter,))

    log = reopen()
    fill(log, 1)

    assert offsets(log) == [1, 2, 3, 4, 5]
    assert log.epoch != epoch
    log.close()
    assert reopen().head == 5


@pytest.mark.parametrize("noted", [4, 2])
def test_a_damaged_offset_behind_the_end_is_no_end(reopen: Callable[[], Log], filled: Path, noted: int) -> None:
    """The next offset is the one that follows the newest that was given out, also where the head file lags behind."""
    tamper(filled, 'UPDATE log SET "offset" = 1048580 WHERE "offset" = 4')
    tamper(filled, "UPDATE sqlite_sequence SET seq = 4 WHERE name = 'log'")
    head = filled.with_suffix(".head")
    epoch = head.read_text(encoding="ascii").split()[0]
    head.write_text(f"{epoch} {noted:020}\n", encoding="ascii")

    log = reopen()

    assert log.head == 4
    fill(log, 1)
    assert log.head == 5


def test_damaged_rows_are_kept_through_a_migration(open_log: OpenLog, filled: Path) -> None:
    """A migration gives all rows new checksums; those that were wrong before are set aside first."""
    tamper(filled, "UPDATE named SET value = 7 WHERE name = 'birch'")
    newer = STATE["schema"].replace("body BLOB, crc INTEGER", "body BLOB, crc INTEGER, kind TEXT NOT NULL DEFAULT ''")
    log = open_log(filled)

    log.create_tables(
        "test", {"schema": newer, "migration_2": "ALTER TABLE named ADD COLUMN kind TEXT NOT NULL DEFAULT '';"}
    )

    assert log.query("SELECT name, kind FROM named") == [("apple", ""), ("cedar", "")]
    assert [row.values["value"] for row in log.damaged_rows("test")] == [7.0]
