"""What others hear of this runner: what it offers, every few seconds, and which jobs it has begun and how far they are.

All of it may be lost: what a runner offers is told again, and a job's end says more than its beginning.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from bus.cluster import names
from bus.cluster.errors import ClusterError
from bus.cluster.faults import FAULTS
from bus.cluster.messages import Announcement, pack
from bus.contracts.topics import JOB_STARTED
from bus.protocol.frames import Record, encode
from bus.telemetry.logging import RepeatFilter
from bus.transport.loop import Loop
from pipeline_runner.cluster.link import Link

ANNOUNCE_SECONDS: Final = 5.0
DELETED: Final = {"KV-Operation": "DEL"}
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())
News = tuple[str, bytes]


class Announcer:
    """Tells the cluster. All belongs to the loop's thread."""

    def __init__(self, loop: Loop, link: Link, name: str) -> None:
        """Announce nothing before `begin`."""
        self._link, self._name = link, name
        self._subject = f"$KV.{names.RUNNERS}.{name}"
        self._offer: Callable[[], Announcement] | None = None
        self._timer = loop.every(ANNOUNCE_SECONDS, self.announce)

    def begin(self, offer: Callable[[], Announcement]) -> None:
        """Announce from now on what `offer` returns."""
        self._offer = offer
        self.announce()

    def announce(self) -> None:
        """Say what there is."""
        if self._offer and self._link.is_connected:
            self._link.do(self._put(self._offer()), _note)

    def note_records(self, records: Sequence[Record]) -> None:
        """Tell which jobs have begun, of the records of a commit."""
        self._tell([(record.topic, bytes(record.body)) for record in records if record.topic.startswith(JOB_STARTED)])

    def note_progress(self, topic: str, message: msgspec.Struct) -> None:
        """Tell how far a job is."""
        self._tell([(topic, encode(message))])

    def close(self, seconds: float) -> None:
        """Say that this runner is away, if that can be said in time."""
        self._timer.cancel()
        if self._offer and self._link.is_connected:
            self._offer = None
            work = self._link.connection.js.publish(self._subject, b"", timeout=seconds, headers=DELETED)
            try:
                self._link.connection.run(_quiet(work), 2 * seconds)
            except ClusterError:
                return  # the bucket forgets it by itself

    def _tell(self, news: Sequence[News]) -> None:
        # of jobs of no experiment nobody in the cluster knows: their topics have no further tokens
        shared = [(topic, body) for topic, body in news if topic.count(".") > JOB_STARTED.count(".")]
        if shared and self._offer and self._link.is_connected:
            self._link.do(self._publish(shared), _note)

    async def _put(self, announcement: Announcement) -> None:
        if self._offer:  # else it would come behind the word that this runner is away
            await self._link.connection.js.publish(self._subject, pack(announcement))

    async def _publish(self, news: Sequence[News]) -> None:
        for topic, body in news:
            await self._link.connection.client.publish(names.NEWS + topic.removesuffix("."), body)


async def _quiet(work: Awaitable[Any]) -> None:
    with suppress(*FAULTS):
        await work


def _note(result: ClusterError | None) -> None:
    if result:
        logger.warning("the cluster does not hear of this runner: %s", result)
