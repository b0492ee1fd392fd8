"""A file that follows the ledger, without a server: how far it says to be."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from bus.cluster.tail import Stored
from bus.eventlog.log import Log
from bus.eventlog.replicas import Entry, Step
from bus.transport import retry
from bus.transport.loop import Loop
from learning_service.cluster import places
from learning_service.cluster.codec import pack
from learning_service.cluster.joining import START_LINK, start_of
from learning_service.cluster.replica import Replica
from tests.support.helpers import deadline

TABLES = {"schema": "CREATE TABLE things (content BLOB NOT NULL);"}
LARGE = Entry(0, [Step("one", "INSERT INTO things (content) VALUES (?)", [os.urandom(100_000)])], [])


def run_until(loop: Loop, is_done: Callable[[], object]) -> None:
    """Run the loop until something is so."""
    limit = deadline()
    while not is_done():
        assert not limit.passed
        loop.step(0.05)


def test_what_is_not_written_yet_is_not_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has all of the ledger may lead: with an entry that waits for room it would go on behind a wrong one."""
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.05)
    log, loop = Log(tmp_path / "learning.db"), Loop()
    try:
        log.create_tables("things", TABLES)
        places.open_place(log)
        replica = Replica(log, loop, start_of(1), {})
        (message,), link = pack(LARGE, START_LINK, 1 << 20)
        log.query(f"PRAGMA max_page_count = {log.query('PRAGMA page_count')[0][0]}")
        done = Future[None]()
        replica.start([Stored(1, message)], done)
        run_until(loop, lambda: log.write_failures)
        assert (replica.last, replica.place.sequence) == (0, 0)
        log.query("PRAGMA max_page_count = 1000000")
        run_until(loop, done.done)
        assert (replica.last, replica.place) == (1, (1, 1, link))
    finally:
        loop.close()
        log.close()
