"""The stars that people give pictures. They are on disk before the reply is sent."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bus.contracts.feedback import (
    RatedReply,
    RateParams,
    RatingListParams,
    RatingListReply,
    RatingView,
    UndoRatingParams,
)
from bus.contracts.messages import ImageRated
from bus.contracts.topics import IMAGE_RATED
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import Variant
from learning_service.recommendation.evidence import STARS, Objective
from learning_service.recommendation.observations import objective_of
from learning_service.storage.finding import find_pictures, makers, variants_of
from learning_service.storage.judgements import RatingRow
from learning_service.storage.results import PictureRow
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork


class RatingService:
    """Records and undoes ratings; each is published in the transaction that writes it."""

    def __init__(self, log: Log, store: LearningStore) -> None:
        """Wire the parts."""
        self._log, self._store = log, store

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("image.rate", RateParams, self._rate)
        methods.add_steps("rating.list", RatingListParams, self._list, role="read")
        methods.add("rating.undo", UndoRatingParams, self._undo)

    def _rate(self, params: RateParams) -> RatedReply:
        experiment, judgements = self._get(params.experiment_id), self._store.judgements
        sha256 = one_picture(params.experiment_id, params.image, self._found(params.experiment_id, params.image))
        if params.rated_at is not None and judgements.was_rated(params.experiment_id, sha256, params.rated_at):
            return self._repeated(experiment, sha256)
        rated_at = time.time() if params.rated_at is None else params.rated_at
        rating = RatingRow(sha256, params.stars, params.note, rated_at)
        with judging(self._log, self._store, params.experiment_id) as work:
            judgements.rate(work.tx, params.experiment_id, rating)
            return self._publish(work, experiment, rating)

    def _undo(self, params: UndoRatingParams) -> RatedReply:
        experiment, judgements = self._get(params.experiment_id), self._store.judgements
        image, name = params.image, params.experiment_id
        if image is None and params.rated_at is not None:
            raise InvalidInputError("image: missing; rated_at is that of a picture")
        with judging(self._log, self._store, name) as work:
            if image is None:
                sha256 = judgements.undo_rating(work.tx, name)
                if sha256 is None:
                    raise ControlError("not_found", f"{name} has no rating to undo; see `variantbus rate`")
            else:
                sha256 = one_picture(name, image, self._found(name, image))
                if not judgements.undo_rating_of(work.tx, name, sha256, params.rated_at):
                    raise ControlError("not_found", f"image: {image[:8]} has no such rating any more")
            now_holds = judgements.rating(name, sha256)
            return self._publish(work, experiment, now_holds or RatingRow(sha256, None, "", time.time()))

    def _found(self, experiment_id: str, image: str) -> Sequence[PictureRow]:
        return find_pictures(self._store, experiment_id, image)

    def _repeated(self, experiment: Experiment, sha256: str) -> RatedReply:
        """Return what holds of a picture; the request was carried out before."""
        name = experiment.experiment_id
        holds = self._store.judgements.rating(name, sha256) or RatingRow(sha256, None, "", time.time())
        return _reply(experiment, holds, variants_of(self._store, name, sha256), experiment.variants)

    def _list(self, params: RatingListParams) -> Steps[RatingListReply]:
        experiment_id = self._get(params.experiment_id).experiment_id
        rows, after = self._store.judgements.ratings_page(experiment_id, params.after or 0, params.limit)
        made_by = yield from makers(self._store, experiment_id, [row.sha256 for row in rows])
        views = [
            RatingView(
                sha256=row.sha256,
                variant_indices=made_by[row.sha256],
                stars=row.stars,
                note=row.note,
                rated_at=row.rated_at,
            )
            for row in rows
        ]
        return RatingListReply(ratings=views, after=after)

    def _get(self, experiment_id: str) -> Experiment:
        self._store.trim()
        return self._store.get(experiment_id)

    def _publish(self, work: UnitOfWork, experiment: Experiment, rating: RatingRow) -> RatedReply:
        """Publish the rating of a picture, and each variant that made it."""
        indices = variants_of(self._store, experiment.experiment_id, rating.sha256)
        draft = work.draft(experiment.experiment_id)
        for index in indices:
            message = ImageRated(
                experiment_id=experiment.experiment_id,
                variant_index=index,
                sha256=rating.sha256,
                stars=rating.stars,
                note=rating.note,
                rated_at=rating.rated_at,
            )
            work.tx.append(topics.build(IMAGE_RATED, experiment.experiment_id, index), message)
            work.rate(draft, index, time.time())
        return _reply(experiment, rating, indices, draft.variants)


def _reply(
    experiment: Experiment, rating: RatingRow, indices: list[int], variants: Mapping[int, Variant]
) -> RatedReply:
    return RatedReply(
        sha256=rating.sha256,
        variant_indices=indices,
        stars=rating.stars,
        note=rating.note,
        rated_at=rating.rated_at,
        rated=sum(variant.rating.count for variant in variants.values() if variant.rating),
        hint=hint_of(experiment, STARS),
    )


@contextmanager
def judging(log: Log, store: LearningStore, experiment_id: str) -> Iterator[UnitOfWork]:
    """Open the transaction of one judgement, which makes the recommendation stale."""
    with log.transaction(sync=True) as tx:
        work = UnitOfWork(tx, store)
        yield work
        store.stale.mark(tx, [experiment_id])


def hint_of(experiment: Experiment, judged: Objective) -> str:
    """Return why a judgement does not decide an experiment, and how to change that; "" if it does."""
    objective = objective_of(experiment.definition)
    if objective == judged:
        return ""
    what = "ratings" if judged == STARS else "comparisons"
    change = f"`variantbus experiment set {experiment.experiment_id} objective={judged.kind}` lets them"
    return f"{what} do not decide this experiment, its objective is {objective.text}; {change}"


def one_picture(experiment_id: str, image: str, found: Sequence[PictureRow]) -> str:
    """Return the full hash of the picture that a prefix names.

    Raises:
        ControlError: there is none (code `not_found`).
        InvalidInputError: there are several.
    """
    hashes = sorted({row.sha256 for row in found})
    if not hashes:
        raise ControlError("not_found", f"image: {no_picture(experiment_id, image)}")
    if len(hashes) > 1:
        raise InvalidInputError(f"image: {len(hashes)} pictures begin with {image!r}; give more digits")
    return hashes[0]


def no_picture(experiment_id: str, sha256: str) -> str:
    """Return that there is no such picture, as a sentence."""
    return (
        f"no picture of {experiment_id} begins with {sha256!r}; see `variantbus experiment show {experiment_id} --json`"
    )
