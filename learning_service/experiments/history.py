"""Looking back over experiments: how each value was rated, and how the ratings developed. No socket, no file."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bus.contracts.archive import ExperimentHistory, HistoryReply, ValueHistory
from bus.contracts.fields import VariantValue
from bus.contracts.values import identity
from learning_service.experiments.judgements import NONE, Pictures, Stars, added, mean_of
from learning_service.experiments.model import Experiment


class Looked(NamedTuple):
    """An experiment, and the pictures of its variants, by their indices."""

    experiment: Experiment
    pictures: Mapping[int, Pictures]


class _Sum(NamedTuple):
    """The sums for one value."""

    value: VariantValue
    experiments: int = 0
    images: int = 0
    stars: Stars = NONE
    seconds: float = 0.0
    completed: int = 0


def look_back(looked: Iterable[Looked], before: int | None = None) -> HistoryReply:
    """Return the history of some experiments: one pass over their variants, in their order."""
    told: list[ExperimentHistory] = []
    sums: dict[tuple[str, object], _Sum] = {}
    images, stars = 0, NONE
    for experiment, pictures in looked:
        told.append(_experiment(experiment, pictures))
        for variant in experiment.variants.values():
            mine = pictures.get(variant.index, Pictures())
            key = experiment.definition.variable_name, identity(variant.value)
            one = sums.get(key) or _Sum(variant.value)
            sums[key] = _Sum(
                one.value,
                one.experiments + 1,
                one.images + mine.images,
                added(one.stars, mine.stars),
                one.seconds + variant.duration_sum,
                one.completed + (variant.completed if variant.duration_sum else 0),  # else nobody knows the time
            )
            images, stars = images + mine.images, added(stars, mine.stars)
    return HistoryReply(
        experiments=told,
        values=[_value(name, one) for (name, _), one in sorted(sums.items(), key=_order)],
        images=images,
        ratings=sum(stars),
        mean=mean_of(stars),
        before=before,
    )


def joined(pages: Iterable[HistoryReply]) -> HistoryReply:
    """Return the history over all pages, which come newest first."""
    pages = list(pages)
    sums: dict[tuple[str, object], _Sum] = {}
    for page in pages:
        for value in page.values:
            key = value.variable, identity(value.value)
            one = sums.get(key) or _Sum(value.value)
            sums[key] = _Sum(
                one.value,
                one.experiments + value.experiments,
                one.images + value.images,
                added(one.stars, value.stars),
                one.seconds + (value.seconds or 0.0) * value.completed,
                one.completed + value.completed,
            )
    values = [_value(name, one) for (name, _), one in sorted(sums.items(), key=_order)]
    stars = NONE
    for value in values:
        stars = added(stars, value.stars)
    return HistoryReply(
        experiments=[one for page in reversed(pages) for one in page.experiments],
        values=values,
        images=sum(page.images for page in pages),
        ratings=sum(stars),
        mean=mean_of(stars),
        before=None,
    )


def _experiment(experiment: Experiment, pictures: Mapping[int, Pictures]) -> ExperimentHistory:
    total, images = NONE, 0
    means = []
    for variant in experiment.variants.values():
        mine = pictures.get(variant.index, Pictures())
        total, images = added(total, mine.stars), images + mine.images
        mean = mean_of(mine.stars)
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
        images=images,
        ratings=sum(total),
        mean=mean_of(total),
        best=best[1].value if best else None,
        best_mean=best[0] if best else None,
        worst=worst[1].value if worst else None,
        worst_mean=worst[0] if worst else None,
        origin=experiment.definition.origin,
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
        completed=one.completed,
    )


def _order(item: tuple[tuple[str, object], _Sum]) -> tuple[str, list[tuple[bool, float, str]]]:
    """Sort by variable, then numbers by size, then all else as text; of a grid by one part after the other."""
    (name, _), one = item
    parts = list(one.value.values()) if isinstance(one.value, dict) else [one.value]
    return name, [(isinstance(part, str), 0.0 if isinstance(part, str) else float(part), str(part)) for part in parts]
