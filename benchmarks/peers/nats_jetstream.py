"""NATS JetStream with nats-py on uvloop: file store, the server's own sync interval, no waiting for single acks.

`publish_async` keeps at most `PENDING` messages unacknowledged, as its documentation shows. The middle process fetches
batches and acknowledges the last one of each (`AckPolicy.ALL`), after what follows from them is acknowledged by the
server: nothing is lost, but a crash between the two publishes a batch again. The states of the variants need no other
place than the stream of statuses, since each status is the whole state.
"""

import asyncio
import contextlib
import gc
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from benchmarks.crew import START_SECONDS, Crew, poll_until
from benchmarks.role import Clock, Parent, Setup, Tally
from benchmarks.routing import Router, status_topic
from benchmarks.workload import Checker
from bus.contracts.messages import decode_body, encode_body

BATCH: Final = 500  # messages in a fetch: more or fewer are not faster
PENDING: Final = 4000  # unacknowledged publishes: nats-py's own default
FETCH_SECONDS: Final = 0.2  # the last batch is not full, and waits so long
WAIT_SECONDS: Final = 60.0
UNLIMITED: Final = -1
JOBS: Final = "job"
STATUSES: Final = "variant"
DURABLE: Final = "learning"


def missing() -> str:
    """It takes a server."""
    return "" if _server() else "nats-server is not installed; `make bench` installs it"


def serve(crew: Crew) -> dict[str, str]:
    """Start a server on a port of its choice, which it writes into a file."""
    server = _server() or ""
    folder = str(crew.folder)
    crew.start(
        "nats-server",
        *(server, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder),
        *("--jetstream", "--store_dir", str(crew.folder / "jetstream")),
    )
    for _ in poll_until(START_SECONDS, "nats-server's file of ports"):
        crew.check()
        for path in crew.folder.glob("*.ports"):
            text = path.read_text(encoding="utf-8")
            if text:
                return {"nats": json.loads(text)["nats"][0]}
    raise AssertionError


def produce(parent: Parent, setup: Setup) -> None:
    """Publish the ends of jobs."""
    uvloop.run(_produce(parent, setup))


def route(parent: Parent, setup: Setup) -> None:
    """Turn ends of jobs into states of variants."""
    uvloop.run(_route(parent, setup))


def consume(parent: Parent, setup: Setup) -> None:
    """Check every state of every variant."""
    uvloop.run(_consume(parent, setup))


def listen(parent: Parent, setup: Setup) -> None:
    """Be some subscribers who count the ends of jobs."""
    uvloop.run(_listen(parent, setup))


async def _produce(parent: Parent, setup: Setup) -> None:
    events = setup.events()
    client, stream = await _connect(setup)
    await _create(stream, JOBS)
    parent.tell("ready")
    await asyncio.to_thread(parent.wait, "go")
    clock = Clock(setup)
    for topic, message in events:
        if setup.interval:
            if (left := clock.left()) > 0:
                await asyncio.sleep(left)
            clock.note(unconfirmed=stream.publish_async_pending())
        await stream.publish_async(_subject(topic), encode_body(message))
    await stream.publish_async_completed()
    parent.tell("sent", start=clock.start, sent=clock.sent)
    await asyncio.to_thread(parent.wait, "stop")
    await client.close()


async def _route(parent: Parent, setup: Setup) -> None:
    router = Router(setup.workload)
    gc.freeze()
    _, stream = await _connect(setup)
    await _create(stream, JOBS)
    await _create(stream, STATUSES)
    read = _pushed if setup.interval else _fetched
    async for batch in read(stream, parent):
        for _, status in router.route(message.data for message in batch):
            await stream.publish_async(_subject(status_topic(status)), encode_body(status))
        await stream.publish_async_completed()
        await batch[-1].ack()


async def _fetched(stream: JetStreamContext, parent: Parent) -> AsyncIterator[list[Msg]]:
    """Fetch batches: the fastest way, but a fetch may wait until it has all that it asked for."""
    config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=UNLIMITED)
    subscription = await stream.pull_subscribe(f"{JOBS}.completed.>", DURABLE, stream=JOBS, config=config)
    parent.tell("ready")
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            batch = await subscription.fetch(BATCH, timeout=FETCH_SECONDS)
            if batch:
                yield batch


async def _pushed(stream: JetStreamContext, parent: Parent) -> AsyncIterator[list[Msg]]:
    """Subscribe with push delivery, which has the least delay."""
    config = ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=UNLIMITED)
    subscription = await stream.subscribe(
        f"{JOBS}.completed.>", durable=DURABLE, stream=JOBS, config=config, manual_ack=True
    )
    parent.tell("ready")
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            yield [await subscription.next_msg(timeout=WAIT_SECONDS)]


async def _consume(parent: Parent, setup: Setup) -> None:
    checker = Checker(setup.workload, timed=setup.interval > 0)
    client, stream = await _connect(setup)
    await _create(stream, STATUSES)
    subscription = await stream.subscribe(f"{STATUSES}.status.>", stream=STATUSES, ordered_consumer=True)
    parent.tell("ready")
    while not checker.done:
        message = await subscription.next_msg(timeout=WAIT_SECONDS)
        checker.take(decode_body(message.data))
    parent.tell("received", end=time.monotonic_ns(), received=checker.received)
    await asyncio.to_thread(parent.wait, "stop")
    await client.close()


async def _listen(parent: Parent, setup: Setup) -> None:
    start, tally = time.monotonic_ns(), Tally(setup.tally)
    connections = [await _connect(setup) for _ in range(setup.subscribers)]
    await _create(connections[0][1], JOBS)
    subscriptions = [
        await stream.subscribe(
            f"{JOBS}.completed.>", stream=JOBS, ordered_consumer=True, deliver_policy=DeliverPolicy.ALL
        )
        for _, stream in connections
    ]
    parent.tell("ready")

    async def read(subscription: JetStreamContext.PushSubscription) -> None:
        for number in range(1, setup.workload.events + 1):
            await subscription.next_msg(timeout=WAIT_SECONDS)
            tally.set(number)

    await asyncio.gather(*(read(subscription) for subscription in subscriptions))
    parent.tell("received", start=start, end=time.monotonic_ns())
    await asyncio.to_thread(parent.wait, "stop")
    for client, _ in connections:
        await client.close()


def _subject(topic: str) -> str:
    return topic.removesuffix(".")


def _server() -> str | None:
    return shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")


async def _connect(setup: Setup) -> tuple[Client, JetStreamContext]:
    client = await nats.connect(setup.addresses["nats"])
    return client, client.jetstream(publish_async_max_pending=PENDING)


async def _create(stream: JetStreamContext, name: str) -> None:
    """Create a stream; whoever comes first does, and it adds nothing to do it again."""
    await stream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"], storage=StorageType.FILE))
