"""Into whose streams the ends of a runner go: their numbers mean nothing in another cluster."""

from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from pipeline_runner.cluster.store import ClusterStore, EndRow

SQL: Final = sql.load("pipeline_runner.cluster", "joining.sql")


def create_tables(log: Log) -> None:
    """Create the table if it is not there."""
    log.create_tables("joined", SQL)


def join(log: Log, store: ClusterStore, created: int) -> bool:
    """Note whose streams are used, by when that of ends was made; return whether it was another one before.

    Then numbers begin anew with the ends that wait, as the other ones are not there; and nothing is acknowledged at the
    places of jobs in the streams before, where others are by now.

    Raises:
        StorageError: it cannot be written now.
    """
    rows = log.query(SQL["select"])
    if rows == [(created,)]:
        return False
    waiting = [row for row in store.owed() if row.state == "waiting"]
    with log.transaction(sync=True) as tx:
        tx.execute(SQL["delete"])
        tx.execute(SQL["insert"], (created,))
        if rows:
            tx.execute(SQL["delete_ends"])
            store.write(tx, [EndRow(log.epoch, at, row.job_id, "waiting") for at, row in enumerate(waiting, 1)])
            store.take(tx, dict.fromkeys(store.tickets, ""))
    return bool(rows)
