"""The worker: it fetches a job of the cluster for each free place, and brings it into the queue of this runner."""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from bus.cluster import ends, jobs
from bus.cluster.ends import Outcome
from bus.cluster.errors import ClusterError
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import JobResult
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError
from bus.protocol.topics import TopicError
from bus.protocol.validation import InvalidInputError
from bus.telemetry.logging import RepeatFilter
from bus.telemetry.metrics import Point
from bus.transport.retry import log_transient
from pipeline_runner.cluster.link import Link
from pipeline_runner.cluster.outbox import Outbox
from pipeline_runner.cluster.sending import Place, end_of, subject_of
from pipeline_runner.cluster.store import ClusterStore
from pipeline_runner.cluster.taking import LAST_DELIVERY, Offer, Verdict, take, verdict
from pipeline_runner.queue.errors import QueueFullError, StillCancellingError
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result, new_record
from pipeline_runner.queue.service import JobService

ROOM_SECONDS: Final = 1.0  # between two looks for room on the disk
REST_SECONDS: Final = 2.0  # until a queue that was empty is looked at again, unless somebody says that there are jobs
LATE_SECONDS: Final = (
    0.1  # by which a server may hear of a job after those who wait for it: 3 % of fetches found it empty
)
AT_ONCE: Final = 2  # fetches of a pipeline
HELP: Final = {
    "variantbus_cluster_tickets": "Jobs of the cluster that this runner has taken and whose ends are not acknowledged.",
    "variantbus_cluster_redelivered_total": "Jobs that had been given to somebody before they were fetched here.",
}
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a cluster that is away must not decide how much we log


class Rules(NamedTuple):
    """What the runner lets the worker use.

    Attributes:
        service: Its queue.
        check: Raises `InvalidInputError` for a job that could not run here.
        changed: Called when jobs were queued.
    """

    service: JobService
    check: Callable[[JobRequest], None]
    changed: Callable[[], None]


