"""Making recommendations anew, soon after each rating and each completed job, and publishing those that differ."""

import logging
import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import asdict

from bus import topics
from bus.control import Methods
from bus.log import Log, StorageError
from bus.logfile import LogError
from bus.loop import Loop
from bus.messages import RecommendationUpdated, decode_body
from bus.requests import ExperimentParams
from bus.wire import ControlError
from learning_service.answer.late import answers
from learning_service.experiments import Experiment
from learning_service.observations import observe
from learning_service.store import LearningStore

REST_SECONDS: Final = 0.2  # between two of one experiment, as jobs may end by the hundred
SHARE: Final = 5  # and so many times what the last one took: others have their turns
RETRY_SECONDS: Final = 1.0  # where the disk is full
RESTS_KEPT: Final = 1000
logger = logging.getLogger(__name__)


class Recommender:
    """Watches the marks of `StaleMarks`; a failure of its own costs neither a rating nor the service."""

    def __init__(self, log: Log, store: LearningStore, loop: Loop) -> None:
        """Begin with what was left to do."""
        self._log, self._store, self._loop = log, store, loop
        self._waiting: set[str] = set()
        self._rests: dict[str, float] = {}  # until when
        self._is_told = False  # that the statistics are not installed
        self.on_made: Callable[[Experiment, RecommendationUpdated | None], None] = lambda _experiment, _made: None
        store.stale.on_mark = self._soon
        for experiment_id in store.stale.all():
            self._soon(experiment_id)

    def register(self, methods: Methods) -> None:
        """Answer requests."""
        methods.add("experiment.recommend", ExperimentParams, self._recommend, role="read")

    def latest(self, experiment_id: str) -> RecommendationUpdated | None:
        """Give the newest one that was published; None if there was none yet."""
        topic = topics.build(topics.RECOMMENDATION_UPDATED, experiment_id)
        for record in self._log.latest(topic, 1).records:
            message = decode_body(record.body)
            if isinstance(message, RecommendationUpdated):
                return message
        return None

    def _recommend(self, params: ExperimentParams) -> RecommendationUpdated:
        self._store.trim()
        experiment = self._store.get(params.experiment_id)
        known = None if self._store.stale.has(params.experiment_id) else self.latest(params.experiment_id)
        made = known or self._made(experiment, even_unseen=True)
        if made is None:
            raise ControlError("internal", f"no recommendation was made for {params.experiment_id}")
        return made

    def _soon(self, experiment_id: str) -> None:
        """Make a recommendation in a later turn of the loop, as now its reason is not committed yet."""
        if experiment_id in self._waiting:
            return
        self._waiting.add(experiment_id)
        now = time.monotonic()
        rest = max(0.0, self._rests.get(experiment_id, 0.0) - now)
        self._loop.later(rest, lambda: self._renew(experiment_id))
        if len(self._rests) > RESTS_KEPT:
            self._rests = {name: until for name, until in self._rests.items() if until > now}

    def _renew(self, experiment_id: str) -> None:
        self._waiting.discard(experiment_id)
        if not self._store.stale.has(experiment_id):
            return
        began = time.monotonic()
        try:
            self._make(experiment_id)
        except StorageError as error:  # the disk is full
            logger.error("cannot write %s: %s; trying again", self._log.path, error)  # noqa: TRY400 - no bug of ours
            self._loop.later(RETRY_SECONDS, lambda: self._soon(experiment_id))
        except (LogError, MemoryError):
            raise
        except ControlError as error:  # no statistics: the mark stays, for when they are installed
            if not self._is_told:
                logger.warning("no recommendations: %s", error.message)
            self._is_told = True
        except Exception:
            logger.exception("no recommendation for %s", experiment_id)
        now = time.monotonic()
        self._rests[experiment_id] = now + max(REST_SECONDS, SHARE * (now - began))

    def _make(self, experiment_id: str) -> None:
        self._store.trim()
        experiment = self._store.find(experiment_id)
        known = self.latest(experiment_id) if experiment else None
        made = self._made(experiment, even_unseen=known is not None) if experiment else None
        with self._log.transaction() as tx:
            self._store.stale.clear(tx, experiment_id)
            if made and made != known:
                tx.append(topics.build(topics.RECOMMENDATION_UPDATED, experiment_id), made)
        if experiment:
            self.on_made(experiment, made)

    def _made(self, experiment: Experiment, *, even_unseen: bool) -> RecommendationUpdated | None:
        """Make a recommendation; of nothing that was seen only if it replaces one."""
        seen, candidates, objective = observe(experiment, self._store.results, self._store.judgements)
        if not seen and not even_unseen:
            return None
        made = answers().recommend(seen, candidates, objective, experiment.definition.variable_name)
        return RecommendationUpdated(experiment_id=experiment.experiment_id, **asdict(made))
