"""The part of a runner that is in a cluster: one object, which the runner is given or not."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec
from nats.aio.msg import Msg

from bus.cluster import names, streams
from bus.cluster.access import Access
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.messages import Announcement, CancelNews, RepeatRequest, decode_as
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.validation import InvalidInputError
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop, Timer
from bus.transport.retry import log_transient
from pipeline_runner.cluster import joining, outbox, worker
from pipeline_runner.cluster.announcer import Announcer
from pipeline_runner.cluster.elsewhere import Elsewhere
from pipeline_runner.cluster.keeper import Hands, Keeper
from pipeline_runner.cluster.link import Link
from pipeline_runner.cluster.outbox import Outbox
from pipeline_runner.cluster.returning import cancel_ended
from pipeline_runner.cluster.station import Station
from pipeline_runner.cluster.store import ClusterStore
from pipeline_runner.cluster.switching import check_joining
from pipeline_runner.cluster.worker import Rules, Worker
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.service import JobService

TICK_SECONDS: Final = 0.25  # between two looks at the connection, and at what waits
STREAMS_SECONDS: Final = 2.0  # between two looks for the streams
FLUSH_SECONDS: Final = 0.5  # at a stop
HELP: Final = {
    "variantbus_cluster_connected": "1 while a server of the cluster answers this runner.",
    **worker.HELP,
    **outbox.HELP,
}
logger = logging.getLogger(__name__)


class Member:
    """Fetches jobs, commits their ends, and tells of this runner. All methods belong to the loop's thread."""

    def __init__(self, log: Log, loop: Loop, access: Access, outputs: Outputs) -> None:
        """Begin to connect.

        Raises:
            ClusterRefusedError: the credentials or the certificates cannot be read.
        """
        self._log, self._loop = log, loop
        self._store = ClusterStore(log)
        joining.create_tables(log)
        self.name = self._store.name()
        self._connection = Connection(access, f"variantbus runner {self.name}")
        self._link = Link(self._connection, loop)
        self._root = outputs.root
        self.pictures = Elsewhere(self._link, outputs)
        self._announcer = Announcer(loop, self._link, self.name)
        self._is_ready = self._was_connected = False
        self._has_asked = False  # for the streams
        self._is_looking = False  # for the streams
        self._next_look: Timer | None = None

    def open(self, service: JobService) -> None:
        """Take over what is owed, before anything ends in the queue.

        Raises:
            InvalidInputError: there are jobs of experiments that were sent to this runner directly.
        """
        self._service = service
        if self._store.is_damaged:
            self._renew(service.store.unended_of_experiments())
        try:
            check_joining(service.store.unended_of_experiments(), self._store.tickets)
        except InvalidInputError:
            self._connection.close()
            raise
        self._outbox = Outbox(
            self._log, self._loop, self._link, self._store, service.store, name=self.name, root=self._root
        )
        self._make_up(service)
        self._worker = Worker(self._log, self._link, self._store, self._outbox, self.name)
        self._keeper = Keeper(self._log, self._loop, self._link, self._store, self._outbox)
        self._outbox.acknowledged = self._worker.look
        self._worker.failed = self._look_for_streams
        service.write_with_end(self._outbox.note_ends)
        taken = (one for one in service.store.unended_of_experiments() if one.job_id in self._store.tickets)
        cancel_ended(self._connection, service, taken)

    def join(self, station: Station) -> None:
        """Take part from now on, as soon as the cluster answers."""
        self._station = station
        station.publisher.metrics.add(self._points, HELP)
        self._log.on_commit(self._announcer.note_records)
        self._timer = self._loop.every(TICK_SECONDS, self._tick)
        self._link.do(self._listen(), self._listening)

    def look(self) -> None:
        """See whether a place is free."""
        self._worker.look()

    def tell(self, topic: str, message: msgspec.Struct) -> None:
        """Tell how far a job is."""
        self._announcer.note_progress(topic, message)

    def note_ends(self, tx: Transaction, records: Sequence[NormalizedJobRecord]) -> None:
        """Write ends of jobs that never were in the queue, in the transaction in which they end."""
        self._outbox.note_ends(tx, records)

    def forget(self, tx: Transaction, job_ids: Sequence[str]) -> None:
        """Forget jobs, in the transaction that removes them."""
        self._store.forget(tx, job_ids)

    def close(self) -> None:
        """Send what waits, if that is done at once, and leave; jobs that were taken stay, with their tickets."""
        self._timer.cancel()
        self._keeper.close()
        self._link.close()
        self._outbox.flush(FLUSH_SECONDS)
        self._announcer.close(FLUSH_SECONDS)
        self._connection.close()

    def disconnect(self) -> None:
        """Close the connection, of a runner that could not begin, too: its thread would hold up the end."""
        self._connection.close()

    def _renew(self, unended: Iterable[NormalizedJobRecord]) -> None:
        """Give jobs their tickets back, which damage has taken; where to acknowledge them, the next delivery says."""
        lost = {one.job_id: "" for one in unended if one.job_id not in self._store.tickets}
        with self._log.transaction() as tx:
            self._store.take(tx, lost)

    def _make_up(self, service: JobService) -> None:
        """Send the ends again whose rows damage has taken: without them, their tickets would stay for ever."""
        found = [record for one in self._store.tickets if (record := service.store.intact(one))]
        ended = [one for one in found if one.state not in ("queued", "running") and not self._outbox.owes(one.job_id)]
        if ended:
            with self._log.transaction() as tx:
                self._outbox.send_again(tx, ended)

    async def _listen(self) -> None:
        """Hear what is for all runners, or for this one; the client asks for it again after each reconnection."""
        await self._connection.ready()
        client = self._connection.client
        await client.subscribe(names.WAKE, cb=self._heard(self._woken))
        await client.subscribe(names.CANCEL, cb=self._heard(self._cancelled))
        await client.subscribe(names.REPEAT + self.name, cb=self._heard(self._repeated))

    def _heard(self, callback: Callable[[bytes], None]) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            self._link.back(partial(callback, message.data))

        return hear

    def _listening(self, result: ClusterError | None) -> None:
        if result:
            logger.warning("cluster: %s", result)
            self._loop.later(STREAMS_SECONDS, lambda: self._link.do(self._listen(), self._listening))
            return
        self._look_for_streams()

    def _look_for_streams(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self._link.do(streams.exists(self._connection.js), self._looked)

    def _looked(self, created: int | ClusterError) -> None:
        self._is_looking = False
        if isinstance(created, int) and created:
            if self._is_ready or self._has_joined(created):
                if not self._is_ready:
                    self._begin()
                return
        elif created == 0:
            if self._is_ready or not self._has_asked:
                text = "start a learning service with --cluster, which makes them"
                logger.warning("the cluster has no streams for jobs and their ends yet; %s", text)
            self._has_asked = True
            self._is_ready = False
            self._worker.pause()
            self._outbox.pause()
        if self._next_look:  # there is one, however many fetches have failed meanwhile
            self._next_look.cancel()
        self._next_look = self._loop.later(STREAMS_SECONDS, self._look_for_streams)

    def _has_joined(self, created: int) -> bool:
        """Return whether it is known into whose streams ends go; not while some are on their way."""
        if self._outbox.is_sending:
            return False
        try:
            if joining.join(self._log, self._store, created):
                text = "%s was in another cluster, or its streams were made anew; %d jobs that it has go on in this one"
                logger.warning(text, self.name, len(self._store.tickets))
                self._outbox.renew()
        except StorageError as error:
            log_transient(error)
            return False
        return True

    def _begin(self) -> None:
        station, service = self._station, self._service
        self._is_ready = True
        logger.info("this runner is %s in the cluster", self.name)
        self._announcer.begin(self._announcement)
        self._keeper.begin(Hands(service, station.stop, station.changed))
        self._outbox.begin()
        self._worker.begin(Rules(service, station.check, station.changed))

    def _announcement(self) -> Announcement:
        offers = msgspec.structs.replace(self._station.offer(), outputs="")  # a folder of this machine
        return Announcement(runner=self.name, control=self._station.publisher.known_control, offers=offers)

    def _tick(self) -> None:
        """Go on with what waits; after a reconnection at once with all of it."""
        is_connected, was_connected = self._link.is_connected, self._was_connected
        self._was_connected = is_connected
        if not self._is_ready or not is_connected:
            return
        if not was_connected:
            self._announcer.announce()
            self._keeper.beat()
        self._outbox.go_on()
        self._worker.look()

    def _woken(self, _data: bytes) -> None:
        self._worker.wake()

    def _cancelled(self, data: bytes) -> None:
        try:
            self._keeper.cancel(decode_as(CancelNews, data))
        except InvalidInputError as error:
            logger.warning("what says that jobs are cancelled cannot be read: %s", error)

    def _repeated(self, data: bytes) -> None:
        try:
            request = decode_as(RepeatRequest, data)
        except InvalidInputError as error:
            logger.warning("what asks for ends cannot be read: %s", error)
            return
        self._loop.start(self._outbox.repeat(request))

    def _points(self) -> Iterator[Point]:
        yield "variantbus_cluster_connected", {}, int(self._link.is_connected)
        yield from self._worker.points()
        yield from self._outbox.points()
