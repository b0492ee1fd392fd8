"""Stars for pictures: what holds, what is published, and that nothing of it is lost."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bus.config.limits import Limits
from bus.contracts.feedback import RatedReply, RateParams, RatingListParams, RatingListReply, RatingNextReply
from bus.contracts.messages import ExperimentStatus, ImageRated, RatingSummary
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.feedback import next_rating
from learning_service.recommendation.evidence import STARS, Limit
from learning_service.recommendation.lazy import load_statistics
from learning_service.recommendation.next_picture import Suggestion
from learning_service.storage.judgements import SQL as RATINGS_SQL
from learning_service.storage.results import SQL as RESULTS_SQL
from tests.support.factories import EXPERIMENT, badly, well
from tests.support.feedback_requests import FeedbackRequests, sha
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.learning_services import ALL, Services, address_of, create, query, show, wait_for

CLIENTS = 8
RATINGS = 1000  # of all clients


@pytest.fixture
def feedback(tmp_path: Path, open_log: Callable[[Path], Log]) -> FeedbackRequests:
    """Return the experiment with six pictures."""
    return FeedbackRequests(open_log(tmp_path / "learning.db"))


def test_a_rating_is_an_event_and_changes_its_variant(feedback: FeedbackRequests) -> None:
    """The reply says what holds; image.rated, variant.status and experiment.status are in the log."""
    first = feedback.rate(sha(10), 4, "sharp")
    second = feedback.rate("000b", 1)

    assert (first.sha256, first.variant_indices, first.stars, first.note) == (sha(10), [1], 4, "sharp")
    assert (first.rated, second.rated) == (1, 2)
    assert feedback.rated() == [(1, "000a", 4), (1, "000b", 1)]
    assert feedback.ratings() == {1: (2.5, 2)}
    told = feedback.logged("experiment.status.")
    assert [one.revision for one in told[-2:] if isinstance(one, ExperimentStatus)] == [8, 9]
    assert feedback.judged == [EXPERIMENT, EXPERIMENT]


def test_the_newest_rating_holds_and_can_be_taken_back(feedback: FeedbackRequests) -> None:
    """A picture counts once, and not at all after nil."""
    feedback.rate(sha(0), 1)
    feedback.rate(sha(0), 5)
    assert feedback.ratings() == {0: (5.0, 1)}

    taken_back = feedback.rate(sha(0), None)

    assert (taken_back.stars, taken_back.rated) == (None, 0)
    assert feedback.ratings() == {}
    assert feedback.rated() == [(0, "0000", 1), (0, "0000", 5), (0, "0000", None)]


def test_a_rating_with_its_time_counts_once_however_often_it_is_sent(feedback: FeedbackRequests) -> None:
    """Nothing is published again, and one undo takes it back; also after a later one has replaced it."""
    said = {"image": sha(0), "stars": 4, "note": "sharp", "rated_at": 1.5}
    first = feedback.ask("image.rate", RatedReply, **said)
    assert (first.stars, first.rated_at, first.rated) == (4, 1.5, 1)
    assert feedback.ask("image.rate", RatedReply, **said) == first
    assert len(feedback.rated()) == 1
    feedback.rate(sha(0), 2)

    assert feedback.ask("image.rate", RatedReply, **said).stars == 2

    assert feedback.ask("rating.undo", RatedReply).stars == 4
    assert feedback.ask("rating.undo", RatedReply).stars is None
    assert feedback.ratings() == {}
    with pytest.raises(ControlError, match="rated_at"):
        feedback.ask("image.rate", RatedReply, **{**said, "rated_at": -1.0})


def test_the_rating_of_any_picture_is_taken_back_once(feedback: FeedbackRequests) -> None:
    """The one of that time, so that an undo that is sent again does not take an earlier one back, too."""
    for at, stars in ((1.5, 1), (2.5, 5)):
        feedback.ask("image.rate", RatedReply, image=sha(0), stars=stars, rated_at=at)
    feedback.rate(sha(10), 3)
    undo = {"image": sha(0), "rated_at": 2.5}

    undone = feedback.ask("rating.undo", RatedReply, **undo)

    assert (undone.sha256, undone.stars, undone.rated_at, undone.rated) == (sha(0), 1, 1.5, 2)
    with pytest.raises(ControlError, match="has no such rating any more") as refused:
        feedback.ask("rating.undo", RatedReply, **undo)
    assert refused.value.code == "not_found"
    assert feedback.ask("rating.undo", RatedReply, image="0000").stars is None
    with pytest.raises(ControlError, match="has no such rating any more"):
        feedback.ask("rating.undo", RatedReply, image="0000")
    with pytest.raises(ControlError, match="image: missing"):
        feedback.ask("rating.undo", RatedReply, rated_at=2.5)
    assert feedback.ratings() == {1: (3.0, 1)}


def test_the_next_picture_to_rate_comes_without_its_value_until_all_are_rated(feedback: FeedbackRequests) -> None:
    """One that is passed is not asked; asking changes nothing."""

    def following(*passed: str) -> RatingNextReply:
        return feedback.ask("rating.next", RatingNextReply, passed=list(passed))

    first = following()
    assert first.image is not None
    assert following() == first
    assert (first.rated, first.left, first.enough, first.hint) == (0, 6, "", "")
    other = following(first.image.sha256)
    assert other.image is not None
    assert other.image.sha256 != first.image.sha256

    for rated in range(6):
        image = following().image
        assert image is not None
        feedback.rate(image.sha256, 1 + rated % 5)
    assert feedback.judged == [EXPERIMENT] * 6
    last = following()
    assert (last.image, last.rated, last.left) == (None, 6, 0)

    with pytest.raises(ControlError, match=r"passed"):
        following("no hash")
    with pytest.raises(ControlError, match="was not found"):
        feedback.ask("rating.next", RatingNextReply, experiment_id="other")


def test_a_limit_of_the_time_is_known_to_what_chooses(
    feedback: FeedbackRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time of every job; without a limit nobody reads them."""
    statistics, limits = load_statistics(), list[Limit | None]()

    def choose(*given: Any) -> Suggestion:
        limits.append(given[-1])
        return statistics.next_picture(*given)

    monkeypatch.setattr(next_rating, "load_statistics", lambda: statistics._replace(next_picture=choose))
    feedback.ask("rating.next", RatingNextReply)
    monkeypatch.setattr(next_rating, "objective_of", lambda _: replace(STARS, within=0.2))
    feedback.ask("rating.next", RatingNextReply)

    unlimited, limited = limits
    assert unlimited is None
    assert limited is not None
    assert (limited.within, len(limited.times)) == (0.2, 6)


