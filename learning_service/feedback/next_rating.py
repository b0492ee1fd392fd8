"""Which picture a person rates next: asked of the statistics, in a thread."""

import zlib
from collections.abc import Collection

from msgspec.structs import replace

from bus.contracts.feedback import RatingNextParams, RatingNextReply
from bus.contracts.media import AskedAbout
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps, in_thread, wait
from learning_service.experiments.model import Experiment
from learning_service.feedback.ratings import hint_of
from learning_service.recommendation.evidence import STARS
from learning_service.recommendation.lazy import load_statistics
from learning_service.recommendation.observations import limit_of, objective_of, stars_of
from learning_service.storage.results import image_of, picture_of
from learning_service.storage.store import LearningStore


class NextRating:
    """Answers what to rate next; several clients that ask at the same state of the ratings get the same picture."""

    def __init__(self, store: LearningStore) -> None:
        """Wire the parts."""
        self._store, self._turns = store, OneByOne()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("rating.next", RatingNextParams, self._next, role="read")

    def _next(self, params: RatingNextParams) -> Steps[RatingNextReply]:
        return (yield from self._turns.run(self._next_alone(params)))

    def _next_alone(self, params: RatingNextParams) -> Steps[RatingNextReply]:
        self._store.trim()
        experiment = self._store.get(params.experiment_id)
        statistics = yield from wait(in_thread(load_statistics, "import"))
        shown = AskedAbout(image_of)
        for page in self._store.results.picture_pages(params.experiment_id):
            shown.add(row for row in page if row.variant_index in experiment.variants)
            yield None
        stars = stars_of(self._store.judgements.ratings(params.experiment_id))
        values = {index: variant.value for index, variant in experiment.variants.items()}
        seed, passed = zlib.crc32(params.experiment_id.encode()), frozenset(params.passed)
        limit = yield from limit_of(params.experiment_id, objective_of(experiment.definition), self._store.results)
        blocks, name = len(experiment.definition.blocks), f"next rating of {params.experiment_id}"

        def choose() -> tuple[RatingNextReply, set[int]]:
            pictures = [picture_of(row) for row in shown.results]
            found = statistics.next_picture(values, pictures, stars, seed, passed, blocks, limit)
            images = {row.sha256: row.image for row in shown.results}
            rated = sum(sha256 in images for sha256 in stars)
            image = images[found.picture.sha256] if found.picture else None
            reply = RatingNextReply(image=image, rated=rated, left=len(images) - rated, enough=found.enough)
            return reply, {one.variant_index for one in pictures}

        reply, seen = yield from wait(in_thread(choose, name))
        enough = "" if is_incomplete(experiment, seen) else reply.enough
        return replace(reply, enough=enough, hint=hint_of(experiment, STARS))


def is_incomplete(experiment: Experiment, seen: Collection[int]) -> bool:
    """Return whether values may be the best of which there is no picture yet; `seen` are the variants that have one."""
    variants = experiment.variants.values()
    return experiment.is_searching or any(one.ended < one.planned and one.index not in seen for one in variants)
