"""Judgements about pictures: stars for one, and which of two is better. They are on disk before the reply is sent."""

import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import product
from typing import Final, NamedTuple

from msgspec.structs import replace

from bus.contracts.experiments import ExperimentParams
from bus.contracts.feedback import (
    ComparedReply,
    CompareParams,
    PairReply,
    RatedReply,
    RateParams,
    RatingListParams,
    RatingListReply,
    RatingView,
)
from bus.contracts.media import AskedAbout
from bus.contracts.messages import ImageRated, ImagesCompared
from bus.contracts.topics import IMAGE_RATED, IMAGES_COMPARED
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps, in_thread, wait
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.model import Experiment
from learning_service.recommendation.evidence import PREFERENCE, STARS, Objective
from learning_service.recommendation.lazy import load_statistics
from learning_service.recommendation.observations import objective_of
from learning_service.storage.finding import find_pictures, makers, variants_of
from learning_service.storage.judgements import ComparisonRow, RatingRow
from learning_service.storage.results import PictureRow, image_of, picture_of
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

QUESTIONS_KEPT: Final = 100


class _Question(NamedTuple):
    """The next pair of an experiment in one state; with a thousand values, drawing it takes seconds."""

    state: tuple[int, int]
    pair: Future[PairReply]


class FeedbackService:
    """Records and undoes ratings and comparisons; each is published in the transaction that writes it."""

    def __init__(self, log: Log, store: LearningStore) -> None:
        """Wire the parts."""
        self._log, self._store = log, store
        self._questions: dict[str, _Question] = {}  # by experiment, the newest of each; that asked last is the last
        self._turns = OneByOne()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("image.rate", RateParams, self._rate)
        methods.add_steps("rating.list", RatingListParams, self._list, role="read")
        methods.add("rating.undo", ExperimentParams, self._undo_rating)
        methods.add_steps("comparison.next", ExperimentParams, self._next, role="read")
        methods.add("comparison.add", CompareParams, self._compare)
        methods.add("comparison.undo", ExperimentParams, self._undo_comparison)

    def _rate(self, params: RateParams) -> RatedReply:
        experiment = self._get(params.experiment_id)
        sha256 = one_picture(params, find_pictures(self._store, params.experiment_id, params.image))
        rating = RatingRow(sha256, params.stars, params.note, time.time())
        with self._judging(experiment) as work:
            self._store.judgements.rate(work.tx, params.experiment_id, rating)
            return self._publish(work, experiment, rating)

    def _undo_rating(self, params: ExperimentParams) -> RatedReply:
        experiment, judgements = self._get(params.experiment_id), self._store.judgements
        with self._judging(experiment) as work:
            sha256 = judgements.undo_rating(work.tx, params.experiment_id)
            if sha256 is None:
                raise ControlError("not_found", f"{params.experiment_id} has no rating to undo; see `variantbus rate`")
            now_holds = judgements.rating(params.experiment_id, sha256)
            return self._publish(work, experiment, now_holds or RatingRow(sha256, None, "", time.time()))

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

    def _next(self, params: ExperimentParams) -> Steps[PairReply]:
        """Draw a pair; several clients that ask at the same state of the judgements get the same one."""
        experiment_id = self._get(params.experiment_id).experiment_id
        state = self._state_of(experiment_id)
        question = self._questions.pop(experiment_id, None)
        is_known = question is not None and question.state == state
        if question is None or not is_known:
            question = _Question(state, Future())
        self._questions[experiment_id] = question
        if len(self._questions) > QUESTIONS_KEPT:
            del self._questions[next(iter(self._questions))]
        if not is_known:
            yield from self._draw(experiment_id, question)
        pair = yield from wait(question.pair)
        return replace(pair, hint=hint_of(self._get(experiment_id), PREFERENCE))

    def _state_of(self, experiment_id: str) -> tuple[int, int]:
        """Return what the next pair depends on, in two numbers: the newest comparison, and the completed jobs."""
        completed = self._store.get(experiment_id).counts.completed
        return self._store.judgements.newest_comparison(experiment_id), completed

    def _draw(self, experiment_id: str, question: _Question) -> Steps[None]:
        try:
            pair = yield from self._turns.run(self._draw_pair(experiment_id))
        except Exception as error:  # noqa: BLE001 - whoever waits for it looks at it
            self._questions.pop(experiment_id, None)
            question.pair.set_exception(error)
        else:
            question.pair.set_result(pair)

    def _draw_pair(self, experiment_id: str) -> Steps[PairReply]:
        statistics = yield from wait(in_thread(load_statistics, "import"))
        shown = AskedAbout(image_of)
        for page in self._store.results.picture_pages(experiment_id):
            shown.add(page)
            yield None
        judged: list[Preference] = []
        for comparisons in self._store.judgements.comparison_pages(experiment_id):
            judged += [one.preference for one in comparisons]
            yield None
        values = {index: one.value for index, one in self._store.get(experiment_id).variants.items()}
        seed = zlib.crc32(experiment_id.encode())

        def choose() -> PairReply:
            pictures = [picture_of(row) for row in shown.results if row.variant_index in values]
            pair = statistics.next_pair(values, pictures, judged, seed)
            if pair is None:
                return PairReply(left=None, right=None, compared=len(judged))
            images = {row.sha256: row.image for row in shown.results}
            return PairReply(left=images[pair.left.sha256], right=images[pair.right.sha256], compared=len(judged))

        return (yield from wait(in_thread(choose, f"next pair of {experiment_id}")))

    def _compare(self, params: CompareParams) -> ComparedReply:
        experiment = self._get(params.experiment_id)
        preference = self._preference(params)
        comparison = ComparisonRow(preference, time.time())
        with self._judging(experiment) as work:
            self._store.judgements.compare(work.tx, params.experiment_id, comparison)
            work.tx.append(*_compared(params.experiment_id, comparison))
            return self._compared_reply(params.experiment_id, preference)

    def _undo_comparison(self, params: ExperimentParams) -> ComparedReply:
        experiment = self._get(params.experiment_id)
        with self._judging(experiment) as work:
            undone = self._store.judgements.undo_comparison(work.tx, params.experiment_id)
            if undone is None:
                text = f"{params.experiment_id} has no comparison to undo; see `variantbus compare`"
                raise ControlError("not_found", text)
            work.tx.append(*_compared(params.experiment_id, undone, undo=True))
            return self._compared_reply(params.experiment_id, undone.preference)

    def _get(self, experiment_id: str) -> Experiment:
        self._store.trim()
        return self._store.get(experiment_id)

    @contextmanager
    def _judging(self, experiment: Experiment) -> Iterator[UnitOfWork]:
        """Open the transaction of one judgement, which makes the recommendation stale."""
        with self._log.transaction(sync=True) as tx:
            work = UnitOfWork(tx, self._store)
            yield work
            self._store.stale.mark(tx, [experiment.experiment_id])

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
        return RatedReply(
            sha256=rating.sha256,
            variant_indices=indices,
            stars=rating.stars,
            note=rating.note,
            rated_at=rating.rated_at,
            rated=sum(variant.rating.count for variant in draft.variants.values() if variant.rating),
            hint=hint_of(experiment, STARS),
        )

    def _preference(self, params: CompareParams) -> Preference:
        """Check a comparison; return it with the variants of its pictures."""
        if params.left == params.right:
            raise InvalidInputError("right: it is the same picture as left; compare two different ones")
        lefts, rights = (self._sides(params, name) for name in ("left", "right"))
        is_open = len(lefts) * len(rights) > 1  # several variants made a picture
        comparisons = self._store.judgements.comparisons(params.experiment_id) if is_open else []
        pair = choose_sides(lefts, rights, [one.preference for one in comparisons])
        if pair is None:
            raise InvalidInputError("right: it is of the same variant as left; compare pictures of two variants")
        return Preference(left=pair[0], right=pair[1], outcome=params.outcome)

    def _sides(self, params: CompareParams, name: str) -> list[Picture]:
        """Return the pictures of the experiment with the hash of one side."""
        sha256 = getattr(params, name)
        rows = find_pictures(self._store, params.experiment_id, sha256)
        if not rows:
            raise ControlError("not_found", f"{name}: {_no_picture(params.experiment_id, sha256)}")
        return [picture_of(row) for row in rows]

    def _compared_reply(self, experiment_id: str, said: Preference) -> ComparedReply:
        return ComparedReply(
            left=said.left.sha256,
            right=said.right.sha256,
            outcome=said.outcome,
            compared=self._store.judgements.count_comparisons(experiment_id),
            hint=hint_of(self._store.get(experiment_id), PREFERENCE),
        )