def test_nobody_can_stop_while_a_value_has_no_picture_yet(tmp_path: Path, open_log: Callable[[Path], Log]) -> None:
    """It may be the best; one whose jobs have failed is no reason to wait."""
    pictures = {(value, repeat): tuple(range(at, at + 6)) for value, repeat, at in ((0, 0, 0), (1, 0, 10), (0, 1, 20))}
    feedback = FeedbackRequests(open_log(tmp_path / "learning.db"), pictures)
    for at, stars in ((0, 5), (20, 5), (10, 1)):
        for number in range(at, at + 6):
            feedback.rate(sha(number), stars)

    assert feedback.ask("rating.next", RatingNextReply).enough == ""
    for repeat in (0, 1):
        feedback.end(2, repeat, badly())
    assert feedback.ask("rating.next", RatingNextReply).enough.startswith("one value is the best with")


def test_undo_goes_back_step_by_step(feedback: FeedbackRequests) -> None:
    """Each time the newest rating of the experiment is removed, and what holds of its picture then is published."""
    feedback.rate(sha(0), 2, "dull")
    feedback.rate(sha(20), 3)
    feedback.rate(sha(0), 5)

    undone = [feedback.ask("rating.undo", RatedReply) for _ in range(3)]

    assert [(one.sha256[:4], one.stars, one.note, one.rated) for one in undone] == [
        ("0000", 2, "dull", 2),
        ("0014", None, "", 1),
        ("0000", None, "", 0),
    ]
    assert feedback.rated()[3:] == [(0, "0000", 2), (2, "0014", None), (0, "0000", None)]
    assert feedback.ratings() == {}
    with pytest.raises(ControlError, match="exp-1 has no rating to undo") as refused:
        feedback.ask("rating.undo", RatedReply)
    assert refused.value.code == "not_found"
    assert len(feedback.judged) == 6


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        (
            {"image": "000", "stars": 3},
            "invalid_request",
            "image: must be 4 to 64 hexadecimal digits of the picture's hash",
        ),
        (
            {"image": "000A", "stars": 3},
            "invalid_request",
            "image: must be 4 to 64 hexadecimal digits of the picture's hash",
        ),
        ({"image": "0000", "stars": 0}, "invalid_request", "stars: must be a whole number from 1 to 5"),
        ({"image": "0000", "stars": 6}, "invalid_request", "stars: must be a whole number from 1 to 5"),
        ({"image": "0000"}, "invalid_request", "stars: missing; add it"),
        (
            {"image": "0000", "stars": 3, "note": "x" * 2001},
            "invalid_request",
            "note: must be text of at most 2000 characters",
        ),
        ({"image": "beef", "stars": 3}, "not_found", "image: no picture of exp-1 begins with 'beef'; see"),
        ({"image": "0000", "stars": 3, "experiment_id": "exp-2"}, "not_found", "experiment 'exp-2' was not found"),
    ],
)
def test_what_cannot_be_rated_is_refused_in_a_sentence(
    feedback: FeedbackRequests, params: dict[str, object], code: str, text: str
) -> None:
    """And nothing is written."""
    head = feedback.log.head
    with pytest.raises(ControlError) as refused:
        feedback.ask("image.rate", RatedReply, **params)
    assert refused.value.code == code
    assert refused.value.message.startswith(text)
    assert (feedback.log.head, feedback.judged) == (head, [])


