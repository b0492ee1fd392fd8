"""One learning service of a cluster: it stands by until it leads, and leads until it is deposed, in one process.

Each time it begins anew: what is in memory belongs to what it was. Only its ports, its connection and its file stay.
"""

import logging
import os
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, TypeVar

from bus.cluster import streams, tasks
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError, told
from bus.eventlog.errors import ReplicationError
from bus.eventlog.files import sync
from bus.eventlog.log import Log
from bus.protocol.addresses import Address
from bus.publisher import Publisher
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from bus.transport.sockets import BindError
from learning_service.cluster import places, snapshots
from learning_service.cluster.asking import Answerer, Asker
from learning_service.cluster.codec import LINK_BYTES, Began
from learning_service.cluster.leadership import Leader, Lease
from learning_service.cluster.ledger import Ledger
from learning_service.cluster.standby import Lead, Restore, Standby

REST_SECONDS: Final = 1.0  # before the file is looked at that was restored twice; the next time about twice as long
LONGEST_REST: Final = 30.0
COPY_SECONDS: Final = 3600.0
RELEASE_SECONDS: Final = 2.0
DRAIN_TURNS: Final = 100
PORT_PAUSE: Final = 0.02
PORT_SECONDS: Final = 5.0  # until the system has closed a port
T = TypeVar("T")
HELP: Final = {
    "variantbus_cluster_leads": "1 if this learning service leads, 0 if it stands by.",
    "variantbus_ledger_sequence": "The last message of the ledger that is in this file.",
}
logger = logging.getLogger(__name__)


class Service(Protocol):
    """What leads."""

    publisher: Publisher

    def close(self) -> None:
        """Stop."""


class Program(Protocol):
    """What a node is made of; the rooms of the service know each other, and this one knows none of them."""

    def open_log(self) -> Log:
        """Open the file."""

    def create_tables(self, log: Log) -> None:
        """Create all tables of the service."""

    def stand_by(self, log: Log, loop: Loop, feed: Address, control: Address) -> Publisher:
        """Return the publisher of a service that answers for its log alone."""

    def lead(self, log: Log, loop: Loop, feed: Address, control: Address) -> Service:
        """Return the service."""

    def announce(self, publisher: Publisher) -> None:
        """Tell that the ports are open, once."""


