"""Requests of screens that list experiments: their order, and what is shown of those in sight.

What a list shows is read where it is stored, row by row: no experiment is loaded with its variants, and no
recommendation is made for it.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from bus.contracts.listing import (
    ExperimentIndexParams,
    ExperimentIndexReply,
    Leader,
    Overview,
    OverviewParams,
    OverviewReply,
)
from bus.contracts.media import AskedAbout, level_of
from bus.contracts.messages import ImageRef, RecommendationUpdated
from bus.eventlog.log import Log
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from learning_service.experiments.model import Listed, experiment_status
from learning_service.recommendation.observations import objective_of
from learning_service.recommendation.service import Recommender
from learning_service.storage.catalogue import Indexed
from learning_service.storage.results import image_of
from learning_service.storage.store import LearningStore

SHOWN: Final = 6  # results of an experiment
LOOKED_AT: Final = 1000  # values of it, for these
COUNTED: Final = 1000  # results that wait for stars
VISIBLE: Final = 3  # the level of what has a picture: see `level_of`
DECIDED: Final = "strong"  # the tier of a recommendation


class _Objective(msgspec.Struct):
    """What decides an experiment, of all of its definition."""

    objective: str = "stars"


_encode = msgspec.msgpack.Encoder().encode
_decode_objective = msgspec.msgpack.Decoder(_Objective).decode


class Lists:
    """Answers in which order experiments stand, and what a list shows of each."""

    def __init__(self, log: Log, store: LearningStore, recommender: Recommender) -> None:
        """Wire the parts."""
        self._log, self._store, self._recommender = log, store, recommender

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.index", ExperimentIndexParams, self._index, role="read")
        methods.add_steps("experiment.overview", OverviewParams, self._overviews, role="read")

    def _index(self, params: ExperimentIndexParams) -> Steps[ExperimentIndexReply]:
        found: list[Indexed] = []
        waiting: dict[str, int] = {}
        for page in self._store.catalogue.index(params):
            found += page
            if params.order == "waiting":
                for one in page:
                    waiting[one.experiment_id] = self._waiting(one)
                    yield None
            yield None
        match params.order:
            case "oldest":
                found.reverse()
            case "changed":
                found.sort(key=lambda one: -one.updated_at)
            case "name":
                found.sort(key=lambda one: one.name)
            case "waiting":
                found.sort(key=lambda one: -waiting[one.experiment_id])
        ids = [one.experiment_id for one in found]
        return ExperimentIndexReply(ids=fitting(ids, self._log.limits.page_bytes), total=len(ids))

    def _waiting(self, one: Indexed) -> int:
        """Return how many jobs have results that wait for stars, about: a job may have several."""
        if not one.completed or not one.definition or _decode_objective(one.definition).objective != "stars":
            return 0
        left = one.completed - self._store.judgements.count_rated(one.experiment_id)
        known = self._recommender.latest(one.experiment_id) if left > 0 else None
        return 0 if known and known.tier == DECIDED else max(0, left)

    def _overviews(self, params: OverviewParams) -> Steps[OverviewReply]:
        found: list[Overview] = []
        size = 0
        for place, name in enumerate(params.experiment_ids):
            if size >= self._log.limits.page_bytes:
                return OverviewReply(overviews=found, rest=params.experiment_ids[place:])
            listed = self._store.catalogue.find(name, self._store.damage.get(name, ()))
            if listed:
                found.append((yield from self._overview(listed)))
                size += len(_encode(found[-1]))
            yield None
        return OverviewReply(overviews=found, rest=[])

    def _overview(self, listed: Listed) -> Steps[Overview]:
        name, objective = listed.experiment_id, objective_of(listed.definition)
        known = self._recommender.latest(name)
        if known and known.objective != objective.text:
            known = None  # it was changed a moment ago
        leader = None
        if known and known.value is not None:
            leader = Leader(value=known.value, p_best=known.p_best, tier=known.tier)
        made = self._store.results.made(name, LOOKED_AT)
        indices = strip(made, best(made, known, minimize=objective.minimize), SHOWN)
        is_open = objective.kind == "stars" and not (known and known.tier == DECIDED)
        unrated = (yield from self._unrated(name)) if is_open and made else 0
        images = [image for index in indices if (image := self._visible(name, index))]
        return Overview(experiment=experiment_status(listed), leader=leader, images=images, unrated=unrated)

    def _visible(self, experiment_id: str, variant_index: int) -> ImageRef | None:
        """Return the first result of a variant that has a picture."""
        rows = self._store.results.first_pictures(experiment_id, variant_index)
        return next((row.image for row in rows if level_of(row.image) >= VISIBLE), None)

    def _unrated(self, experiment_id: str) -> Steps[int]:
        """Return how many results wait for stars, `COUNTED` at most."""
        rated, waiting = self._store.judgements.count_rated(experiment_id), 0
        shown = AskedAbout(image_of)
        for page in self._store.results.picture_pages(experiment_id):
            shown.add(page)
            waiting = len({row.sha256 for row in shown.results}) - rated
            if waiting >= COUNTED:
                break
            yield None
        return max(0, min(waiting, COUNTED))


def best(made: Sequence[int], known: RecommendationUpdated | None, *, minimize: bool) -> list[int]:
    """Return the variants that have results, best first, as far as they have an estimate."""
    means = {place: one.mean for place, one in enumerate(known.estimates if known else ()) if one.mean is not None}
    return sorted((index for index in made if index in means), key=lambda index: means[index], reverse=not minimize)


def strip(made: Sequence[int], ranked: Sequence[int], count: int) -> list[int]:
    """Return so many of the variants that have results: those with an estimate, then some of the others."""
    others = [index for index in made if index not in set(ranked)]
    return [*ranked, *spread(others, max(0, count - len(ranked)))][:count]


def spread(made: Sequence[int], count: int) -> list[int]:
    """Return so many of the variants that have results, from the first to the last, at equal distances."""
    if len(made) <= count:
        return list(made)
    return [made[place * (len(made) - 1) // max(1, count - 1)] for place in range(count)]


def fitting(ids: Sequence[str], size: int) -> list[str]:
    """Return the first ids, as many as take so many bytes."""
    for place, one in enumerate(ids):
        size -= len(one.encode()) + 3
        if size < 0:
            return list(ids[:place])
    return list(ids)