def test_digits_of_several_pictures_are_not_enough(tmp_path: Path, open_log: Callable[[Path], Log]) -> None:
    """The sentence counts them; more digits do."""
    feedback = FeedbackRequests(open_log(tmp_path / "learning.db"), {(0, 0): (1,)})
    alike = sha(1)[:40] + "f" * 24
    feedback.end(1, 0, well(alike))

    with pytest.raises(ControlError, match="image: 2 pictures begin with '0001'; give more digits"):
        feedback.rate("0001", 3)
    assert feedback.rate(alike[:41], 3).sha256 == alike


def test_a_picture_of_two_variants_counts_for_both(tmp_path: Path, open_log: Callable[[Path], Log]) -> None:
    """Also for one whose job gives it after it was rated."""
    feedback = FeedbackRequests(open_log(tmp_path / "learning.db"), {(0, 0): (7,), (2, 0): (7, 8)})

    both = feedback.rate(sha(7), 4)
    assert (both.variant_indices, both.rated) == ([0, 2], 2)
    assert feedback.rated() == [(0, "0007", 4), (2, "0007", 4)]
    feedback.end(1, 0, well(sha(7), sha(9)))

    assert feedback.ratings() == {0: (4.0, 1), 1: (4.0, 1), 2: (4.0, 1)}
    assert feedback.rate(sha(9), 1).rated == 4
    assert feedback.ratings()[1] == (2.5, 2)


def test_the_list_comes_in_pages(feedback: FeedbackRequests) -> None:
    """What holds, oldest first, as much as a reply takes; what was taken back is not in it."""
    feedback.log.limits = Limits(page_bytes=65_536)
    for number, stars in ((0, 1), (1, 2), (10, 3), (11, 4), (0, 5)):
        feedback.rate(sha(number), stars, "é" * 2000)
    feedback.rate(sha(11), None)

    pages, after = list[RatingListReply](), None
    while not pages or after is not None:
        pages.append(feedback.ask("rating.list", RatingListReply, after=after, limit=2))
        after = pages[-1].after

    assert [[one.sha256[:4] for one in page.ratings] for page in pages] == [["0001", "000a"], ["0000"]]
    (last,) = pages[1].ratings
    assert (last.variant_indices, last.stars, last.note) == ([0], 5, "é" * 2000)
    feedback.log.limits = Limits(page_bytes=3000)
    assert len(feedback.ask("rating.list", RatingListReply).ratings) == 1


