"""The ledger at a real server: what its leader writes is in it before it is in the file, and once only."""

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from bus.cluster import names
from bus.cluster.tail import Stored, StreamLostError, created_at, follow
from bus.eventlog.errors import ReplicationError
from bus.eventlog.log import Log
from bus.eventlog.replicas import Entry
from bus.eventlog.transaction import Transaction
from bus.transport.loop import Loop
from learning_service.cluster import places
from learning_service.cluster.codec import Began, BrokenError
from learning_service.cluster.joining import start_of
from learning_service.cluster.ledger import Ledger
from learning_service.cluster.places import Place
from learning_service.cluster.replica import Replica
from tests.support.clusters import Client, connected
from tests.support.helpers import job, wait_until
from tests.support.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("no_leaks")
TABLES = {"schema": "CREATE TABLE things (number INTEGER PRIMARY KEY, content BLOB NOT NULL);"}
ADD = "INSERT INTO things (content) VALUES (?)"
ALL = "SELECT number, content FROM things"


class Machine:
    """The file of one learning service."""

    def __init__(self, path: Path, client: Client) -> None:
        """Open it at the beginning of the ledger."""
        self.client, self.log, self.lost = client, Log(path), 0
        self.log.create_tables("things", TABLES)
        created = created_at(client.run(client.js.stream_info(names.LEDGER)))
        self.start = places.open_place(self.log) or start_of(created)

    def lead(self, last: int = 0, place: Place | None = None) -> Ledger:
        """Begin to lead."""
        ledger = Ledger(self.client.connection, place or self.start, last, self._lose)
        ledger.begin(Began("machine", "tcp://127.0.0.1:5571", {"things": 1}, uuid.uuid4().hex))
        self.log.replicate(ledger)
        return ledger

    def add(self, content: bytes) -> None:
        """Write something."""
        with self.log.transaction() as tx:
            tx.execute(ADD, (content,))
            tx.append("a.", job("j"))

    def follow(self, until: int) -> Replica:
        """Do what the ledger says, up to a message."""
        loop = Loop()
        replica = Replica(self.log, loop, places.open_place(self.log) or self.start, places.versions(self.log))
        try:
            for batch in read(self.client, replica.place, until):
                done = Future[None]()
                replica.start(batch, done)
                while not done.done():
                    loop.step(0.1)
                done.result()
        finally:
            loop.close()
        return replica

    def contents(self) -> tuple[Any, Any]:
        """Return what is in the file."""
        return self.log.query(ALL), self.log.fetch("", 0).records

    def _lose(self) -> None:
        self.lost += 1


def read(client: Client, place: Place, until: int) -> list[list[Stored]]:
    """Return the messages behind a place, up to one, as they come."""

    async def batches() -> list[list[Stored]]:
        found: list[list[Stored]] = []
        async for batch in follow(client.connection.client, client.js, names.LEDGER, place.sequence, place.created):
            found.append(batch)
            if batch[-1].sequence >= until:
                break
        return found

    found: list[list[Stored]] = client.run(batches())
    return found


