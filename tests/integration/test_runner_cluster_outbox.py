"""The outbox of a runner without a cluster: which ends it sends again, and how many at a time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from nats.js.errors import NotFoundError

from bus.cluster.messages import RepeatRequest
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.cluster.outbox import FULL, PAGE, Outbox
from pipeline_runner.cluster.store import ClusterStore, EndRow
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.store import JobStore
from tests.support.factories import context, record_of, well
from tests.support.helpers import deadline

COUNT = 2 * (FULL + PAGE)


class Empty:
    """A cluster that has lost all ends, and takes each that it is sent."""

    is_connected = False

    def __init__(self) -> None:
        """Take nothing yet."""
        self.connection, self.js = self, self

    async def get_last_msg(self, _stream: str, _subject: str) -> None:
        """Have nothing."""
        raise NotFoundError

    def submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Do work at once."""
        future = Future[Any]()
        future.set_result(asyncio.run(work))
        return future

    def do_all(self, pairs: Iterable[tuple[Coroutine[Any, Any, Any], Callable[[Any], None]]]) -> None:
        """Take ends."""
        for work, done in pairs:
            work.close()
            done("won")


class Box:
    """An outbox with its file."""

    def __init__(self, log: Log, loop: Loop, root: Path) -> None:
        """Owe nothing."""
        self.log, self.loop, self.cluster = log, loop, Empty()
        self.jobs, self.store = JobStore(log), ClusterStore(log)
        link: Any = self.cluster
        self.outbox = Outbox(log, loop, link, self.store, self.jobs, name="machine", root=root)

    def end(self, count: int) -> list[NormalizedJobRecord]:
        """End so many jobs."""
        some = [record_of(f"job-{number}", mark=context(number)) for number in range(count)]
        ended = [replace(one, state="completed", result=well(), finished_at=1.0) for one in some]
        with self.log.transaction() as tx:
            self.jobs.insert(tx, ended)
        return ended

    def waiting(self) -> int:
        """Return how many ends wait."""
        return next(int(value) for name, _, value in self.outbox.points() if name.endswith("_ends_waiting"))


@pytest.fixture
def box(open_log: Callable[..., Log], loop: Loop, tmp_path: Path) -> Box:
    """Return an outbox."""
    return Box(open_log(tmp_path / "runner.db"), loop, tmp_path)


def test_ends_that_have_no_number_get_one_each(box: Box) -> None:
    """Jobs that come again together, as the cluster has lost what had fenced them here."""
    ended = box.end(2)
    with box.log.transaction() as tx:
        box.outbox.send_again(tx, ended)
    assert [(row.number, row.job_id) for row in box.store.owed()] == [(1, "job-0"), (2, "job-1")]
    assert box.waiting() == 2


def test_a_million_ends_that_are_lost_are_not_all_taken_into_memory(box: Box) -> None:
    """They are read as those before them are sent."""
    ended = box.end(COUNT)
    rows = [EndRow(box.log.epoch, number, one.job_id, "won") for number, one in enumerate(ended, 1)]
    with box.log.transaction() as tx:
        box.store.write(tx, rows)
    box.loop.start(box.outbox.repeat(RepeatRequest(epoch=box.log.epoch, number=1)))
    while box.loop.step(0):
        pass
    assert FULL <= box.waiting() < FULL + PAGE
    box.cluster.is_connected = True
    box.outbox.begin()
    limit = deadline()
    while (won := box.store.won(box.log.epoch, 1, COUNT)) != rows:
        assert not limit.passed, len(won)
        box.loop.step(0.01)
    assert box.waiting() == 0


def test_a_full_disk_while_ends_are_repeated_ends_no_runner(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who misses them asks again."""

    def full(*_: object) -> list[EndRow]:
        raise StorageError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(box.store, "won", full)
        box.loop.start(box.outbox.repeat(RepeatRequest(epoch=box.log.epoch, number=1)))
        while box.loop.step(0):
            pass
    (ended,) = box.end(1)
    with box.log.transaction() as tx:
        box.store.write(tx, [EndRow(box.log.epoch, 1, ended.job_id, "won")])
    box.loop.start(box.outbox.repeat(RepeatRequest(epoch=box.log.epoch, number=1)))
    while box.loop.step(0):
        pass
    assert box.waiting() == 1
