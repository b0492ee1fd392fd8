"""Who leads: whoever holds a key, which is gone when its holder has been silent for two seconds by the servers' clock.

Where that clock is wrong, the key stays: then whoever waits for it has seen it unchanged for long enough.

The key only chooses who tries. That two never lead at once is due to the ledger: an entry names the one before.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError

from bus.cluster import names, streams, tasks
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import attempted
from bus.telemetry.logging import RepeatFilter

KEY: Final = "leader"
TURN_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 8.0  # in which servers have chosen who of them leads, if enough of them live
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # servers that are away must not decide how much we log


class Leader(Struct, frozen=True, kw_only=True):
    """What the key says of its holder, in JSON."""

    name: str
    control: str
    run: str = ""  # another one each time the key is won


class Lease:
    """The key of one process. All of it happens in the connection's thread."""

    def __init__(self, connection: Connection, leader: Leader) -> None:
        """Hold nothing yet."""
        self._connection = connection
        self._leader, self._value = leader, b""
        self._revision = 0
        self._seen, self._seen_at = 0, 0.0  # the revision of another one's key, and since when it is that
        self._keeping: asyncio.Task[None] | None = None
        self.is_held = False
        self.on_lost: Callable[[], None] = lambda: None

    async def win(self) -> None:
        """Wait until this process holds the key, and keep it from then on."""
        while not self.is_held:
            self._value = msgspec.json.encode(msgspec.structs.replace(self._leader, run=uuid.uuid4().hex))
            try:
                self._revision = await attempted(tasks.within(ANSWER_SECONDS, self._create()))
            except ClusterError as error:
                if not isinstance(error.__cause__, KeyWrongLastSequenceError):  # somebody else has it
                    text = "nobody can become the one that leads: %s; trying again; see `variantbus cluster check`"
                    logger.warning(text, error)
                await asyncio.sleep(TURN_SECONDS)
            else:
                self.is_held = True
                self._keeping = asyncio.ensure_future(self._keep())

    async def release(self) -> None:
        """Give the key up, so that another one can lead at once."""
        if keeping := self._keeping:
            await tasks.end(lambda: [keeping])  # before the key is gone, or it is taken again
        if not self.is_held:
            return
        self.is_held = False
        try:
            await attempted(tasks.within(ANSWER_SECONDS, self._delete()))
        except ClusterError as error:
            logger.debug("the key is not given up: %s", error)

    async def _keep(self) -> None:
        """Renew the key until another one has it, or nobody answers for long.

        While servers choose who of them leads, the key may expire, and nobody can win it: then it is won again. In the
        meantime this process leads: it can write nothing without them, and nothing once another one has written.
        """
        renewed, why = time.monotonic(), ""
        while time.monotonic() - renewed < SILENT_SECONDS:
            await asyncio.sleep(TURN_SECONDS)
            began = time.monotonic()
            try:
                revision = await attempted(tasks.within(ANSWER_SECONDS, self._renew()))
            except ClusterError as error:
                why = str(error)
                continue
            if not revision:
                why = "another one leads"
                break
            self._revision, renewed = revision, began
        logger.warning("this learning service must not lead any more: %s", why)
        self.is_held = False
        self.on_lost()

    async def _create(self) -> int:
        """Return the revision of the key, once nobody has it, or its holder has given up without its going away."""
        try:
            keys = await self._connection.js.key_value(names.LEADER)
        except BucketNotFoundError:
            logger.warning("the bucket that says who leads is gone; making it again")
            await streams.ensure_leader(self._connection.js)
            raise
        try:
            return await keys.create(KEY, self._value)
        except KeyWrongLastSequenceError:
            revision = (await keys.get(KEY)).revision or 0
            if revision != self._seen:
                self._seen, self._seen_at = revision, time.monotonic()
            if time.monotonic() - self._seen_at <= SILENT_SECONDS:
                raise
            return await keys.update(KEY, self._value, last=revision)

    async def _delete(self) -> None:
        keys = await self._connection.js.key_value(names.LEADER)
        await keys.delete(KEY, last=self._revision)

    async def _renew(self) -> int:
        """Return the new revision, 0 if another one has the key."""
        keys = await self._connection.js.key_value(names.LEADER)
        try:
            return await keys.update(KEY, self._value, last=self._revision)
        except KeyWrongLastSequenceError:
            try:
                entry = await keys.get(KEY)
            except KeyNotFoundError:
                return await keys.create(KEY, self._value)
            # if it is ours, the answer to the last time was lost
            return (entry.revision or 0) if entry.value == self._value else 0