@contextmanager
def machines(nats: NatsServers, folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """Open two files at one ledger."""
    with connected(nats.url) as client:
        client.ensure()
        two = Machine(folder / "one.db", client), Machine(folder / "two.db", client)
        try:
            yield two
        finally:
            for one in two:
                one.log.close()


def test_what_one_writes_the_other_has(nats: NatsServers, tmp_path: Path) -> None:
    """Small entries, and one that no single message could hold; a later reading goes on where it was."""
    with machines(nats, tmp_path) as (leader, other):
        ledger = leader.lead()
        leader.add(b"small")
        leader.add(os.urandom(3 << 20))
        first = other.follow(ledger.sequence)
        leader.add(b"last")
        second = other.follow(ledger.sequence)

        assert ledger.sequence > 5, "parts"
        assert (first.leads, first.applied, second.applied) == ("machine", 3, 1)
        assert other.contents() == leader.contents()
        assert places.open_place(other.log) == places.open_place(leader.log)


def test_who_was_replaced_writes_nothing_any_more(nats: NatsServers, tmp_path: Path) -> None:
    """Neither into the ledger nor into the file; it is told once it tries."""
    with machines(nats, tmp_path) as (old, new):
        ledger = old.lead()
        old.add(b"by the old one")
        place = new.follow(ledger.sequence).place
        new.lead(ledger.sequence, place)
        before = old.contents()
        for _ in range(2):
            with suppress(ReplicationError):
                old.add(b"too late")
                pytest.fail("it was written")

        assert old.lost == 2
        assert old.contents() == before
        new.add(b"by the new one")
        assert [content for _, content in new.log.query(ALL)] == [b"by the old one", b"by the new one"]


def test_two_who_begin_at_once_are_one_who_leads(nats: NatsServers, tmp_path: Path) -> None:
    """Whoever is second is refused."""
    with machines(nats, tmp_path) as (one, two):
        one.lead()
        with pytest.raises(ReplicationError, match="leads no more"):
            two.lead()
        one.add(b"content")


def test_an_entry_whose_answer_was_lost_is_there_once(
    nats: NatsServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again, and refused, as it is there already, or on its way from one server to the others."""
    with machines(nats, tmp_path) as (leader, other):
        ledger = leader.lead()
        publish: Callable[..., Any] = leader.client.js.publish
        lost: list[object] = []

        async def lossy(*arguments: Any, **settings: Any) -> Any:
            ack = await publish(*arguments, **settings)
            if not lost:
                lost.append(ack)
                raise TimeoutError
            return ack

        stored: Callable[..., Any] = leader.client.js.get_msg
        early: list[object] = []

        async def slow(*arguments: Any) -> Any:
            if not early:
                early.append(arguments)
                raise NotFoundError
            return await stored(*arguments)

        monkeypatch.setattr(leader.client.js, "publish", lossy)
        monkeypatch.setattr(leader.client.js, "get_msg", slow)
        leader.add(b"one")
        leader.add(b"two")
        other.follow(ledger.sequence)

        assert lost
        assert early
        assert ledger.sequence == 3
        assert other.contents() == leader.contents()


class Breaks:
    """A ledger after which the commit fails."""

    def __init__(self, ledger: Ledger) -> None:
        """Break once."""
        self._ledger, self._is_broken = ledger, False

    def send(self, entry: Entry, tx: Transaction) -> None:
        """Send an entry, and then fail."""
        self._ledger.send(entry, tx)
        if not self._is_broken:
            self._is_broken = True
            raise OSError

    def committed(self) -> None:
        """Pass it on."""
        self._ledger.committed()


def test_a_commit_that_fails_after_its_entry_is_made_up_for(nats: NatsServers, tmp_path: Path) -> None:
    """The leader ends, as its file lacks what the ledger has; following it once more, it has all."""
    with machines(nats, tmp_path) as (leader, _):
        ledger = leader.lead()
        leader.add(b"one")
        leader.log.replicate(Breaks(ledger))
        with suppress(OSError):
            leader.add(b"two")
        assert len(leader.log.query(ALL)) == 1
        with suppress(ReplicationError):
            leader.add(b"two, once more")
            pytest.fail("it was written")
        follower = Machine.__new__(Machine)
        follower.client, follower.log, follower.start = leader.client, leader.log, leader.start
        leader.log._begin = Transaction  # it leads no more
        follower.follow(ledger.sequence)

        assert [content for _, content in leader.log.query(ALL)] == [b"one", b"two"]
        assert leader.log.head == 2


def test_another_history_is_noticed(nats: NatsServers, tmp_path: Path) -> None:
    """A file that has something else than the ledger, or less, does not go on."""
    with machines(nats, tmp_path) as (leader, other):
        ledger = leader.lead()
        other.add(b"of its own")
        leader.add(b"one")
        beginning, other.start = other.start, Place(other.start.created, 1, b"another link")
        with pytest.raises(BrokenError, match="not the continuation"):
            other.follow(ledger.sequence)
        other.start = beginning
        with pytest.raises(BrokenError, match="this file has 1"):
            other.follow(ledger.sequence)


def test_reading_goes_on_after_a_server_was_away_and_ends_with_the_stream(nats: NatsServers, tmp_path: Path) -> None:
    """The consumer is gone with the server; a stream that was made anew is another one."""
    with machines(nats, tmp_path) as (leader, _):
        found: list[int] = []

        async def reading() -> None:
            place = leader.start
            async for batch in follow(client.client, client.js, names.LEDGER, place.sequence, place.created):
                found.extend(one.sequence for one in batch)

        client = leader.client.connection
        future = client.submit(reading())
        leader.lead()
        wait_until(lambda: found == [1], what="the first message")
        nats.nodes[0].kill()
        nats.nodes[0].start()
        nats.wait_for_leader()
        wait_until(lambda: client.is_connected, what="the connection")
        leader.add(b"content")
        wait_until(lambda: found == [1, 2], 30, what="the next message")
        leader.client.run(leader.client.js.delete_stream(names.LEDGER))
        leader.client.ensure()
        with pytest.raises(StreamLostError):
            future.result(60)
