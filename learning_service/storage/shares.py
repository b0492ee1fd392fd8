"""The links by which others see experiments, by the digests of their tokens."""

from typing import Final

from bus.contracts.shares import ShareView
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction

SQL: Final = sql.load("learning_service.storage", "shares.sql")


class Shares:
    """Reads and writes them; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there."""
        self._log = log
        log.create_tables("shares", SQL)

    def find(self, digest: str, now: float) -> ShareView | None:
        """Return the link whose token has a digest, None if there is none that holds at a time in unix seconds."""
        for experiment_id, created_at, expires_at in self._log.query(SQL["select_share"], (digest,)):
            share = ShareView(digest=digest, experiment_id=experiment_id, created_at=created_at, expires_at=expires_at)
            return share if holds(share, now) else None
        return None

    def of(self, experiment_id: str, now: float) -> list[ShareView]:
        """Return the links of an experiment that hold, oldest first."""
        rows = self._log.query(SQL["select_shares"], (experiment_id,))
        shares = [
            ShareView(digest=digest, experiment_id=experiment_id, created_at=created_at, expires_at=expires_at)
            for digest, created_at, expires_at in rows
        ]
        return [share for share in shares if holds(share, now)]

    def write(self, tx: Transaction, share: ShareView, now: float) -> None:
        """Add a link, or change how long it holds; those that hold no more at a time in unix seconds go."""
        tx.execute(SQL["delete_expired"], (share.experiment_id, now))
        row = (share.digest, share.experiment_id, share.created_at, share.expires_at)
        tx.execute(SQL["upsert_share"], row)

    def remove(self, tx: Transaction, share: ShareView) -> None:
        """Revoke a link."""
        tx.execute(SQL["delete_share"], (share.digest, share.experiment_id))


def holds(share: ShareView, now: float) -> bool:
    """Return whether a link has not expired."""
    return share.expires_at is None or now < share.expires_at