class Worker:
    """Fetches as many jobs as can start now, and none for a pipeline that is held. All belongs to the loop's thread."""

    def __init__(self, log: Log, link: Link, store: ClusterStore, outbox: Outbox, name: str) -> None:
        """Wire the parts; nothing is fetched before `begin`."""
        self._log, self._link, self._store, self._outbox = log, link, store, outbox
        self._name = name
        self._rules: Rules | None = None
        self._asked: Counter[str] = Counter()  # places for which a fetch is on its way, by pipeline
        self._fetches: Counter[str] = Counter()
        self._rests: dict[str, float] = {}  # until when nothing is fetched, by the steady clock
        self._wakes = 0
        self._woken = 0.0  # the last time, by the steady clock
        self._lacks_room = False  # on the disk: what is fetched is only delivered once more, until it counts as deadly
        self._looks_at = 0.0  # for room, by the steady clock
        self._redelivered = 0
        self.failed: Callable[[], None] = lambda: None  # called when nothing can be fetched

    def begin(self, rules: Rules) -> None:
        """Fetch from now on."""
        self._rules = rules
        self.look()

    def pause(self) -> None:
        """Fetch nothing until `begin`."""
        self._rules = None

    def wake(self) -> None:
        """Look at once: there are new jobs."""
        self._wakes += 1
        self._woken = time.monotonic()
        self._rests.clear()
        self.look()

    def look(self) -> None:
        """Fetch jobs for the places that are free."""
        rules = self._rules
        if rules is None or not self._link.is_connected or self._outbox.is_full or rules.service.runs_alone:
            return
        now = time.monotonic()
        if self._lacks_room and not self._has_room(now):
            return
        for pipeline, free in rules.service.queues.free(now).items():
            places = free - self._asked[pipeline]
            if places > 0 and self._fetches[pipeline] < AT_ONCE and now >= self._rests.get(pipeline, 0.0):
                self._asked[pipeline] += places
                self._fetches[pipeline] += 1
                work = take(self._link.connection, pipeline, places)
                self._link.do(work, partial(self._taken, pipeline, places, self._wakes))

    def points(self) -> Iterator[Point]:
        """Return the metrics."""
        yield "variantbus_cluster_tickets", {}, len(self._store.tickets)
        yield "variantbus_cluster_redelivered_total", {}, self._redelivered

    def _taken(self, pipeline: str, places: int, wakes: int, found: tuple[list[Offer], bool] | ClusterError) -> None:
        self._asked[pipeline] -= places
        self._fetches[pipeline] -= 1
        offers, more = ([], False) if isinstance(found, ClusterError) else found
        if isinstance(found, ClusterError):
            logger.warning("jobs of %s cannot be fetched: %s", pipeline, found)
            self.failed()
        if not more and wakes == self._wakes:
            now = time.monotonic()
            is_early = not offers and now < self._woken + LATE_SECONDS
            # runners that found nothing at the same time do not all ask again at the same time
            rest = LATE_SECONDS if is_early else REST_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
            self._rests[pipeline] = now + rest
        if offers and self._rules:
            try:
                self._admit(self._rules, offers)
            except StorageError as error:  # they are delivered again, to whoever has room
                log_transient(error)
                self._lacks_room, self._looks_at = True, time.monotonic() + ROOM_SECONDS
        self.look()

    def _has_room(self, now: float) -> bool:
        """Return whether a job could be written, asked now and then."""
        if now < self._looks_at:
            return False
        try:
            self._store.probe()
        except StorageError:
            self._looks_at = now + ROOM_SECONDS
        else:
            self._lacks_room = False
        return not self._lacks_room

    def _admit(self, rules: Rules, offers: Sequence[Offer]) -> None:
        """Bring what was fetched into the queue, in one transaction, or do what else is to be done with it."""
        self._redelivered += sum(offer.deliveries > 1 for offer in offers)
        known = {one.request.job_id: rules.service.store.intact(one.request.job_id) for one in offers}
        verdicts: dict[Verdict, list[Offer]] = {}
        for offer in offers:
            name = offer.request.job_id
            verdicts.setdefault(verdict(offer, known[name], has_ticket=name in self._store.tickets), []).append(offer)
        for offer in verdicts.get("acknowledge", ()):
            self._link.do(self._link.connection.client.publish(offer.reply, jobs.ACK), _ignore)
        for offer in verdicts.get("give up", ()):
            text = f"each of the {offer.deliveries - 1} runners that have taken this job has died, or was lost"
            self._end(offer, failed_result("crashed", text))
        again = verdicts.get("send again", [])
        if again or "renew" in verdicts:
            with self._log.transaction() as tx:
                self._hold(tx, [*again, *verdicts.get("renew", ())])
                self._outbox.send_again(tx, [record for one in again if (record := known[one.request.job_id])])
        self._take(rules, [offer for offer in verdicts.get("take", ()) if self._is_possible(rules, offer)])

    def _take(self, rules: Rules, offers: Sequence[Offer]) -> None:
        if not offers:
            return
        try:
            # the cluster has these jobs until their end is there: what a power cut takes is delivered again
            rules.service.submit(
                [offer.request for offer in offers], write=lambda tx: self._hold(tx, offers), sync=False
            )
        except (QueueFullError, StillCancellingError) as error:
            logger.warning("%d jobs of the cluster are left to others: %s", len(offers), error)
            return
        rules.changed()

    def _hold(self, tx: Transaction, offers: Sequence[Offer]) -> None:
        """Write tickets, with the newest places for their acknowledgements."""
        self._store.take(tx, {offer.request.job_id: offer.reply for offer in offers})

    def _is_possible(self, rules: Rules, offer: Offer) -> bool:
        """Return whether a job could run here; another runner may have what it needs, until some have been asked."""
        try:
            rules.check(offer.request)
        except ControlError as error:  # its server has just gone away
            logger.warning("%s is left to other runners: %s", offer.request.job_id, error)
            return False
        except (InvalidInputError, TopicError) as error:
            if offer.deliveries >= LAST_DELIVERY - 1:
                self._end(offer, failed_result("invalid_request", str(error)))
            else:
                logger.warning("%s is left to other runners: %s", offer.request.job_id, error)
            return False
        return True

    def _end(self, offer: Offer, result: JobResult) -> None:
        """Commit the end of a job that never ran here; it has no number, as nothing of it is kept here."""
        logger.warning("%s fails: %s", offer.request.job_id, result.error.message if result.error else "")
        now = time.time()
        record = replace(new_record(offer.request, now), state="failed", result=result, finished_at=now)
        self._link.do(self._commit(record, offer), _ignore)

    async def _commit(self, record: NormalizedJobRecord, offer: Offer) -> Outcome:
        """Commit an end of no number; if the cluster does not answer, the next delivery of the job does it again."""
        connection = self._link.connection
        place = Place(self._name, 0, 0, 0)
        end = replace(end_of(record, place, connection.client.max_payload), run=f"{self._name}:{offer.reply}")
        outcome = await ends.commit(connection.js, subject_of(record), end)
        await connection.client.publish(offer.reply, jobs.ACK)
        return outcome


def _ignore(_result: object) -> None:
    """Do nothing: if it failed, the job is delivered again."""
