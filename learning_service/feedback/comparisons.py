"""Which of two pictures is better: what is asked next, and what is kept of the answers, on disk before the reply."""

import time
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import product
from typing import Final, NamedTuple

from msgspec.structs import replace

from bus.contracts.feedback import ComparedReply, CompareParams, PairNextParams, PairReply, UndoComparisonParams
from bus.contracts.media import AskedAbout
from bus.contracts.messages import ImagesCompared
from bus.contracts.topics import IMAGES_COMPARED
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps, in_thread, wait
from learning_service.experiments.judgements import Picture, Preference
from learning_service.feedback.ratings import hint_of, judging, no_picture
from learning_service.recommendation.evidence import PREFERENCE
from learning_service.recommendation.lazy import load_statistics
from learning_service.storage.finding import find_pictures
from learning_service.storage.judgements import ComparisonRow
from learning_service.storage.results import image_of, picture_of
from learning_service.storage.store import LearningStore

QUESTIONS_KEPT: Final = 100
Passed = tuple[tuple[str, str], ...]


class _State(NamedTuple):
    """What the next pair of an experiment depends on."""

    newest: int  # comparison
    compared: int
    completed: int  # jobs


class _Question(NamedTuple):
    """The next pair in one state; with a thousand values, drawing it takes seconds."""

    state: _State
    pair: Future[PairReply]


class ComparisonService:
    """Records and undoes comparisons; each is published in the transaction that writes it."""

    def __init__(self, log: Log, store: LearningStore) -> None:
        """Wire the parts."""
        self._log, self._store = log, store
        self._questions: dict[tuple[str, Passed], _Question] = {}  # the newest of each; that asked last is the last
        self._turns = OneByOne()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("comparison.next", PairNextParams, self._next, role="read")
        methods.add("comparison.add", CompareParams, self._compare)
        methods.add("comparison.undo", UndoComparisonParams, self._undo)

    def _next(self, params: PairNextParams) -> Steps[PairReply]:
        """Draw a pair; several clients that ask at the same state of the judgements get the same one."""
        self._store.trim()
        experiment_id, passed = params.experiment_id, tuple(params.passed)
        key, state = (experiment_id, passed), self._state_of(experiment_id)
        question = self._questions.pop(key, None)
        is_known = question is not None and question.state == state
        if question is None or not is_known:
            question = _Question(state, Future())
        self._questions[key] = question
        if len(self._questions) > QUESTIONS_KEPT:
            del self._questions[next(iter(self._questions))]
        if not is_known:
            yield from self._draw(experiment_id, passed, question)
        pair = yield from wait(question.pair)
        return replace(pair, hint=hint_of(self._store.get(experiment_id), PREFERENCE))

    def _state_of(self, experiment_id: str) -> _State:
        judgements, completed = self._store.judgements, self._store.get(experiment_id).counts.completed
        return _State(
            judgements.newest_comparison(experiment_id), judgements.count_comparisons(experiment_id), completed
        )

    def _draw(self, experiment_id: str, passed: Passed, question: _Question) -> Steps[None]:
        try:
            pair = yield from self._turns.run(self._draw_pair(experiment_id, passed))
        except Exception as error:  # noqa: BLE001 - whoever waits for it looks at it
            self._questions.pop((experiment_id, passed), None)
            question.pair.set_exception(error)
        else:
            question.pair.set_result(pair)

    def _draw_pair(self, experiment_id: str, passed: Passed) -> Steps[PairReply]:
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
            pair = statistics.next_pair(values, pictures, judged, seed, passed)
            if pair is None:
                return PairReply(left=None, right=None, compared=len(judged))
            images = {row.sha256: row.image for row in shown.results}
            return PairReply(left=images[pair.left.sha256], right=images[pair.right.sha256], compared=len(judged))

        return (yield from wait(in_thread(choose, f"next pair of {experiment_id}")))

    def _compare(self, params: CompareParams) -> ComparedReply:
        self._store.trim()
        experiment_id, judgements = params.experiment_id, self._store.judgements
        self._store.get(experiment_id)
        if params.compared_at is not None:
            known = judgements.comparison(experiment_id, params.left, params.right, params.compared_at)
            if known:  # the request is repeated
                return self._reply(experiment_id, known[1])
        comparison = ComparisonRow(
            self._preference(params), time.time() if params.compared_at is None else params.compared_at
        )
        with judging(self._log, self._store, experiment_id) as work:
            judgements.compare(work.tx, experiment_id, comparison)
            work.tx.append(*_compared(experiment_id, comparison))
            return self._reply(experiment_id, comparison)

    def _undo(self, params: UndoComparisonParams) -> ComparedReply:
        self._store.trim()
        experiment_id, judgements = params.experiment_id, self._store.judgements
        self._store.get(experiment_id)
        known = judgements.comparison(experiment_id, params.left, params.right, params.compared_at)
        if known is None:
            is_named = params.left or params.right or params.compared_at is not None
            what = "such comparison" if is_named else "comparison to undo"
            raise ControlError("not_found", f"{experiment_id} has no {what}; see `variantbus compare`")
        number, undone = known
        with judging(self._log, self._store, experiment_id) as work:
            judgements.undo_comparison(work.tx, number)
            work.tx.append(*_compared(experiment_id, undone, undo=True))
            return self._reply(experiment_id, undone)

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
            raise ControlError("not_found", f"{name}: {no_picture(params.experiment_id, sha256)}")
        return [picture_of(row) for row in rows]

    def _reply(self, experiment_id: str, comparison: ComparisonRow) -> ComparedReply:
        said = comparison.preference
        return ComparedReply(
            left=said.left.sha256,
            right=said.right.sha256,
            outcome=said.outcome,
            compared=self._store.judgements.count_comparisons(experiment_id),
            compared_at=comparison.compared_at,
            hint=hint_of(self._store.get(experiment_id), PREFERENCE),
        )


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