def test_a_rating_that_cannot_be_written_leaves_nothing_behind(feedback: FeedbackRequests) -> None:
    """Neither in memory nor on disk, and the next one counts from there."""
    feedback.rate(sha(0), 2)
    feedback.log._db.execute("CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(ControlError) as failed:
        feedback.rate(sha(1), 4)
    assert failed.value.code == "internal"
    feedback.log._db.execute("DROP TRIGGER full")

    assert feedback.ratings() == {0: (2.0, 1)}
    assert feedback.rate(sha(1), 3).rated == 2
    assert feedback.ratings() == {0: (2.5, 2)}


def test_what_was_said_is_there_after_a_restart(feedback: FeedbackRequests, open_log: Callable[[Path], Log]) -> None:
    """Ratings, their sums, and the comparisons."""
    feedback.rate(sha(0), 2)
    feedback.rate(sha(10), 5, "best")
    feedback.compare(0, 10, "right")
    listed, said = feedback.ask("rating.list", RatingListReply), feedback.ratings()
    feedback.log.close()

    again = FeedbackRequests(open_log(feedback.log.path))

    assert again.ask("rating.list", RatingListReply) == listed
    assert again.ratings() == said
    assert again.pair().compared == 1


@pytest.mark.parametrize(
    ("statement", "count"),
    [(RATINGS_SQL["select_stars"], 2), (RESULTS_SQL["select_images"], 3), (RESULTS_SQL["find_pictures"], 3)],
)
def test_a_rating_looks_only_at_its_own_variants(feedback: FeedbackRequests, statement: str, count: int) -> None:
    """However many pictures and ratings an experiment has: each step but that over the pictures follows an index."""
    plan = [row[3] for row in feedback.log.query(f"EXPLAIN QUERY PLAN {statement}", (EXPERIMENT, 0, 0)[:count])]
    steps = [step for step in plan if step.startswith(("SCAN", "SEARCH")) and "VIRTUAL" not in step]
    assert steps
    assert all(re.search(r"\(experiment_id=\? AND |\(rowid=\?\)", step) for step in steps), plan


def test_many_clients_at_once_lose_no_rating(services: Services) -> None:
    """A thousand ratings from several clients are a thousand events; the last of each picture holds everywhere."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    for number, name in enumerate(ALL):
        runner.finish(name, well(sha(2 * number), sha(2 * number + 1)))
    wait_for(learning, "completed")
    address = address_of(learning)

    def rate(number: int) -> RatedReply:
        params = RateParams(experiment_id=EXPERIMENT, image=sha(number % 4), stars=1 + number % 5)
        return request(address, "image.rate", params, RatedReply, PATIENCE * TIME_FACTOR)

    with ThreadPoolExecutor(CLIENTS) as clients:
        replies = list(clients.map(rate, range(RATINGS)))

    assert [(one.sha256, one.stars) for one in replies] == [(sha(n % 4), 1 + n % 5) for n in range(RATINGS)]
    events = [one for one in learning.logged("image.rated.") if isinstance(one, ImageRated)]
    assert len(events) == RATINGS
    assert query(learning, "SELECT count(*) FROM ratings") == [(RATINGS,)]
    last = {one.sha256: one.stars for one in events}
    listed = request(address, "rating.list", RatingListParams(experiment_id=EXPERIMENT), RatingListReply).ratings
    assert {one.sha256: one.stars for one in listed} == last
    for index, variant in enumerate(show(learning).variants):
        stars = [last[sha(2 * index)], last[sha(2 * index + 1)]]
        assert variant.rating == RatingSummary(mean=sum(one or 0 for one in stars) / 2, count=2)