class Node:
    """Takes turns until a signal comes."""

    def __init__(self, connection: Connection, program: Program, path: Path, feed: Address, control: Address) -> None:
        """`path` is the file that `program` opens."""
        self._connection, self._program, self._path = connection, program, path
        self._feed, self._control = feed, control
        self._lease: Lease | None = None
        self._is_stopped = self._is_migrated = self._is_ensured = self._has_led = False
        self._restored = 0  # times in a row
        self._name = ""

    def run(self) -> None:
        """Stand by, lead, and stand by again.

        Raises:
            ClusterRefusedError: this file cannot join the cluster.
            BindError, LogError: as for any service.
        """
        with self._signals():
            while not self._is_stopped:
                try:
                    self._take_turn()
                finally:
                    if self._lease:
                        with suppress(ClusterError):
                            self._connection.run(self._lease.release(), RELEASE_SECONDS)

    def _take_turn(self) -> None:
        outcome = self._stand_by()
        if isinstance(outcome, Restore):
            self._restore(outcome)
        elif outcome and not self._is_stopped:
            self._restored = 0
            self._lead(outcome)

    def _stand_by(self) -> Lead | Restore | None:
        """Stand by until there is something else to do; None after a signal."""
        with self._opened() as (log, loop):
            publisher = self._bound(lambda: self._program.stand_by(log, loop, self._feed, self._control))
            asker = Asker(self._connection)
            publisher.methods.pass_on(asker.ask)
            lease = self._keep_addresses(publisher)
            standby = Standby(self._connection, lease, log, loop, is_ensured=self._is_ensured, has_led=self._has_led)
            publisher.metrics.add(lambda: _points(0, standby.sequence), HELP)
            standby.start(min(LONGEST_REST, REST_SECONDS * (2 ** (self._restored - 1) - 1)) if self._restored else 0.0)
            try:
                loop.run()
                asker.close()
                _drain(loop)
            finally:
                standby.close()
                publisher.close()
            self._is_ensured = standby.is_ensured and not standby.error
            self._has_led &= not (standby.replica and standby.replica.applied)  # others have newer files by now
            if standby.error:
                raise standby.error
            return standby.outcome

    def _lead(self, lead: Lead) -> None:
        """Lead until that is lost, or a signal comes."""
        with self._opened() as (log, loop):
            try:
                ledger = self._begin(log, loop, lead)
                service = self._bound(lambda: self._program.lead(log, loop, self._feed, self._control))
            except ReplicationError as error:
                logger.warning("%s", error)
                return
            logger.info("this learning service leads")
            answerer = Answerer(self._connection, loop, service.publisher.methods)
            service.publisher.metrics.add(lambda: _points(1, ledger.sequence), HELP)
            copies = snapshots.keep(self._connection, self._path, lead.place.created, at_once=self._is_migrated)
            caring = self._connection.submit(tasks.together(copies, self._keep_streams(loop)))
            self._is_migrated, self._has_led = False, True
            try:
                try:
                    loop.run()
                except ReplicationError as error:
                    logger.warning("%s", error)
                answerer.close()
                _drain(loop)
            finally:
                logger.info("this learning service leads no more")
                caring.cancel()
                with suppress(ReplicationError):
                    service.close()

    async def _keep_streams(self, loop: Loop) -> None:
        """Keep them for as long as there is a ledger, of which this one is the leader."""
        await streams.keep(self._connection.js)
        logger.warning("the ledger is gone from the cluster; beginning another one with %s", self._path)
        loop.call(loop.stop)

    def _begin(self, log: Log, loop: Loop, lead: Lead) -> Ledger:
        """Write into the ledger that this one leads, and let the file pass on all that it writes."""
        place = lead.place
        if self._lease:
            self._lease.on_lost = lambda: loop.call(loop.stop)
            if not self._lease.is_held:
                raise ReplicationError("the key of the leader was lost again")
        if lead.is_new:  # the links of another file's entries are others, whatever is in them
            place = place._replace(link=os.urandom(LINK_BYTES))
        if not place.sequence:
            with log.transaction() as tx:
                places.write(tx, place)
        if lead.is_new:
            try:
                self._connection.run(snapshots.take(self._connection.js, self._path), COPY_SECONDS)
            except (ClusterError, *snapshots.FAILURES) as error:
                raise ReplicationError(f"no copy of {self._path} can be put into the cluster: {told(error)}") from error
        ledger = Ledger(self._connection, place, lead.last, loop.stop)
        ledger.begin(Began(self._name, str(self._control), places.versions(log), uuid.uuid4().hex))
        log.replicate(ledger)
        return ledger

    def _restore(self, restore: Restore) -> None:
        """Replace the file by a copy; what was there stays beside it."""
        path = self._path
        if restore.had_events:
            logger.warning("%s is made anew from the cluster: %s", path, restore.why)
        else:
            logger.info("%s is filled from the cluster", path)
        self._restored += 1
        new = path.with_name(f"{path.name}.restoring")
        if restore.snapshot:
            work = snapshots.download(self._connection.js, restore.snapshot, new)
            try:
                self._connection.run(work, COPY_SECONDS)
            except (ClusterError, *snapshots.FAILURES) as error:
                logger.warning("the copy of the cluster cannot be read: %s; trying again", told(error))
                return
        for suffix in ("-wal", "-shm"):
            path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
        path.with_suffix(".head").unlink(missing_ok=True)
        if restore.had_events:
            path.replace(path.with_name(f"{path.name}.replaced"))
        else:
            path.unlink()
        if restore.snapshot:
            new.replace(path)
        sync(path.parent)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Log, Loop]]:
        """Open the file, with all tables, and make a loop; close both."""
        log = self._program.open_log()
        try:
            before = places.versions(log)
            self._program.create_tables(log)
            places.open_place(log)
            self._is_migrated |= any(places.versions(log)[name] != version for name, version in before.items())
            loop = Loop()
            try:
                loop.handle_signals()
                if self._is_stopped:
                    loop.stop()
                yield log, loop
            finally:
                self._is_stopped |= loop.is_signalled
                loop.close()
        finally:
            log.close()

    def _keep_addresses(self, publisher: Publisher) -> Lease:
        """Keep the ports that are bound from now on; return the lease of this process, which names them."""
        self._feed, self._control = publisher.feed, publisher.control
        if self._lease is None:
            self._program.announce(publisher)
            self._name = f"{socket.gethostname()}:{publisher.control.port}"
            self._lease = Lease(self._connection, Leader(name=self._name, control=str(publisher.control)))
        return self._lease

    def _bound(self, make: Callable[[], T]) -> T:
        """Make what binds the ports; those that this process had itself take the system a moment to give back."""
        until = time.monotonic() + PORT_SECONDS
        while True:
            try:
                return make()
            except BindError as error:
                if self._lease is None or error.port is None or time.monotonic() > until:
                    raise
                time.sleep(PORT_PAUSE)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Note signals that come while there is no loop."""
        before = {number: signal.signal(number, self._signalled) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopped = True


def _points(leads: int, sequence: int) -> Iterator[Point]:
    yield "variantbus_cluster_leads", {}, leads
    yield "variantbus_ledger_sequence", {}, sequence


def _drain(loop: Loop) -> None:
    """Answer what has come: who asks would wait for long, as nobody else has the request."""
    for _ in range(DRAIN_TURNS):
        with suppress(ReplicationError):
            if not loop.step(0):
                return