def hint_of(experiment: Experiment, judged: Objective) -> str:
    """Return why a judgement does not decide an experiment, and how to change that; "" if it does."""
    objective = objective_of(experiment.definition)
    if objective == judged:
        return ""
    what = "ratings" if judged == STARS else "comparisons"
    change = f"`variantbus experiment set {experiment.experiment_id} objective={judged.kind}` lets them"
    return f"{what} do not decide this experiment, its objective is {objective.text}; {change}"


def one_picture(params: RateParams, found: Sequence[PictureRow]) -> str:
    """Return the full hash of the picture that a prefix names.

    Raises:
        ControlError: there is none (code `not_found`).
        InvalidInputError: there are several.
    """
    hashes = sorted({row.sha256 for row in found})
    if not hashes:
        raise ControlError("not_found", f"image: {_no_picture(params.experiment_id, params.image)}")
    if len(hashes) > 1:
        raise InvalidInputError(f"image: {len(hashes)} pictures begin with {params.image!r}; give more digits")
    return hashes[0]


def choose_sides(
    lefts: Sequence[Picture], rights: Sequence[Picture], judged: Sequence[Preference]
) -> tuple[Picture, Picture] | None:
    """Return the variants that a comparison is about, if several made a picture; None if all are of one variant.

    The pair that was judged least is chosen, so that in the end all are, and of these one with the same seed.
    """
    asked = Counter(frozenset((one.left, one.right)) for one in judged)
    pairs = [(left, right) for left, right in product(lefts, rights) if left.variant_index != right.variant_index]
    return min(
        pairs,
        key=lambda pair: (asked[frozenset(pair)], pair[0].repeat_index != pair[1].repeat_index, pair),
        default=None,
    )


def _no_picture(experiment_id: str, sha256: str) -> str:
    return (
        f"no picture of {experiment_id} begins with {sha256!r}; see `variantbus experiment show {experiment_id} --json`"
    )


def _compared(experiment_id: str, comparison: ComparisonRow, *, undo: bool = False) -> tuple[str, ImagesCompared]:
    """Return topic and message of a comparison, or of its end."""
    said = comparison.preference
    message = ImagesCompared(
        experiment_id=experiment_id,
        left=said.left.sha256,
        right=said.right.sha256,
        left_variant=said.left.variant_index,
        right_variant=said.right.variant_index,
        outcome=None if undo else said.outcome,
        compared_at=comparison.compared_at,
    )
    return topics.build(IMAGES_COMPARED, experiment_id), message
