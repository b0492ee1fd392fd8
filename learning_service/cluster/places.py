"""Up to where of the ledger a file is: written in the transaction of each entry."""

from typing import Final, NamedTuple

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import checked
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.cluster", "places.sql")


class Place(NamedTuple):
    """A place in a ledger: its creation, the last message of an entry, and the link of that."""

    created: int
    sequence: int
    link: bytes


def open_place(log: Log) -> Place | None:
    """Create the table if it is missing, and return the place; None if the file is of no ledger."""
    log.create_tables("ledger", SQL)
    rows = log.query(SQL["select"])
    return Place(*rows[0]) if rows else None


def write(tx: Transaction, place: Place) -> None:
    """Note the place with what is applied."""
    tx.execute(SQL["upsert"], checked("ledger_places", [(1, *place)])[0])


def leave(log: Log) -> None:
    """Let a file that is used without its cluster go its own way: it cannot follow the ledger any more."""
    if log.query(SQL["has_table"]) and log.query(SQL["select"]):
        with log.transaction() as tx:
            tx.execute(SQL["delete"])


def versions(log: Log) -> dict[str, int]:
    """Return the version of each store in a file."""
    return dict(log.query(SQL["select_versions"]))
