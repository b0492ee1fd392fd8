"""The learning service of a cluster: what a node stands by with, and what it leads with."""

from dataclasses import dataclass, replace
from pathlib import Path

from bus import __version__
from bus.cluster.access import Access
from bus.cluster.connection import Connection
from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.console.process import announce
from bus.contracts.topics import STATE_TOPICS
from bus.eventlog.log import Durability, Log
from bus.protocol.addresses import Address, Advertised
from bus.publisher import Publisher
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from learning_service import tables
from learning_service.cluster import numbers
from learning_service.cluster.link import ClusterRunners
from learning_service.cluster.node import Node
from learning_service.experiments.selection import Selection
from learning_service.service import LearningService


@dataclass(frozen=True, slots=True)
class Program:
    """What a node needs of the learning service, and what that was told on its command line."""

    path: Path
    selection: Selection
    durability: Durability = "normal"
    limits: Limits = DEFAULT_LIMITS
    keys: Keys | None = None
    advertised: Advertised | None = None
    connection: Connection | None = None  # by which jobs go out and ends come in; without one, runners are asked

    def open_log(self) -> Log:
        """Open the file."""
        return Log(self.path, keep_newest=STATE_TOPICS, durability=self.durability, limits=self.limits)

    def create_tables(self, log: Log) -> None:
        """Create all tables of the service."""
        tables.create_tables(log)
        numbers.create_tables(log)

    def stand_by(self, log: Log, loop: Loop, feed: Address, control: Address) -> Publisher:
        """Return the publisher of a service that answers for its log alone."""
        made = Publisher(log, loop, service="learning", version=__version__, feed=feed, control=control, keys=self.keys)
        if self.advertised:
            made.advertise(self.advertised)
        return made

    def lead(self, log: Log, loop: Loop, feed: Address, control: Address) -> LearningService:
        """Return the service."""
        runners = ClusterRunners(self.connection, log) if self.connection else None
        service = LearningService(
            log, loop, self.selection, feed=feed, control=control, keys=self.keys, runners=runners
        )
        if self.advertised:
            service.publisher.advertise(self.advertised)
        return service

    def announce(self, publisher: Publisher) -> None:
        """Tell that the ports are open."""
        announce("learning", feed=publisher.feed, control=publisher.control)


def run(access: Access, program: Program, feed: Address, control: Address) -> None:
    """Be one of the learning services of a cluster until a signal comes."""
    connection = Connection(access, "learning")
    try:
        Node(connection, replace(program, connection=connection), program.path, feed, control).run()
    finally:
        connection.close()
