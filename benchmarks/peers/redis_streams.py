"""Redis Streams with redis-py and hiredis: append-only file synced every second, everything in pipelines.

The middle process reads as a consumer group and answers each batch by one MULTI/EXEC with the variants' states, what
is published of them, and the acknowledgement: state and message become durable together, as in our log.
`route_without_state` leaves the states out; what it had in memory is lost with it.
"""

import gc
import time
from typing import Any, Final

import msgspec
from redis import Redis

from benchmarks.peers.redis_server import connect, missing, serve
from benchmarks.role import Clock, Parent, Setup, Tally, batches
from benchmarks.routing import Router
from benchmarks.workload import Checker
from bus.contracts.messages import decode_body, encode_body
from learning_service.experiments.variants import Variant

__all__ = ["missing", "serve"]  # of the server, as a peer has them

BATCH: Final = 500  # commands in a pipeline, entries in a read: more or fewer are not faster
BLOCK_MS: Final = 1000
JOBS: Final = "job.completed"
STATUSES: Final = "variant.status"
GROUP: Final = "learning"
STATES: Final = "variants"


def produce(parent: Parent, setup: Setup) -> None:
    """Publish the ends of jobs."""
    events = setup.events()
    client = connect(setup)
    parent.tell("ready")
    parent.wait("go")
    clock = Clock(setup)
    if setup.interval:
        for _, message in events:
            clock.wait()
            clock.note()
            client.xadd(JOBS, {"body": encode_body(message)})
    else:
        pipeline = client.pipeline(transaction=False)
        for batch in batches(events, BATCH):
            for _, message in batch:
                pipeline.xadd(JOBS, {"body": encode_body(message)})
            pipeline.execute()
    parent.tell("sent", start=clock.start, sent=clock.sent)
    parent.wait("stop")


def route(parent: Parent, setup: Setup) -> None:
    """Turn ends of jobs into states of variants, and keep those."""
    _route(parent, setup, keep_state=True)


def route_without_state(parent: Parent, setup: Setup) -> None:
    """Turn ends of jobs into states of variants, and keep those in memory only."""
    _route(parent, setup, keep_state=False)


def consume(parent: Parent, setup: Setup) -> None:
    """Check every state of every variant."""
    checker = Checker(setup.workload, timed=setup.interval > 0)
    reader = _Reader(connect(setup), STATUSES)
    parent.tell("ready")
    while not checker.done:
        time.sleep(setup.pause)
        for body in reader.read(BLOCK_MS):
            checker.take(decode_body(body))
    parent.tell("received", end=time.monotonic_ns(), received=checker.received)
    parent.wait("stop")


def listen(parent: Parent, setup: Setup) -> None:
    """Be some subscribers who count the ends of jobs."""
    start, tally = time.monotonic_ns(), Tally(setup.tally)
    left = {_Reader(connect(setup), JOBS): setup.workload.events for _ in range(setup.subscribers)}
    parent.tell("ready")
    while any(left.values()):
        for reader, count in left.items():
            if count:
                left[reader] -= len(reader.read(BLOCK_MS))
                tally.set(setup.workload.events - left[reader])
    parent.tell("received", start=start, end=time.monotonic_ns())
    parent.wait("stop")


class _Reader:
    """A plain reader of a stream, from its beginning."""

    def __init__(self, client: Redis, stream: str) -> None:
        self._client, self._stream = client, stream
        self._last: Any = "0"

    def read(self, block_ms: int) -> list[bytes]:
        """Wait for the next entries and give their bodies."""
        reply: Any = self._client.xread({self._stream: self._last}, count=BATCH, block=block_ms)
        entries = _entries(reply)
        if entries:
            self._last = entries[-1][0]
        return [fields[b"body"] for _, fields in entries]


def _route(parent: Parent, setup: Setup, *, keep_state: bool) -> None:
    router = Router(setup.workload)
    gc.freeze()
    client = connect(setup)
    client.xgroup_create(JOBS, GROUP, id="0", mkstream=True)
    parent.tell("ready")
    encode = msgspec.msgpack.Encoder().encode
    while True:
        reply: Any = client.xreadgroup(GROUP, "one", {JOBS: ">"}, count=BATCH, block=BLOCK_MS)
        entries = _entries(reply)
        if not entries:
            continue
        pipeline = client.pipeline(transaction=True)
        changed: dict[str, Variant] = {}
        for variant, status in router.route(fields[b"body"] for _, fields in entries):
            changed[f"{status.experiment_id}.{variant.index}"] = variant
            pipeline.xadd(STATUSES, {"body": encode_body(status)})
        if keep_state:
            pipeline.hset(STATES, mapping={key: encode(variant) for key, variant in changed.items()})
        pipeline.xack(JOBS, GROUP, *[number for number, _ in entries])
        pipeline.execute()
        time.sleep(setup.pause)


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of the one stream that was read; its form depends on the version of redis-py."""
    streams = reply.items() if isinstance(reply, dict) else reply or ()
    return [entry for _, entries in streams for entry in entries]
