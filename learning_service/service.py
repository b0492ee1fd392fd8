"""The learning service: planning, dispatching, consuming and publishing, joined in one loop."""

import logging
from collections.abc import Iterator
from typing import Final

from bus import __version__
from bus.contracts.messages import JobCompleted
from bus.eventlog.log import Log
from bus.protocol.addresses import Address
from bus.protocol.identity import WrongFeed
from bus.protocol.recovery import Damaged, Notice, Rewound
from bus.publisher import Publisher
from bus.telemetry.metrics import Point
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from learning_service.archive.adopting import Adopter
from learning_service.archive.exporting import Exporter
from learning_service.archive.history import History
from learning_service.archive.importing import Importer
from learning_service.cluster.switching import check_switch
from learning_service.dispatch import dispatcher, purging
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.dispatch.purging import Purging
from learning_service.events import consumer
from learning_service.events.consumer import EventConsumer
from learning_service.events.reconciliation import Reconciler
from learning_service.events.router import LearningController
from learning_service.experiments.selection import Selection
from learning_service.feedback.comparisons import ComparisonService
from learning_service.feedback.next_rating import NextRating
from learning_service.feedback.ratings import RatingService
from learning_service.planning.adaptive import AdaptiveSearch
from learning_service.planning.cancellation import Cancellation
from learning_service.planning.creation import Creation
from learning_service.planning.deletion import Deletion
from learning_service.planning.layout import Layout
from learning_service.planning.listing import Lists
from learning_service.planning.objectives import Objectives
from learning_service.planning.queries import Queries
from learning_service.planning.revisions import Revisions
from learning_service.planning.sharing import Sharing
from learning_service.recommendation.service import Recommender
from learning_service.runners.direct import Direct
from learning_service.runners.reaching import Receiver, Runners, Subscription
from learning_service.storage.repair import Repair
from learning_service.storage.store import LearningStore

HELP: Final = {"variantbus_experiment_failures": "Failed tries in a row of what cannot be done for an experiment."}
logger = logging.getLogger(__name__)


