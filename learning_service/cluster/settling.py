"""Notices jobs that nobody will end: none waits or runs in the cluster, all ends were read, and yet some have none.

Neither a place nor a number is missing then: servers have lost a job that they had accepted, or a runner's last end.
"""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Final, NamedTuple

from bus.cluster.connection import Connection
from bus.cluster.faults import FAULTS
from bus.eventlog.errors import StorageError
from bus.transport.loop import Loop
from bus.transport.pace import Pace
from bus.transport.steps import Steps, wait
from learning_service.cluster.requests import Cluster
from learning_service.cluster.switching import CLUSTER
from learning_service.storage.store import LearningStore

LOOK_SECONDS: Final = 5.0
COUNTED_AT_ONCE: Final = 10_000
logger = logging.getLogger(__name__)


class State(NamedTuple):
    """What there is in the cluster: the ends as they are after the jobs were counted."""

    jobs: int  # that have not ended, waiting or running
    last_job: int  # place of the newest one ever
    last_end: int  # place


def is_settled(before: State | None, now: State, position: int) -> bool:
    """Return whether each job that the cluster had accepted at the look before has an end that was read since. Pure.

    An end is there before its job leaves the queue; and no job has come between the two looks.
    """
    if before is None or before.jobs or now.jobs or before.last_job != now.last_job:
        return False
    return position >= before.last_end


class Settling:
    """Looks now and then; all in the thread of the loop."""

    def __init__(
        self,
        connection: Connection,
        cluster: Cluster,
        store: LearningStore,
        loop: Loop,
        position: Callable[[], int],
        on_loss: Callable[[], None],
    ) -> None:
        """`position` returns up to where ends were applied; `on_loss` is called when jobs are left over."""
        self._connection, self._cluster, self._store, self._loop = connection, cluster, store, loop
        self._position, self._on_loss = position, on_loss
        self._before: State | None = None
        self._told = -1  # the newest end when a loss was told: without another one since, to send again helps nobody
        self._is_looking = self._is_closed = False
        self._timer = loop.every(LOOK_SECONDS, self._look)

    def close(self) -> None:
        """Stop."""
        self._is_closed = True
        self._timer.cancel()

    def _look(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self._loop.start(self._steps())

    def _steps(self) -> Steps[None]:
        try:
            now = State(*(yield from wait(self._connection.submit(self._cluster.count()))))
            if self._is_closed:
                return
            before, self._before = self._before, now
            if now.last_end == self._told or self._store.unacknowledged(CLUSTER, 1):
                return
            if is_settled(before, now, self._position()):
                held = yield from self._store.departures.count_held(Pace(COUNTED_AT_ONCE))
                if left := sum(some.jobs for some in held.get(CLUSTER, ())):
                    logger.warning("the cluster has lost %d jobs, or their ends; sending them again", left)
                    self._before, self._told = None, now.last_end
                    self._on_loss()
        except (CancelledError, StorageError, *FAULTS) as error:  # the next look is soon
            logger.debug("the cluster cannot be looked at: %r", error)
        finally:
            self._is_looking = False
