"""Updates recommendations soon after each rating and each completed job, and publishes those that changed."""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec.structs import asdict, replace

from bus.contracts.experiments import ExperimentParams
from bus.contracts.messages import RecommendationUpdated, ValueEstimate, decode_body
from bus.contracts.pipeline_specs import Pipelines
from bus.contracts.topics import RECOMMENDATION_UPDATED
from bus.eventlog.errors import LogError, StorageError
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from bus.transport.server import MethodServer
from bus.transport.steps import Steps, in_thread, wait
from learning_service.experiments.blocks import block_names
from learning_service.experiments.failures import Failures, reason_of
from learning_service.experiments.model import Experiment
from learning_service.experiments.plan import plan_space
from learning_service.experiments.space import Space
from learning_service.recommendation.lazy import are_statistics_loaded, load_statistics
from learning_service.recommendation.observations import Observations, objective_of, observe
from learning_service.recommendation.obstacles import changeless_text, problem_of, remark_on
from learning_service.storage.store import LearningStore

REST_SECONDS: Final = 0.2  # between two of one experiment, as jobs may end by the hundred
SHARE: Final = 5  # and so many times the duration of the last one, so that other experiments get their turn
RESTS_KEPT: Final = 1000
MANY_VALUES: Final = 200  # comparisons of so many take a second
logger = logging.getLogger(__name__)


