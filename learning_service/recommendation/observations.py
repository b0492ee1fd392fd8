"""From the stored records of an experiment to the input of a recommendation. No socket, no file, no clock."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition
from bus.transport.steps import Steps
from learning_service.experiments.judgements import Picture, Preference, rated_once
from learning_service.experiments.model import Experiment
from learning_service.experiments.plan import SECONDS
from learning_service.experiments.space import Space
from learning_service.recommendation.evidence import (
    PREFERENCE,
    STARS,
    Candidate,
    Limit,
    Objective,
    Score,
    metric_score,
    star_scores,
)
from learning_service.recommendation.obstacles import Reported, reported_by
from learning_service.storage.judgements import ComparisonRow, Judgements, RatingRow
from learning_service.storage.results import ResultRow, Results, picture_of


class Observations(NamedTuple):
    """The arguments of `recommend.recommend`, except for the name of the variable."""

    seen: Sequence[Score] | Sequence[Preference]
    candidates: list[Candidate]
    objective: Objective
    reported: Reported
    times: Sequence[Score] = ()  # of jobs, in seconds, if the objective limits them


def observe(
    experiment: Experiment, results: Results, judgements: Judgements, space: Space | None = None
) -> Steps[Observations]:
    """Return the observations for the objective of an experiment, in steps; nothing else is read.

    `space` is what a search chooses from.
    """
    objective = objective_of(experiment.definition)
    name, reported = experiment.experiment_id, reported_by(experiment)  # before the rest: there are not fewer scores
    scores: list[Score] = []
    limit = yield from limit_of(name, objective, results)
    times = limit.times if limit else ()
    if objective.kind == "preference":
        preferences: list[Preference] = []
        for rows in judgements.comparison_pages(name):
            preferences += [row.preference for row in rows if _is_planned(experiment, row)]
            yield None
        return Observations(preferences, candidates(experiment, space), objective, reported, times)
    if objective.kind == "metric":
        for page in results.pages(name):
            scores += metric_scores(page, objective.name)
            yield None
    elif stars := stars_of(judgements.ratings(name)):
        rated: dict[tuple[int, str], Picture] = {}
        for pictures in results.picture_pages(name):
            rated_once(map(picture_of, pictures), stars, rated)
            yield None
        scores = star_scores(rated.values(), stars)
    return Observations(scores, candidates(experiment, space), objective, reported, times)


def limit_of(name: str, objective: Objective, results: Results) -> Steps[Limit | None]:
    """Return the limit of the time with that of all jobs, in steps; None if there is none."""
    if objective.within is None:
        return None
    times: list[Score] = []
    for page in results.pages(name):
        times += metric_scores(page, SECONDS)
        yield None
    return Limit(objective.within, times)


def objective_of(definition: ExperimentDefinition) -> Objective:
    """Return the objective of an experiment."""
    match definition.objective:
        case "stars":
            found = STARS
        case "preference":
            found = PREFERENCE
        case name:
            found = Objective(kind="metric", name=name, minimize=definition.minimizes)
    return replace(found, within=definition.slack) if definition.within else found


def candidates(experiment: Experiment, space: Space | None = None) -> list[Candidate]:
    """Return the values of the plan, and behind them those of a search that were never tried: one may be better."""
    planned = [
        Candidate(
            index=variant.index,
            value=variant.value,
            # of pictures that were not made here nobody knows the time
            seconds=variant.duration_sum / variant.completed if variant.duration_sum else None,
            has_failed=not variant.completed and 0 < variant.planned <= variant.ended,
        )
        for variant in experiment.variants.values()
    ]
    return [*planned, *_untried(experiment, space)] if space else planned


def _untried(experiment: Experiment, space: Space) -> list[Candidate]:
    find = space.finder()
    tried = {point for one in experiment.variants.values() if (point := find(one.value)) is not None}
    first = max(experiment.variants, default=-1) + 1
    points = [point for point in space.considered(tried) if point not in tried]
    return [Candidate(index=index, value=space.value(point)) for index, point in enumerate(points, first)]


def stars_of(ratings: Iterable[RatingRow]) -> dict[str, int]:
    """Return the stars of each rated picture."""
    return {row.sha256: row.stars for row in ratings if row.stars is not None}


def metric_scores(results: Iterable[ResultRow], name: str) -> list[Score]:
    """Return a score for each completed job that reports a metric."""
    found = ((row, metric_score(name, row.state, row.seconds, row.metrics)) for row in results)
    return [
        Score(variant_index=row.variant_index, repeat_index=row.repeat_index, score=score)
        for row, score in found
        if score is not None
    ]


def _is_planned(experiment: Experiment, row: ComparisonRow) -> bool:
    sides = row.preference.left, row.preference.right
    return all(side.variant_index in experiment.variants for side in sides)
