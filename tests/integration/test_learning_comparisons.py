"""Which of two pictures is better: what is asked next, what is kept of the answers, and what is published."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from bus.contracts.feedback import ComparedReply, PairReply, RatingNextReply
from bus.contracts.messages import JobResult
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from learning_service.experiments.judgements import Picture, Preference
from learning_service.feedback.comparisons import choose_sides
from learning_service.storage import judgements
from tests.support.factories import EXPERIMENT, image, well
from tests.support.feedback_requests import FeedbackRequests, sha


@pytest.fixture
def log(tmp_path: Path, open_log: Callable[[Path], Log]) -> Log:
    """Open a log."""
    return open_log(tmp_path / "learning.db")


def shown(feedback: FeedbackRequests) -> tuple[int, int]:
    """Return the numbers of the two pictures that are to be compared next."""
    pair = feedback.pair()
    assert pair.left
    assert pair.right
    return int(pair.left.sha256[:4], 16), int(pair.right.sha256[:4], 16)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_each_question_is_another_one_until_all_were_asked(
    log: Log, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three values with two seeds there are six pairs of one seed; the same question stays until it is answered."""
    monkeypatch.setattr(judgements, "PAGE", page)
    feedback = FeedbackRequests(log)
    asked = []
    for count in range(6):
        assert feedback.pair().compared == count
        asked.append(shown(feedback))
        assert shown(feedback) == asked[-1]
        assert feedback.compare(*asked[-1]).compared == count + 1

    assert len({frozenset(pair) for pair in asked}) == 6
    assert all(one % 10 == other % 10 for one, other in asked)
    assert feedback.judged == [EXPERIMENT] * 6


def test_the_same_experiment_asks_the_same_after_a_restart(log: Log, open_log: Callable[[Path], Log]) -> None:
    """What is drawn depends on the id alone, in any process."""
    feedback = FeedbackRequests(log)
    feedback.compare(*shown(feedback))
    pair = feedback.pair()
    log.close()

    assert FeedbackRequests(open_log(log.path)).pair() == pair


def test_a_comparison_is_an_event_and_its_undo_another_one(log: Log) -> None:
    """The newest one first; with nothing left there is nothing to undo."""
    feedback = FeedbackRequests(log)
    feedback.compare(0, 10)
    feedback.compare(20, 11, "both_bad")

    undone = [feedback.ask("comparison.undo", ComparedReply) for _ in range(2)]

    assert [(one.left, one.right, one.outcome, one.compared) for one in undone] == [
        (sha(20), sha(11), "both_bad", 1),
        (sha(0), sha(10), "left", 0),
    ]
    assert feedback.compared() == [(0, 1, "left"), (2, 1, "both_bad"), (2, 1, None), (0, 1, None)]
    with pytest.raises(ControlError, match="exp-1 has no comparison to undo"):
        feedback.ask("comparison.undo", ComparedReply)
    assert len(feedback.judged) == 4


def test_an_answer_that_is_sent_twice_counts_twice_unless_it_has_its_time(log: Log) -> None:
    """A person may say the same again; so a client without a reply looks at `compared` first, or tells a time."""
    feedback = FeedbackRequests(log)
    assert [feedback.compare(0, 10).compared for _ in range(2)] == [1, 2]

    once = {"left": sha(0), "right": sha(10), "outcome": "tie", "compared_at": 1.5}
    replies = [feedback.ask("comparison.add", ComparedReply, **once) for _ in range(2)]

    assert replies[0] == replies[1]
    assert (replies[0].compared, replies[0].compared_at) == (3, 1.5)
    assert len(feedback.compared()) == 3
    for name, value in {"left": 20, "compared_at": 1.25}.items():
        changed = once | {name: sha(value) if isinstance(value, int) else value}
        assert feedback.ask("comparison.add", ComparedReply, **changed).compared > 3


def test_any_comparison_can_be_taken_back_once(log: Log) -> None:
    """The one that is named, wherever it stands; another question comes then, and there is nothing to do twice."""
    feedback = FeedbackRequests(log)
    times = (1.5, 2.5, 3.5)
    for at, outcome in zip(times, ("left", "tie", "left"), strict=True):
        said = {"left": sha(0), "right": sha(10), "outcome": outcome, "compared_at": at}
        feedback.ask("comparison.add", ComparedReply, **said)
    assert feedback.pair().compared == 3
    named = {"left": sha(0), "right": sha(10), "compared_at": 2.5}

    undone = feedback.ask("comparison.undo", ComparedReply, **named)

    assert (undone.outcome, undone.compared, undone.compared_at) == ("tie", 2, 2.5)
    assert feedback.compared()[-1] == (0, 1, None)
    assert feedback.pair().compared == 2
    with pytest.raises(ControlError, match="exp-1 has no such comparison") as refused:
        feedback.ask("comparison.undo", ComparedReply, **named)
    assert refused.value.code == "not_found"
    kept = feedback.store.judgements.comparisons(EXPERIMENT)
    assert [one.compared_at for one in kept] == [1.5, 3.5]