class Recommender:
    """Updates the experiments marked in `StaleMarks`; its failure loses no rating and does not stop the service.

    The statistics run in another thread, for one experiment at a time, as they may take seconds.
    """

    def __init__(self, log: Log, store: LearningStore, loop: Loop, pipelines: Callable[[], Pipelines]) -> None:
        """Begin with the experiments that were marked at the last stop; `pipelines` are what runners offer now."""
        self._log, self._store, self._loop, self._pipelines = log, store, loop, pipelines
        self._waiting: set[str] = set()
        self._rests: dict[str, float] = {}  # experiment -> not before this time
        self._busy: str | None = None  # the experiment whose recommendation is being made
        self._is_old = False  # it was marked again meanwhile
        self._queue: deque[str] = deque()
        self.failures = Failures()
        self.on_made: Callable[[Experiment, RecommendationUpdated | None], None] = lambda _experiment, _made: None
        store.stale.on_mark = self._soon
        for experiment_id in store.stale.all():
            self._soon(experiment_id)

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.recommend", ExperimentParams, self._recommend, role="read")

    def latest(self, experiment_id: str) -> RecommendationUpdated | None:
        """Return the newest published recommendation; None if there is none yet."""
        topic = topics.build(RECOMMENDATION_UPDATED, experiment_id)
        for record in self._log.latest(topic, 1).records:
            message = decode_body(record.body)
            if isinstance(message, RecommendationUpdated):
                return message
        return None

    def shown(self, experiment: Experiment) -> RecommendationUpdated | None:
        """Return the newest recommendation for the objective of now; if it cannot be renewed, it says so."""
        name, objective = experiment.experiment_id, objective_of(experiment.definition).text
        known = self.latest(name)
        if known and known.objective != objective:
            known = None  # it was changed a moment ago
        failure = self.failures.find(name)
        if failure is None:
            return known
        problem = f"the recommendation cannot be renewed: {failure.text}"
        none = RecommendationUpdated(
            experiment_id=name, value=None, p_best=None, sentence="", tier="none", objective=objective
        )
        sentence = f"{known.sentence}; {problem}" if known else problem
        return replace(known or none, sentence=sentence, problem=problem)

    def current(self, experiment: Experiment) -> Steps[RecommendationUpdated | None]:
        """Return what `shown` does, but for all results of an experiment that has ended.

        Its last results wait for their turn; who looks at it, or saves a report of it, should not see the answer to
        fewer results than are there. What would take long is not made in between: such as one of many values.
        """
        name, known = experiment.experiment_id, self.shown(experiment)
        is_current = not self._store.stale.has(name) or not experiment.has_ended
        is_quick = are_statistics_loaded() and len(experiment.variants) <= MANY_VALUES
        if is_current or not is_quick or self.failures.find(name):
            return known
        try:
            seen = yield from self._observe(experiment)
            return (yield from self._make(experiment, seen)) if is_worth_telling(seen) else known
        except (LogError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - `_update` meets it, too, and says so
            return known

    def _recommend(self, params: ExperimentParams) -> Steps[RecommendationUpdated]:
        """Answer with an up-to-date recommendation; if that would take long, with the last one."""
        self._store.trim()
        experiment = self._store.get(params.experiment_id)
        known, is_stale = self.shown(experiment), self._store.stale.has(params.experiment_id)
        if known and (not is_stale or len(experiment.variants) > MANY_VALUES):
            return known
        seen = yield from self._observe(experiment)
        if len(experiment.variants) > MANY_VALUES and seen.seen:
            raise ControlError("unavailable", "the recommendation is being made; ask again in some seconds")
        try:
            return (yield from self._make(experiment, seen))
        except (ControlError, MemoryError):
            raise
        except Exception as error:
            failure = self.failures.find(params.experiment_id)
            why = failure.text if failure else reason_of(error)
            raise ControlError("conflict", f"the recommendation cannot be renewed: {why}") from error

    def _make(self, experiment: Experiment, seen: Observations) -> Steps[RecommendationUpdated]:
        work = partial(make_recommendation, experiment, seen)
        return (yield from wait(in_thread(work, f"recommend {experiment.experiment_id}")))

    def _soon(self, experiment_id: str) -> None:
        """Schedule an update: not at once, because many jobs may end in one moment."""
        if experiment_id == self._busy:
            self._is_old = True
        if experiment_id in self._waiting:
            return
        self._waiting.add(experiment_id)
        now = time.monotonic()
        rest = max(0.0, self._rests.get(experiment_id, 0.0) - now)
        self._loop.later(rest, lambda: self._renew(experiment_id))
        if len(self._rests) > RESTS_KEPT:
            self._rests = {name: until for name, until in self._rests.items() if until > now}

    def _renew(self, experiment_id: str) -> None:
        if self._busy is not None:
            self._queue.append(experiment_id)
            return
        self._waiting.discard(experiment_id)
        self._busy, self._is_old = experiment_id, False
        self._loop.start(self._update(experiment_id))

    def _update(self, experiment_id: str) -> Steps[None]:
        """Make the recommendation of an experiment anew if it is stale."""
        began = time.monotonic()
        made: RecommendationUpdated | Exception | None = None
        try:
            if not self._store.stale.has(experiment_id):
                self._busy = None
                self.failures.forget(experiment_id)
                self._next()
                return
            experiment = self._store.find(experiment_id)
            seen = (yield from self._observe(experiment)) if experiment else None
            # one without observations is published only if it replaces another
            if experiment and seen and (is_worth_telling(seen) or self.latest(experiment_id)):
                made = yield from self._make(experiment, seen)
        except StorageError as error:
            self._busy = None
            retry_later(self._loop, error, lambda: self._soon(experiment_id))
            self._next()
            return
        except (LogError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - it is looked at there
            made = error
        self._end(experiment_id, began, made)

    def _end(self, experiment_id: str, began: float, made: RecommendationUpdated | Exception | None) -> None:
        """Publish the recommendation if it has changed, and continue with the next experiment."""
        self._busy = None
        now = time.monotonic()
        self._rests[experiment_id] = now + max(REST_SECONDS, SHARE * (now - began))
        if isinstance(made, Exception):
            self._fail(experiment_id, made)
        else:
            self.failures.forget(experiment_id)
            self._write(experiment_id, made)
        self._next()

    def _fail(self, experiment_id: str, error: Exception) -> None:
        """Try again, later each time: the mark stays, so it is tried at the next start, too."""
        failure = self.failures.note(experiment_id, reason_of(error))
        if failure.tries == 1 and not isinstance(error, ControlError):
            logger.error("no recommendation for %s", experiment_id, exc_info=error)
        else:
            logger.warning("no recommendation for %s: %s", experiment_id, failure.text)
        self._rests[experiment_id] = time.monotonic() + failure.seconds
        self._soon(experiment_id)

    def _write(self, experiment_id: str, made: RecommendationUpdated | None) -> None:
        self._store.trim()
        try:
            with self._log.transaction() as tx:
                if not self._is_old:
                    self._store.stale.clear(tx, experiment_id)
                experiment = self._store.find(experiment_id)  # it may have been deleted meanwhile
                if experiment and made and made != self.latest(experiment_id):
                    tx.append(topics.build(RECOMMENDATION_UPDATED, experiment_id), made)
        except StorageError as error:
            retry_later(self._loop, error, lambda: self._soon(experiment_id))
            return
        if experiment and not self._is_old:
            self.on_made(experiment, made)

    def _next(self) -> None:
        if self._queue:
            following = self._queue.popleft()
            # through the loop: direct calls would nest thousands deep after a start
            self._loop.call(lambda: self._renew(following))

    def _observe(self, experiment: Experiment) -> Steps[Observations]:
        return observe(experiment, self._store.results, self._store.judgements, self._space(experiment))

    def _space(self, experiment: Experiment) -> Space | None:
        """Return what a search chooses from; None without one, or while no runner, or its server, tells."""
        if experiment.search is None:
            return None
        try:
            return plan_space(experiment.definition, self._pipelines())
        except (InvalidInputError, ControlError):
            return None


def is_worth_telling(seen: Observations) -> bool:
    """Return whether there is something to judge by, or no more of the same would bring an answer."""
    return bool(seen.seen or problem_of("", seen.objective, len(seen.seen), seen.reported))


def make_recommendation(experiment: Experiment, seen: Observations) -> RecommendationUpdated:
    """Return a recommendation; this runs in a thread and reads only data that never changes.

    Raises:
        ControlError: the statistics are not installed (code `unavailable`).
    """
    variable, name = experiment.definition.variable_name, experiment.experiment_id
    if problem := problem_of(name, seen.objective, len(seen.seen), seen.reported):
        return without_observations(name, seen, problem)  # not worth to load the statistics
    blocks = block_names(experiment.definition)
    made = load_statistics().recommend(seen.seen, seen.candidates, seen.objective, variable, blocks, seen.times)
    content = asdict(made)
    if remark := remark_on(seen.objective, len(seen.seen), seen.reported):
        content["sentence"] += f"; {remark}"
    if same := changeless_text(variable, seen.reported):
        content["sentence"] += f"; {same}"
        content["problem"] = same
    return RecommendationUpdated(experiment_id=name, **content)


def without_observations(experiment_id: str, seen: Observations, problem: str) -> RecommendationUpdated:
    """Return what is published where nothing can be recommended, as the statistics would but for the reason."""
    return RecommendationUpdated(
        experiment_id=experiment_id,
        value=None,
        p_best=None,
        sentence=problem,
        tier="none",
        objective=seen.objective.text,
        estimates=tuple(
            ValueEstimate(value=one.value, mean=None, low=None, high=None, n=0, p_best=None) for one in seen.candidates
        ),
        problem=problem,
    )
