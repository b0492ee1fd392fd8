"""A learning service that stands by: it follows the ledger, and tries to lead."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, TypeVar

from nats.js.api import StreamInfo, StreamState
from nats.js.errors import NotFoundError

from bus.cluster import names, streams, tasks
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterRefusedError, told
from bus.cluster.faults import FAULTS
from bus.cluster.tail import Stored, StreamLostError, created_at, follow
from bus.eventlog.log import Log
from bus.telemetry.logging import RepeatFilter
from bus.transport.loop import Loop
from learning_service.cluster import places, snapshots
from learning_service.cluster.codec import BrokenError
from learning_service.cluster.joining import judge, start_of
from learning_service.cluster.leadership import Lease
from learning_service.cluster.places import Place
from learning_service.cluster.replica import Replica
from learning_service.cluster.snapshots import Snapshot

T = TypeVar("T")
RETRY_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 2.0
ENSURE_SECONDS: Final = 20.0
LEAST_PAYLOAD: Final = 1 << 20  # bytes, which is the limit of NATS itself: parts of pictures are messages, too
LEDGER_UNREAD: Final = "the ledger cannot be read"
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # servers that are away must not decide how much we log


class Lead(NamedTuple):
    """Lead from this place on."""

    place: Place
    last: int  # the newest message of the ledger
    is_new: bool  # the file's own data begin the ledger


class Restore(NamedTuple):
    """Take a copy's place, or begin with a new file if there is none."""

    snapshot: Snapshot | None
    why: str
    had_events: bool  # there is something in the file that is replaced


Outcome = Lead | Restore