def test_a_pair_that_is_passed_does_not_come_now(log: Log) -> None:
    """So that a page has the next one before this one is answered; the question itself stays."""
    feedback = FeedbackRequests(log)
    first = feedback.pair()
    assert first.left
    assert first.right
    passed: list[tuple[str, str]] = []
    while len(passed) < 6:
        pair = feedback.ask("comparison.next", PairReply, passed=passed)
        assert pair.left
        assert pair.right
        passed.append((pair.left.sha256, pair.right.sha256))

    assert len({frozenset(pair) for pair in passed}) == 6
    assert feedback.pair() == first
    with pytest.raises(ControlError, match="passed"):
        feedback.ask("comparison.next", PairReply, passed=[["a", "b"]])


@pytest.mark.parametrize(
    ("left", "right", "code", "text"),
    [
        (0, 0, "invalid_request", "right: it is the same picture as left"),
        (0, 1, "invalid_request", "right: it is of the same variant as left"),
        (0, 99, "not_found", "right: no picture of exp-1 begins with"),
        (99, 0, "not_found", "left: no picture of exp-1 begins with"),
    ],
)
def test_what_compares_no_two_variants_is_refused(log: Log, left: int, right: int, code: str, text: str) -> None:
    """In a sentence that names the side, and nothing is written."""
    feedback = FeedbackRequests(log)
    with pytest.raises(ControlError) as refused:
        feedback.compare(left, right)
    assert refused.value.code == code
    assert refused.value.message.startswith(text)
    assert feedback.compared() == []


def test_without_two_different_pictures_there_is_no_question(log: Log) -> None:
    """None has ended, one has, and then a second value that gives the very same picture; then one that differs."""
    feedback = FeedbackRequests(log, {})
    assert (feedback.pair().left, feedback.pair().right) == (None, None)
    for index, number in ((0, 5), (1, 5)):
        feedback.end(index, 0, well(sha(number)))
        assert feedback.pair().left is None
    feedback.end(2, 0, well(sha(6)))
    assert set(shown(feedback)) == {5, 6}


def test_a_picture_of_two_variants_is_compared_for_both(log: Log) -> None:
    """Values 0 and 1 give one picture, so two questions look alike: each answer is kept for another pair."""
    feedback = FeedbackRequests(log, {(0, 0): (5,), (1, 0): (5,), (2, 0): (6,)})

    for _ in range(4):
        feedback.compare(*shown(feedback))

    assert sorted(sorted(pair[:2]) for pair in feedback.compared()) == [[0, 2], [0, 2], [1, 2], [1, 2]]


def files(number: int, *media_types: str) -> JobResult:
    """Return the result of a job with files that are no pictures; the first one has this number."""
    made = [
        replace(image(sha(number + at)), width=0, height=0, media_type=media_type)
        for at, media_type in enumerate(media_types)
    ]
    return JobResult(success=True, images=tuple(made))


def test_what_is_no_picture_is_not_put_beside_one(log: Log) -> None:
    """A text can be rated; where there are pictures, nobody is asked about it."""
    feedback = FeedbackRequests(log, {(0, 0): (5,)})
    feedback.end(1, 0, files(6, "text/plain"))

    assert feedback.pair().left is None
    assert feedback.rate(sha(6), 3).rated == 1


@pytest.mark.parametrize("media_type", ["video/webm", "audio/wav", "model/gltf-binary", "text/plain"])
def test_whatever_people_can_look_at_is_rated_and_compared(log: Log, media_type: str) -> None:
    """A video, a sound, a model or a text; not the file beside it that can only be saved."""
    feedback = FeedbackRequests(log, {})
    for value in (0, 1):
        feedback.end(value, 0, files(10 * value, media_type, "application/octet-stream"))

    assert sorted(shown(feedback)) == [0, 10]
    asked = set[str]()
    while (following := feedback.ask("rating.next", RatingNextReply)).image:
        asked.add(following.image.sha256)
        feedback.rate(following.image.sha256, 3)
    assert asked == {sha(0), sha(10)}
    assert (following.rated, following.left) == (2, 0)


def test_without_scipy_the_sentence_says_what_to_install(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers can be given all the same."""
    feedback = FeedbackRequests(log)
    monkeypatch.setitem(sys.modules, "learning_service.recommendation.pairs", None)
    with pytest.raises(ControlError, match=r"pip install .*\[learning\]'") as refused:
        feedback.pair()
    assert refused.value.code == "unavailable"
    assert feedback.compare(0, 10).compared == 1


def test_sides_are_of_the_pair_that_was_judged_least_and_of_one_seed() -> None:
    """Where a picture came of several variants or seeds."""
    a0, a1, b1 = (
        Picture(variant_index=index, repeat_index=seed, sha256="a") for index, seed in ((0, 0), (0, 1), (1, 1))
    )
    c1 = Picture(variant_index=2, repeat_index=1, sha256="c")
    once = Preference(left=c1, right=a1, outcome="tie")

    assert choose_sides([a0, a1, b1], [c1], []) == (a1, c1)
    assert choose_sides([a0, a1, b1], [c1], [once]) == (b1, c1)
    assert choose_sides([a0], [a1], []) is None
