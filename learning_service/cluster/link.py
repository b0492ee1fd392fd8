"""The runners of a cluster, which the rest of the learning service sees as one runner."""

import logging
from collections.abc import Sequence
from typing import Final

from bus.cluster.connection import Connection
from bus.config.limits import Limits
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.subscriber.delivery import Delivery
from bus.transport.loop import Loop
from learning_service.cluster import reader
from learning_service.cluster.client import ClusterClient
from learning_service.cluster.numbers import Key, Lost, Numbers
from learning_service.cluster.reader import PREFIX, EndDelivery, Reader
from learning_service.cluster.requests import Cluster, Known
from learning_service.cluster.settling import Settling
from learning_service.cluster.switching import CLUSTER
from learning_service.runners.reaching import Positions, Receiver
from learning_service.storage.store import LearningStore

logger = logging.getLogger(__name__)


class ClusterRunners:
    """All runners of a cluster together; one for each learning service that is made. It closes no connection."""

    addresses: Final = [CLUSTER]
    help: Final = reader.HELP

    def __init__(self, connection: Connection, log: Log) -> None:
        """Create the tables if they are not there."""
        self._connection, self._known = connection, Known()
        self._cluster = Cluster(connection, self._known)
        self._numbers = Numbers(log, self._on_lost)
        self._reader: Reader | None = None

    def open(self, store: LearningStore) -> None:
        """Learn what is planned."""
        self._store = store

    def client(self, loop: Loop, address: str) -> ClusterClient:  # noqa: ARG002 - there is one
        """Return a new client."""
        return ClusterClient(loop, self._connection, self._cluster, self._store)

    def subscribe(self, loop: Loop, receiver: Receiver, positions: Positions, limits: Limits) -> Reader:  # noqa: ARG002
        """Follow the ends of jobs from the stored position on, and their news."""
        position = positions.get((CLUSTER, PREFIX))
        self._reader = reader = Reader(self._connection, loop, receiver, position, self._known)
        watch = Settling(self._connection, self._cluster, self._store, loop, self._applied, reader.tell_loss)
        reader.on_close = watch.close
        return reader

    def beside(self, tx: Transaction, applied: Sequence[Delivery]) -> None:
        """Write which ends were seen, by their numbers."""
        self._numbers.note(tx, [one.numbered for one in applied if isinstance(one, EndDelivery) and one.numbered])

    def _applied(self) -> int:
        """Return up to where ends were applied."""
        _, offset = self._store.positions().get((CLUSTER, PREFIX), (None, 0))
        return offset

    def _on_lost(self, key: Key, lost: Lost) -> None:
        """Have a runner publish again what the cluster has lost, and send all jobs again that have not ended."""
        text = "the cluster has lost ends of the runner %s that it had acknowledged: %d, from number %d on; asking it"
        logger.warning(text, key.runner, lost.ends, lost.first)
        self._known.lost[key.runner] += lost.ends
        self._connection.submit(self._cluster.ask_again(key, lost.first))
        if self._reader:
            self._reader.tell_loss()
