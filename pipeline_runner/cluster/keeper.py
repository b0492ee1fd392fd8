"""The jobs that this runner has taken: the cluster hears that they run, and we hear where one has ended meanwhile."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from bus.cluster import ends, jobs
from bus.cluster.errors import ClusterError
from bus.cluster.messages import CancelNews
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from bus.transport.retry import log_transient
from pipeline_runner.cluster.link import Link
from pipeline_runner.cluster.outbox import Outbox
from pipeline_runner.cluster.sending import subject_of
from pipeline_runner.cluster.store import ClusterStore
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.service import JobService

BEAT_SECONDS: Final = 10.0  # a third of the time after which a silent runner's jobs are given to others
logger = logging.getLogger(__name__)


class Hands(NamedTuple):
    """What the runner lets the keeper use: its queue, what stops a running job, and what is called after changes."""

    service: JobService
    stop: Callable[[str], None]
    changed: Callable[[], None]


class Keeper:
    """Looks after tickets every few seconds. All belongs to the loop's thread."""

    def __init__(self, log: Log, loop: Loop, link: Link, store: ClusterStore, outbox: Outbox) -> None:
        """Wire the parts; nothing is looked after before `begin`."""
        self._log, self._link, self._store, self._outbox = log, link, store, outbox
        self._hands: Hands | None = None
        self._timer = loop.every(BEAT_SECONDS, self.beat)

    def begin(self, hands: Hands) -> None:
        """Look after the tickets from now on."""
        self._hands = hands
        self.beat()

    def close(self) -> None:
        """Stop."""
        self._timer.cancel()
        self._hands = None

    def beat(self) -> None:
        """Tell the cluster which jobs are looked after here, and ask which of them have ended."""
        hands = self._hands
        if hands is None or not self._link.is_connected:
            return
        lost: list[str] = []
        pairs = []
        for job_id, reply in self._store.tickets.items():
            record = hands.service.store.intact(job_id)
            if record is None:
                lost.append(job_id)
                continue
            if record.result and not self._outbox.owes(job_id):
                continue  # it is just being written that its end is there
            pairs.append(
                (self._look(record, reply if self._is_kept(hands, record) else ""), partial(self._seen, record))
            )
        self._link.do_all(pairs)
        if lost:
            self._drop(lost)

    def cancel(self, news: CancelNews) -> None:
        """Cancel the jobs of an experiment, as `job.cancel` does."""
        hands = self._hands
        if hands is None or not hands.service.store.count_unended(news.experiment_id):
            return
        try:
            _, running = hands.service.cancel_experiment(news.experiment_id)
        except StorageError as error:  # the next beats find their ends
            log_transient(error)
            return
        hands.changed()
        for job_id in () if news.finish_running else running:
            hands.stop(job_id)

    def _is_kept(self, hands: Hands, record: NormalizedJobRecord) -> bool:
        """Return whether nobody else should do a job; one that waits for a server may be done where that one is."""
        return record.state != "queued" or not hands.service.queues[record.pipeline].waits_for(time.monotonic())

    async def _look(self, record: NormalizedJobRecord, reply: str) -> bool:
        """Say that a job runs, if there is somebody to tell, and return whether it has ended."""
        if reply:
            await self._link.connection.client.publish(reply, jobs.IN_PROGRESS)
        return await ends.find(self._link.connection.js, subject_of(record)) is not None

    def _seen(self, record: NormalizedJobRecord, has_ended: bool | ClusterError) -> None:
        hands = self._hands
        if has_ended is not True or hands is None or record.job_id not in self._store.tickets:
            return
        now = hands.service.store.intact(record.job_id)
        if now is None or now.state not in ("queued", "running") or now.cancel_requested:
            return
        logger.info("%s has ended elsewhere, and is cancelled here", record.job_id)
        try:
            runs = hands.service.cancel(now)
        except StorageError as error:  # the next beat finds it again
            log_transient(error)
            return
        hands.changed()
        if runs:
            hands.stop(record.job_id)

    def _drop(self, job_ids: list[str]) -> None:
        logger.error("jobs of the cluster are lost here, others do them: %s", ", ".join(job_ids))
        try:
            with self._log.transaction() as tx:
                self._store.drop(tx, job_ids)
        except StorageError as error:
            log_transient(error)
