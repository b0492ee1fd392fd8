"""Deleted experiments: that they are, what is left of them here, and which runners have still to remove what they have.

The row of the experiment goes first, in the transaction that publishes its deletion: from then on nobody finds it. All
other rows of it go in small steps, which a restart continues.
"""

from collections.abc import Iterable
from typing import Final

from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol import topics
from learning_service.experiments.selection import FOLLOWED

SQL: Final = sql.load("learning_service.storage", "deletions.sql")
AT_ONCE: Final = (  # what removes one row, or few
    SQL["delete_entry"],
    SQL["delete_experiment"],
    SQL["delete_unsent"],
    SQL["delete_cancels"],
    SQL["delete_stale"],
    SQL["delete_search"],
    SQL["delete_layout"],
    SQL["delete_archived"],
    SQL["delete_shares"],
)
IN_STEPS: Final = (  # what may remove very many
    SQL["prune_variants"],
    SQL["prune_news"],
    SQL["prune_jobs"],
    SQL["prune_results"],
    SQL["prune_ratings"],
    SQL["prune_comparisons"],
    SQL["prune_late_events"],
)


class Deletions:
    """Reads and writes what is deleted; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there."""
        self._log = log
        log.create_tables("deletions", SQL)

    def has(self, experiment_id: str) -> bool:
        """Return whether an experiment was deleted, and not imported again since."""
        return self.when(experiment_id) is not None

    def when(self, experiment_id: str) -> float | None:
        """Return when an experiment was deleted, in unix seconds; None if it was not."""
        rows = self._log.query(SQL["select_deletion"], (experiment_id,))
        return float(rows[0][0]) if rows else None

    def is_under_way(self, experiment_id: str) -> bool:
        """Return whether some rows of a deleted experiment are still here."""
        return any(not pruned for _, pruned in self._log.query(SQL["select_deletion"], (experiment_id,)))

    def begin(self, tx: Transaction, experiment_id: str, runners: Iterable[str], now: float) -> None:
        """Delete an experiment; the runners have to remove what they have of it, and so has who ever had to before."""
        tx.execute(SQL["insert_deletion"], (experiment_id, now))
        tx.execute(SQL["repeat_purges_of"], (experiment_id,))
        tx.executemany(SQL["upsert_purge"], [(runner, experiment_id) for runner in runners])
        for statement in AT_ONCE:
            tx.execute(statement, (experiment_id,))
        for base in FOLLOWED:
            tx.execute(SQL["delete_positions"], (topics.build(base, experiment_id),))

    def next_unpruned(self) -> str | None:
        """Return a deleted experiment of which rows are left; None if there is none."""
        rows = self._log.query(SQL["select_unpruned"])
        return str(rows[0][0]) if rows else None

    def prune(self, tx: Transaction, experiment_id: str, limit: int) -> None:
        """Remove some rows, at most `limit`, and note if there are no more."""
        for statement in IN_STEPS:
            limit -= tx.execute(statement, (experiment_id, limit)).rowcount
            if limit <= 0:
                return
        tx.execute(SQL["set_pruned"], (experiment_id,))

    def undo(self, tx: Transaction, experiment_id: str) -> None:
        """Forget that an experiment was deleted: it is imported again, and no runner has to remove any more of it."""
        tx.execute(SQL["delete_deletion"], (experiment_id,))

    def purges(self, runner: str, after: str, limit: int) -> list[str]:
        """Return deleted experiments that a runner has to remove, in order, behind one of them."""
        return [experiment_id for (experiment_id,) in self._log.query(SQL["select_purges"], (runner, after, limit))]

    def count_purges(self) -> dict[str, int]:
        """Count the deleted experiments that each runner has to remove."""
        return dict(self._log.query(SQL["count_purges"]))

    def finish_purges(self, tx: Transaction, runner: str, experiment_ids: Iterable[str]) -> None:
        """Record that a runner has nothing of some experiments any more."""
        tx.executemany(SQL["finish_purge"], [(runner, experiment_id) for experiment_id in experiment_ids])

    def repeat_purges(self, tx: Transaction, runner: str) -> None:
        """Record that a runner may have again what it had removed: it has another log."""
        tx.execute(SQL["repeat_purges_at"], (runner,))

    def repair(self, tx: Transaction, named: Iterable[str], runners: Iterable[str], now: float) -> None:
        """Make up for damaged rows: delete again what another row names, or a damaged one, at all these runners."""
        known = {name for (name,) in self._log.query(SQL["select_deletions"])}
        lost = {name for name in named if name not in known and not self._log.query(SQL["is_there"], (name,))}
        lost |= {name for (name,) in self._log.query(SQL["select_undeleted"])}
        tx.executemany(SQL["insert_deletion"], [(name, now) for name in lost])
        tx.executemany(SQL["upsert_purge"], [(runner, name) for runner in runners for name in known | lost])
