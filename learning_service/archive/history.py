"""The history over all experiments: how each value was rated, and how the ratings developed."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bus.contracts.archive import ExperimentHistory, HistoryParams, HistoryReply, ValueHistory
from bus.contracts.messages import VariantValue
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.transport.server import MethodServer
from learning_service.experiments.axes import identity
from learning_service.experiments.model import Experiment
from learning_service.storage.store import LearningStore

SQL: Final = sql.load("learning_service.archive", "history.sql")
Stars = tuple[int, int, int, int, int]
NONE: Final[Stars] = (0, 0, 0, 0, 0)


class History:
    """Answers requests for the history over all experiments of a service."""

    def __init__(self, log: Log, store: LearningStore) -> None:
        """Wire the parts."""
        self._log, self._store = log, store

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("history", HistoryParams, self._history, role="read")

    def _history(self, params: HistoryParams) -> HistoryReply:
        counted = star_counts(self._log.query(SQL["count_stars"]))
        page, _ = self._store.page(None, params.limit)
        wanted = [
            one
            for one in page
            if params.variable in (None, one.definition.variable_name)
            and params.pipeline in (None, one.definition.pipeline)
        ]
        return look_back(reversed(wanted), counted)


class _Sum(NamedTuple):
    """The sums for one value."""

    value: VariantValue
    experiments: int = 0
    images: int = 0
    stars: Stars = NONE
    seconds: float = 0.0
    completed: int = 0


def star_counts(rows: Iterable[tuple[str, int, int, int]]) -> dict[tuple[str, int], Stars]:
    """Return how many pictures of each experiment and variant have 1, 2 … 5 stars: rows of both, stars and count."""
    counts: dict[tuple[str, int], list[int]] = {}
    for experiment_id, index, stars, count in rows:
        counts.setdefault((experiment_id, index), [0] * 5)[stars - 1] += count
    return {key: (one, two, three, four, five) for key, (one, two, three, four, five) in counts.items()}


def look_back(experiments: Iterable[Experiment], counted: Mapping[tuple[str, int], Stars]) -> HistoryReply:
    """Return the history: sums from one pass over the variants; the order of experiments is kept."""
    told: list[ExperimentHistory] = []
    sums: dict[tuple[str, object], _Sum] = {}
    images, stars = 0, NONE
    for experiment in experiments:
        told.append(_experiment(experiment, counted))
        for variant in experiment.variants.values():
            mine = counted.get((experiment.experiment_id, variant.index), NONE)
            key = experiment.definition.variable_name, identity(variant.value)
            before = sums.get(key) or _Sum(variant.value)
            sums[key] = _Sum(
                before.value,
                before.experiments + 1,
                before.images + len(variant.images),
                _added(before.stars, mine),
                before.seconds + variant.duration_sum,
                before.completed + variant.completed,
            )
            images, stars = images + len(variant.images), _added(stars, mine)
    return HistoryReply(
        experiments=told,
        values=[_value(name, one) for (name, _), one in sorted(sums.items(), key=_order)],
        images=images,
        ratings=sum(stars),
        mean=mean_of(stars),
    )


def _experiment(experiment: Experiment, counted: Mapping[tuple[str, int], Stars]) -> ExperimentHistory:
    total, means = NONE, []
    for variant in experiment.variants.values():
        stars = counted.get((experiment.experiment_id, variant.index), NONE)
        total = _added(total, stars)
        mean = mean_of(stars)
        if mean is not None:
            means.append((mean, variant))
    # of equal ones the first, as in the plan
    best = max(means, key=lambda one: one[0], default=None)
    worst = min(means, key=lambda one: one[0], default=None)
    return ExperimentHistory(
        experiment_id=experiment.experiment_id,
        name=experiment.definition.name,
        created_at=experiment.created_at,
        variable=experiment.definition.variable_name,
        images=sum(len(variant.images) for variant in experiment.variants.values()),
        ratings=sum(total),
        mean=mean_of(total),
        best=best[1].value if best else None,
        best_mean=best[0] if best else None,
        worst=worst[1].value if worst else None,
        worst_mean=worst[0] if worst else None,
    )


def _value(name: str, one: _Sum) -> ValueHistory:
    return ValueHistory(
        variable=name,
        value=one.value,
        experiments=one.experiments,
        images=one.images,
        stars=one.stars,
        mean=mean_of(one.stars),
        seconds=one.seconds / one.completed if one.completed else None,
    )


def mean_of(stars: Stars) -> float | None:
    """Return the mean of ratings; None if there is none."""
    count = sum(stars)
    return sum(number * many for number, many in enumerate(stars, 1)) / count if count else None


def _added(one: Stars, other: Stars) -> Stars:
    first, second, third, fourth, fifth = (mine + theirs for mine, theirs in zip(one, other, strict=True))
    return first, second, third, fourth, fifth


def _order(item: tuple[tuple[str, object], _Sum]) -> tuple[str, list[tuple[bool, float, str]]]:
    """Sort by variable, then numbers by size, then all else as text; of a grid by one part after the other."""
    (name, _), one = item
    parts = list(one.value.values()) if isinstance(one.value, dict) else [one.value]
    return name, [(isinstance(part, str), 0.0 if isinstance(part, str) else float(part), str(part)) for part in parts]
