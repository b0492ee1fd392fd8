"""Checksums of rows: what they cover, and who writes them."""

import sqlite3
from contextlib import closing

import pytest
from msgspec import msgpack

from bus.eventlog import migrating, schemas, sql
from bus.eventlog.row_checksums import Value, checked, needs_triggers, row_crc
from bus.eventlog.tables import transaction


def test_a_checksum_covers_the_table_and_every_value_with_its_type() -> None:
    """Where one of them is another, the checksum is another."""
    rows: list[tuple[Value, ...]] = [("t", 1, "a", b"x", None), ("u", 1, "a", b"x", None), ("t", 1.0, "a", b"x", None)]
    rows += [("t", "1", "a", b"x", None), ("t", 1, "a", "x", None), ("t", 1, b"a", b"x", None)]
    rows += [("t", 1, "a", b"x", 0), ("t", 1, "ax", b"", None)]

    assert len({row_crc(*row) for row in rows}) == len(rows)
    assert checked("t", [(1, "a")]) == [(1, "a", row_crc("t", 1, "a"))]


@pytest.mark.parametrize(
    ("statements", "needed"),
    [
        (["INSERT INTO t (a, crc) VALUES (?, ?)"], False),
        (
            ["INSERT INTO t (a, crc) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET a = excluded.a, crc = excluded.crc"],
            False,
        ),
        (["INSERT INTO t (a, crc) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET a = excluded.a"], True),
        (["INSERT INTO t (a, crc) VALUES (?, ?)", "UPDATE t SET a = 1"], True),
        (["INSERT INTO t (a) VALUES (?)"], True),
        (["INSERT INTO tt (a) VALUES (?)", "INSERT INTO t (a, crc) VALUES (?, ?)"], False),
        (["SELECT a FROM t"], True),
    ],
)
def test_a_table_needs_triggers_unless_each_statement_that_writes_it_gives_the_checksum(
    statements: list[str], needed: bool
) -> None:
    """Also one that no statement of its store writes: others may."""
    assert needs_triggers("t", statements) is needed


@pytest.mark.parametrize(
    ("package", "file", "table"),
    [
        ("learning_service.storage", "results.sql", "results"),
        ("pipeline_runner.queue", "store.sql", "jobs"),
    ],
)
def test_what_every_job_writes_has_no_triggers(package: str, file: str, table: str) -> None:
    """They would cost each of its writes some microseconds."""
    assert not needs_triggers(table, schemas.without(sql.load(package, file)))


def test_a_transaction_that_sqlite_has_rolled_back_by_itself_is_not_rolled_back_twice() -> None:
    """As it does when the disk is full; the error is that of the statement."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"), transaction(db):
            db.executescript("CREATE TABLE t (a NOT NULL); INSERT OR ROLLBACK INTO t VALUES (NULL);")
        assert not db.in_transaction


@pytest.mark.parametrize("count", [0, 1, 15, 16, 300])
def test_a_migration_joins_encoded_values_to_a_list(count: int) -> None:
    """NULL of none."""
    with closing(sqlite3.connect(":memory:")) as db:
        migrating.register(db)
        db.execute("CREATE TABLE t (value)")
        db.executemany("INSERT INTO t VALUES (?)", [(msgpack.encode({"a": number}),) for number in range(count)])
        ((found,),) = db.execute("SELECT msgpack_list(value) FROM t").fetchall()

    assert (msgpack.decode(found) if found else None) == ([{"a": number} for number in range(count)] or None)
