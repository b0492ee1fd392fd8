"""What a transaction calls back once it is committed."""

import contextlib
from pathlib import Path

from bus.eventlog.log import Log
from tests.support.helpers import job


def test_callbacks_come_after_the_commit_and_the_messages(tmp_path: Path) -> None:
    """What is kept in memory changes only then; nothing of a transaction that fails is called."""
    log = Log(tmp_path / "log.db")
    order: list[object] = []
    log.on_commit(lambda records: order.append([record.topic for record in records]))

    with log.transaction() as tx:
        tx.after_commit(lambda: order.append(("committed", log.head)))
        tx.append("a.", job("j1"))
        assert order == []
    with contextlib.suppress(ZeroDivisionError), log.transaction() as tx:
        tx.after_commit(lambda: order.append("never"))
        raise ZeroDivisionError
    log.close()

    assert order == [["a."], ("committed", 1)]
