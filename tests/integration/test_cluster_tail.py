"""A stream is read to its end, however large its messages are and however slowly they are taken."""

import asyncio
from functools import partial

import pytest
from nats.js.api import ConsumerConfig, ConsumerInfo

from bus.cluster import tail
from tests.support.clusters import Client, connected
from tests.support.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("no_leaks")
STREAM, SUBJECT = "LARGE", "large"
COUNT, BYTES = 40, 100_000
LIMIT = 1_000_000  # of bytes that wait for us: the client throws away what is beyond
SLOW_SECONDS = 0.2  # for a batch, while the server sends all that it may


async def read(client: Client, pause: float) -> list[int]:
    """Return the places of all messages, as they come to somebody who takes some time for each batch."""
    nats, found = client.connection.client, list[int]()
    created = tail.created_at(await client.js.stream_info(STREAM))
    async for batch in tail.follow(nats, client.js, STREAM, 0, created):
        found += [one.sequence for one in batch]
        if found[-1] == COUNT:
            return found
        await asyncio.sleep(pause)
    return found


def test_a_slow_reader_of_large_messages_loses_none(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole would be taken for a loss: ends are asked for again, and a file is made anew from a copy."""
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        subscribe = client.connection.client.subscribe
        monkeypatch.setattr(client.connection.client, "subscribe", partial(subscribe, pending_bytes_limit=LIMIT))
        monkeypatch.setattr(tail, "BATCH_BYTES", LIMIT // 2)
        client.run(client.js.add_stream(name=STREAM, subjects=[SUBJECT]))
        for _ in range(COUNT):
            client.run(client.js.publish(SUBJECT, bytes(BYTES)))
        assert client.run(read(client, SLOW_SECONDS)) == list(range(1, COUNT + 1))


def test_a_full_batch_is_no_end(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next messages are asked for at once, from the same consumer: to make another one costs half a second."""
    consumers: list[str] = []
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        add = client.js.add_consumer

        async def counted(stream: str, config: ConsumerConfig) -> ConsumerInfo:
            consumers.append(stream)
            return await add(stream, config)

        monkeypatch.setattr(client.js, "add_consumer", counted)
        monkeypatch.setattr(tail, "BATCH", COUNT // 10)
        client.run(client.js.add_stream(name=STREAM, subjects=[SUBJECT]))
        for _ in range(COUNT):
            client.run(client.js.publish(SUBJECT, b""))
        assert client.run(read(client, 0)) == list(range(1, COUNT + 1))
    assert consumers == [STREAM]