class Standby:
    """Runs beside the loop until there is an outcome, which ends the loop."""

    def __init__(
        self, connection: Connection, lease: Lease, log: Log, loop: Loop, *, is_ensured: bool, has_led: bool
    ) -> None:
        """Read where the file is; begin with `start`.

        `is_ensured`: this process knows that the streams were there. Whoever `has_led` until now has the newest file,
        and with that it may begin another ledger if the one before is gone.
        """
        self.is_ensured, self._has_led = is_ensured, has_led
        self._connection, self._lease, self._log, self._loop = connection, lease, log, loop
        self._place = places.open_place(log)
        self._tables = places.versions(log)
        self._is_damaged = bool(log.damaged_rows())
        self.replica: Replica | None = None
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None  # that this process cannot go on with
        self._task: Future[None] | None = None
        self._moved = asyncio.Event()  # the replica has applied something

    @property
    def sequence(self) -> int:
        """The last message of the ledger that is in the file; 0 if there is none."""
        place = self.replica.place if self.replica else self._place
        return place.sequence if place else 0

    def start(self, after: float) -> None:
        """Begin, after some seconds."""
        self._task = self._connection.submit(self._run(after))

    def close(self) -> None:
        """Stop following."""
        if self._task:
            self._task.cancel()

    async def _run(self, after: float) -> None:
        outcome: Outcome | None = None
        error: BaseException | None = None
        try:
            await asyncio.sleep(after)
            outcome = await self._stand_by()
        except Exception as found:  # noqa: BLE001 - it is raised in the loop's thread
            error = found
        self._loop.call(lambda: self._finish(outcome, error))

    def _finish(self, outcome: Outcome | None, error: BaseException | None) -> None:
        self.outcome, self.error = outcome, error
        self._loop.stop()

    async def _stand_by(self) -> Outcome | None:
        await self._connection.ready()
        if (limit := self._connection.client.max_payload) < LEAST_PAYLOAD:
            text = f"cluster: the servers take messages of at most {limit} bytes"
            raise ClusterRefusedError(f"{text}; set max_payload to {LEAST_PAYLOAD} or more, better 8388608")
        if not self.is_ensured or (self._has_led and await self._insist(self._is_gone, LEDGER_UNREAD)):
            await self._insist(
                lambda: streams.ensure(self._connection.js), "the streams cannot be made", ENSURE_SECONDS
            )
            self.is_ensured = True
        info = await self._insist(self._ledger, LEDGER_UNREAD)
        created = created_at(info)
        copies = await self._copies(created)
        way = judge(
            self._log.path,
            self._place,
            created=created,
            first=info.state.first_seq,
            last=info.state.last_seq,
            has_copy=bool(copies),
            has_events=self._log.head > 0,
        )
        if way == "restore":
            return await self._replaced(created, "the ledger does not begin where it ends")
        if self._is_damaged:
            if way == "begin" and self._log.head:
                text = f"{self._log.path} has damaged rows, with which no ledger can begin"
                raise ClusterRefusedError(f"{text}; start it once without --cluster, which restores what it can")
            return await self._replaced(created, "some of its rows are damaged")
        start = self._place if way == "follow" and self._place else start_of(created)
        self.replica = Replica(self._log, self._loop, start, self._tables)
        try:
            return await self._follow(self.replica, info.state)
        except BrokenError as error:
            return await self._replaced(created, told(error))
        except StreamLostError as error:
            return await self._lost(created, told(error))

    async def _ledger(self) -> StreamInfo:
        return await self._connection.js.stream_info(names.LEDGER)

    async def _is_gone(self) -> bool:
        try:
            await self._ledger()
        except NotFoundError:
            return True
        return False

    async def _copies(self, created: int) -> list[Snapshot]:
        return await self._insist(lambda: snapshots.stored(self._connection.js, created), "no copy can be read")

    async def _replaced(self, created: int, why: str) -> Restore | None:
        """Return what takes the place of this file: the newest copy, or a new file that a whole ledger fills.

        Where there is neither, whoever leads makes a copy. None if the ledger is another one by then.
        """
        while True:
            copies = await self._copies(created)
            info = await self._insist(self._ledger, LEDGER_UNREAD)
            if created_at(info) != created:
                return None
            if copies or info.state.first_seq <= 1:
                return Restore(copies[-1] if copies else None, why, self._log.head > 0)
            text = "%s cannot follow the ledger (%s), and the cluster has no copy; waiting for who leads to make one"
            logger.warning(text, self._log.path, why)
            await asyncio.sleep(RETRY_SECONDS)

    async def _lost(self, created: int, why: str) -> Restore | None:
        """Wait until the ledger is there again, or what another one began with: this file may be older than that.

        None if it is to be judged anew.
        """
        await self._lease.release()  # whoever led has the newest file
        while True:
            text = "%s; waiting for who led to begin another one; to begin it with %s, end all and start this one first"
            logger.warning(text, why, self._log.path)
            now = created_at(await self._insist(self._ledger, LEDGER_UNREAD))
            if now == created or not self._log.head:
                return None
            if copies := await self._copies(now):
                return Restore(copies[-1], why, had_events=True)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, replica: Replica, state: StreamState) -> Outcome:
        """Follow the ledger, and try to lead once this file is as far as the ledger was."""
        is_new = state.last_seq == 0 and self._log.head > 0
        reading = tasks.begin(self._read(replica, is_new=is_new))
        leading = tasks.begin(self._campaign(replica, state.last_seq))
        try:
            await asyncio.wait([reading, leading], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            last = leading.result()
        finally:
            await tasks.end(lambda: [reading, leading])
        return Lead(replica.place, last, is_new)

    async def _read(self, replica: Replica, *, is_new: bool) -> None:
        place, connection = replica.place, self._connection
        async for batch in follow(connection.client, connection.js, names.LEDGER, place.sequence, place.created):
            if is_new:
                text = f"{self._log.path} has experiments of its own, and this cluster has others by now"
                raise ClusterRefusedError(f"{text}; move it away, or choose another --data-dir")
            await self._apply(replica, batch)

    async def _apply(self, replica: Replica, batch: list[Stored]) -> None:
        done = Future[None]()
        self._loop.call(lambda: replica.start(batch, done))
        await asyncio.wrap_future(done)
        self._moved.set()

    async def _campaign(self, replica: Replica, last: int) -> int:
        """Win, and return the newest message of the ledger, once this file is as far."""
        await self._reached(replica, last)
        await self._lease.win()
        info = await self._insist(lambda: self._connection.js.stream_info(names.LEDGER), "the ledger cannot be read")
        await self._reached(replica, info.state.last_seq)
        return replica.last

    async def _reached(self, replica: Replica, last: int) -> None:
        while replica.last < last:
            self._moved.clear()
            await self._moved.wait()

    async def _insist(self, ask: Callable[[], Coroutine[Any, Any, T]], what: str, seconds: float = ANSWER_SECONDS) -> T:
        """Ask until there is an answer; one question may be lost, or take long."""
        while True:
            try:
                return await tasks.within(seconds, ask())
            except ClusterRefusedError:
                raise
            except FAULTS as error:
                logger.warning("%s: %s; trying again", what, told(error))
                await asyncio.sleep(RETRY_SECONDS)