class LearningService:
    """Plans experiments, sends their jobs to runners, and publishes the state of every variant."""

    def __init__(
        self,
        log: Log,
        loop: Loop,
        selection: Selection,
        *,
        feed: Address,
        control: Address,
        keys: Keys | None = None,
        runners: Runners | None = None,
    ) -> None:
        """Bind the sockets and continue at the stored positions.

        `runners` is how runners are reached, if not by their sockets.

        Raises:
            BindError: a port is taken.
            InvalidInputError: the keys do not say which key a runner has, or the file is another shard's, or has jobs
                that could not end.
        """
        self._runners = runners or Direct(selection, keys)  # before anything is opened
        self._store = LearningStore(log, selection.shard)
        check_switch(self._store, self._runners.addresses)
        self._repair = Repair(log, self._store, self._runners.addresses)
        self._store.fill_catalogue()
        self._runners.open(self._store)
        self.publisher = Publisher(
            log, loop, service="learning", version=__version__, feed=feed, control=control, keys=keys
        )
        self._log, self._loop, self._selection = log, loop, selection
        self._consumer = EventConsumer(
            log,
            self._store,
            loop,
            self.publisher,
            controller_for(selection),
            on_overflow=self._read_again,
            reconcile=self._reconcile,
        )
        self._consumer.on_hold, self._consumer.beside = self._hold, self._runners.beside
        self._dispatcher = Dispatcher(
            log,
            self._store,
            loop,
            self._runners,
            refused=self._consumer.apply_local,
            unsent=lambda rows: self._cancellation.cancel_unsent(rows),  # noqa: PLW0108 - it is made below
            reconcile=self._reconcile,
            control=str(self.publisher.control),
        )
        self._reconciler = Reconciler(
            log, self._store, loop, self._runners, apply=self._apply_end, lost=lambda: self._repair.lost
        )
        self._subscriber = self._subscribe()
        self._recommender = Recommender(log, self._store, loop, self._dispatcher.pipelines)
        self._add_planning()
        self._add_records()
        told = {**HELP, **consumer.HELP, **dispatcher.HELP, **purging.HELP, **self._runners.help}
        self.publisher.metrics.add(self._points, told)

    def _add_planning(self) -> None:
        """Answer requests that plan something, or end it."""
        log, loop, selection, methods = self._log, self._loop, self._selection, self.publisher.methods
        addresses = self._runners.addresses
        layout = Layout(log, loop, self._store, self._dispatcher)
        revisions = Revisions(log, self._store, self._dispatcher, layout, selection.max_variants)
        revisions.register(methods)
        self._search = AdaptiveSearch(
            log,
            self._store,
            loop,
            dispatcher=self._dispatcher,
            revisions=revisions,
            recommender=self._recommender,
        )
        self._search.register(methods)
        Creation(log, self._store, self._dispatcher, layout, self._search, selection).register(methods)
        self._cancellation = Cancellation(log, self._store, self._dispatcher, self._search, addresses)
        self._cancellation.register(methods)
        Objectives(log, self._store, self._dispatcher, revisions.turns).register(methods)
        self._dispatcher.departures.register(methods)
        self._purging = Purging(log, self._store, loop, self._runners)
        Deletion(log, self._store, loop, self._purging, addresses).register(methods)

    def _add_records(self) -> None:
        """Answer requests about what is recorded of experiments, which concern no runner."""
        log, store, selection, methods = self._log, self._store, self._selection, self.publisher.methods
        Queries(store, self._recommender).register(methods)
        Lists(log, store, self._recommender).register(methods)
        RatingService(log, store).register(methods)
        ComparisonService(log, store).register(methods)
        NextRating(store).register(methods)
        self._recommender.register(methods)
        Importer(log, store, selection.shard, selection.max_variants).register(methods)
        Adopter(log, store, selection.shard, selection.max_variants).register(methods)
        Exporter(log, store).register(methods)
        History(store).register(methods)
        Sharing(log, store).register(methods)

    def close(self) -> None:
        """Stop; applied events are on disk, all others are in the runners' logs."""
        self._subscriber.close()
        self._reconciler.close()
        self._purging.close()
        self._dispatcher.close()
        self.publisher.close()

    def _apply_end(self, job: JobCompleted) -> None:
        """Apply the end of a job that a runner was asked for, which may be known but for its result."""
        self._consumer.apply_local(job)
        self._repair.fill_in(job)

    def _points(self) -> Iterator[Point]:
        yield from self._consumer.points()
        for what, failures in (("recommendation", self._recommender.failures), ("search", self._search.failures)):
            for experiment_id, tries in failures.longest():
                yield "variantbus_experiment_failures", {"experiment": experiment_id, "what": what}, tries
        yield from self._dispatcher.points()
        yield from self._purging.points()
        yield from self._subscriber.points()

    def _subscribe(self) -> Subscription:
        receiver = Receiver(on_batch=self._consumer.on_batch, on_news=self._consumer.on_news, on_notice=self._on_notice)
        return self._runners.subscribe(self._loop, receiver, self._store.positions(), self._log.limits)

    def _read_again(self) -> None:
        """Subscribe again at the stored positions: events overflowed the buffer while the disk was full."""
        self._subscriber.close()
        self._subscriber = self._subscribe()

    def _hold(self, is_held: bool) -> None:
        if is_held:
            self._subscriber.pause()
        else:
            self._subscriber.resume()

    def _on_notice(self, runner: str, _prefix: str, notice: Notice) -> None:
        """Handle a gap: events that a runner can no longer retransmit."""
        logger.warning("%s: %s", runner, notice)
        if isinstance(notice, WrongFeed):
            return  # nothing is lost; the runner is asked again and again where its feed is
        if isinstance(notice, Rewound):
            self._dispatcher.resend(runner)
        else:
            if isinstance(notice, Damaged):
                self._consumer.reject_damaged(runner, notice.offset)
            self._reconcile(runner)

    def _reconcile(self, runner: str) -> None:
        """Ask a runner how its jobs ended; if that cannot be noted now, the events behind the gap note it."""
        if not self._reconciler.ask(runner):
            self._consumer.note_gap(runner)


def controller_for(selection: Selection) -> LearningController:
    """Return what routes the events of the experiments and variants that a service follows."""
    return LearningController(
        experiments=selection.experiments,
        variant_indices=selection.variants,
        discover=selection.discover,
        shard=selection.shard,
    )
