"""Reads a stream from a place on, for as long as it is asked to, whatever happens to servers.

The consumer is in the memory of one server and dies with it, without a word. So it is made anew after a silence, in
which not even a heartbeat came, and each time the stream is looked at: it may be another one by then.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.errors import NotFoundError

from bus.cluster.errors import ClusterError, told
from bus.cluster.faults import FAULTS

BATCH: Final = 256  # messages that a server may send before it is asked for more
BATCH_BYTES: Final = 80 << 20  # of them: more than the 64 MiB that one can have; from 128 MiB on nats-py drops messages
EXPIRES_SECONDS: Final = 20.0
HEARTBEAT_SECONDS: Final = 1.0
SILENCE_SECONDS: Final = 3.0  # without a heartbeat
GONE_SECONDS: Final = 30.0  # after which a server forgets a consumer that nobody reads
RETRY_SECONDS: Final = 0.5
BEAT, NOTHING, ENDED = "100", "404", "408"  # what a server says instead of a message
FULL: Final = "Message Size Exceeds MaxBytes"  # so does a 409, which says other things in other words:
DONE: Final = "Batch Completed"  # comes behind the last message that was asked for, where bytes are limited, too
logger = logging.getLogger(__name__)


class StreamLostError(ClusterError):
    """The stream is another one than before, or ends before the place that was read."""


class Stored(NamedTuple):
    """A message, and its place."""

    sequence: int
    data: bytes


def created_at(info: StreamInfo) -> int:
    """Return when a stream was created, in microseconds: another one is another stream, whatever its name."""
    return round(info.created.timestamp() * 1e6) if info.created else 0


async def follow(
    client: Client, js: JetStreamContext, stream: str, after: int, created: int
) -> AsyncIterator[list[Stored]]:
    """Yield all messages behind a place, some at a time, in order; they are contiguous unless some were removed.

    Raises:
        StreamLostError: the stream is gone, is not the one that was created then, or is shorter.
    """
    while True:
        try:
            info = await js.stream_info(stream)
            if created_at(info) != created or info.state.last_seq < after:
                raise StreamLostError(f"the stream {stream} is not the one that was read up to {after}")
            async for batch in _read(client, js, stream, after):
                after = batch[-1].sequence
                yield batch
        except NotFoundError:
            raise StreamLostError(f"the stream {stream} is gone") from None
        except FAULTS as error:
            logger.debug("%s: %s; reading on", stream, told(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _read(client: Client, js: JetStreamContext, stream: str, after: int) -> AsyncIterator[list[Stored]]:
    """Yield messages until the consumer is gone."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    try:
        consumer = await js.add_consumer(
            stream,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=after + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=GONE_SECONDS,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        while True:
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer.name}", _request(), reply=inbox)
            left = BATCH
            while left > 0:
                found = [await subscription.next_msg(SILENCE_SECONDS)]
                while subscription.pending_msgs:
                    found.append(await subscription.next_msg(SILENCE_SECONDS))
                says = {said for one in found if (said := _status(one))} - {BEAT, DONE}
                if batch := [Stored(one.metadata.sequence.stream, one.data) for one in found if not _status(one)]:
                    yield batch
                if says & {NOTHING, ENDED, FULL}:
                    break
                if says:
                    raise TimeoutError(f"the consumer has ended: {says}")
                left -= len(batch)
    finally:
        with suppress(nats.errors.Error):  # the connection is closed
            await subscription.unsubscribe()


def _request() -> bytes:
    limits = {"batch": BATCH, "max_bytes": BATCH_BYTES}
    times = {"expires": int(EXPIRES_SECONDS * 1e9), "idle_heartbeat": int(HEARTBEAT_SECONDS * 1e9)}
    return json.dumps({**limits, **times}).encode()


def _status(message: Msg) -> str | None:
    """Return what a server says instead of a message, None if this is one."""
    headers = message.headers or {}
    words = headers.get("Description")
    return words if words in (FULL, DONE) else headers.get("Status")
