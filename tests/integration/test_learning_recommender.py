"""Recommendations of the running service: made anew after ratings and jobs, published when they differ."""

import threading
from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.experiments import ExperimentParams
from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.messages import RecommendationUpdated
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.recommendation import lazy
from learning_service.recommendation.service import make_recommendation
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, well
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.learning_services import SMALL, ScriptedRunner, Services, address_of, create, query, show

METRIC = replace(SMALL, objective="match", jobs_per_variant=3)
STARS = replace(SMALL, jobs_per_variant=2)


def recommend(learning: ServiceThread[LearningService]) -> RecommendationUpdated:
    """Ask for a recommendation."""
    params = ExperimentParams(experiment_id=EXPERIMENT)
    return request(address_of(learning), "experiment.recommend", params, RecommendationUpdated)


def published(learning: ServiceThread[LearningService]) -> list[RecommendationUpdated]:
    """Return the recommendations that were published."""
    found = learning.logged("recommendation.updated.exp-1.")
    return [message for message in found if isinstance(message, RecommendationUpdated)]


def wait_settled(learning: ServiceThread[LearningService]) -> None:
    """Wait until nothing is stale."""
    wait_until(lambda: not query(learning, "SELECT experiment_id FROM stale"), what="the recommendation")


def sha(index: int, repeat: int) -> str:
    """Name the picture of a job."""
    return f"{index}{repeat}" * 32


def run(runner: ScriptedRunner, repeats: int) -> None:
    """End all jobs of two variants; the second variant is better in each."""
    names = {(index, repeat): f"exp-1.{index}.{repeat}.0" for index in (0, 1) for repeat in range(repeats)}
    wait_until(lambda: set(names.values()) <= set(runner.jobs), what="the jobs")
    for (index, repeat), name in names.items():
        runner.finish(name, well(sha(index, repeat), match=0.5 + 0.25 * index + 0.01 * repeat))


def rate(learning: ServiceThread[LearningService], index: int, repeat: int, stars: int | None) -> None:
    """Rate the picture of a job."""
    params = RateParams(experiment_id=EXPERIMENT, image=sha(index, repeat), stars=stars)
    request(address_of(learning), "image.rate", params, RatedReply)


def test_a_metric_decides_as_soon_as_the_jobs_have_ended(services: Services) -> None:
    """The newest recommendation is part of the experiment's view, and the same as on request."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, METRIC)

    assert (recommend(learning).value, recommend(learning).tier) == (None, "none")
    assert published(learning) == []
    run(runner, 3)
    wait_until(lambda: show(learning).totals.completed == 6, what="the end")
    wait_settled(learning)

    made = recommend(learning)
    assert (made.value, made.objective) == (4.0, "maximize match")
    assert [one.n for one in made.estimates] == [3, 3]
    assert show(learning).recommendation == made == published(learning)[-1]


def test_each_rating_that_changes_the_answer_is_followed_by_it(services: Services) -> None:
    """Stars of people; what is taken back counts no more. Completed jobs without a rating say nothing."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, STARS)
    run(runner, 2)
    wait_until(lambda: show(learning).totals.completed == 4, what="the end")
    wait_settled(learning)
    assert published(learning) == []

    for index, stars in ((0, 1), (1, 5)):
        for repeat in (0, 1):
            rate(learning, index, repeat, stars)
            wait_settled(learning)

    assert [one.n for one in published(learning)[-1].estimates] == [2, 2]
    assert published(learning)[-1].value == 4.0
    for index in (0, 1):
        for repeat in (0, 1):
            rate(learning, index, repeat, None)
    wait_settled(learning)
    assert (published(learning)[-1].value, published(learning)[-1].tier) == (None, "none")


def test_what_has_ended_is_shown_with_the_answer_to_all_its_results(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before that is published; where it cannot be made, or not soon, with the answer that there was."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    monkeypatch.setattr("learning_service.recommendation.service.Recommender._renew", lambda *_: None)
    create(learning, METRIC)
    run(runner, 3)
    wait_until(lambda: show(learning).totals.completed == 6, what="the end")

    monkeypatch.setattr("learning_service.recommendation.lazy._loaded", threading.Event())
    assert show(learning).recommendation is None  # to load the statistics takes too long for a look
    made = recommend(learning)
    assert [one.n for one in made.estimates] == [3, 3]
    assert show(learning).recommendation == made
    assert published(learning) == []

    monkeypatch.setattr("learning_service.recommendation.service.make_recommendation", lambda *_: 1 / 0)
    assert show(learning).recommendation is None


def test_a_recommendation_that_a_crash_prevented_is_made_at_the_next_start(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rating was on disk, and with it the mark that it was not thought of yet."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, STARS)
    run(runner, 2)
    wait_until(lambda: show(learning).totals.completed == 4, what="the end")
    with monkeypatch.context() as broken:
        broken.setattr("learning_service.recommendation.service.Recommender._renew", lambda *_: None)
        for index in (0, 1):
            for repeat in (0, 1):
                rate(learning, index, repeat, 2 + index)
        assert query(learning, "SELECT experiment_id FROM stale") == [(EXPERIMENT,)]
        learning.stop()

    again = services.learning(runner.address)

    wait_settled(again)
    assert [one.n for one in published(again)[-1].estimates] == [2, 2]


def test_the_service_answers_while_it_thinks_and_a_rating_meanwhile_is_thought_of_too(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand values take seconds; no mark is cleared that came after what was thought about."""
    thinking, go_on = threading.Event(), threading.Event()

    def slow(*about: Any) -> RecommendationUpdated:
        thinking.set()
        assert go_on.wait(PATIENCE * TIME_FACTOR)
        return make_recommendation(*about)

    monkeypatch.setattr("learning_service.recommendation.service.make_recommendation", slow)
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, STARS)
    run(runner, 2)
    rate_when_there(learning)
    assert thinking.wait(PATIENCE * TIME_FACTOR)

    rate(learning, 1, 0, 5)  # which is answered
    go_on.set()

    wait_settled(learning)
    assert [one.n for one in published(learning)[-1].estimates] == [1, 1]


def test_without_the_statistics_all_else_goes_on(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratings are kept, and who asks is told what to install."""

    def missing() -> None:
        raise ControlError("unavailable", "pip install 'variantbus[learning]'")

    monkeypatch.setattr("learning_service.recommendation.service.load_statistics", missing)
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, STARS)
    run(runner, 2)
    rate_when_there(learning)

    with pytest.raises(ControlError, match="variantbus\\[learning\\]") as refused:
        recommend(learning)

    assert refused.value.code == "unavailable"
    assert show(learning).variants[0].rating is not None
    monkeypatch.setattr("learning_service.recommendation.service.load_statistics", lazy.load_statistics)
    assert recommend(learning).tier == "none"


def test_a_failure_of_the_statistics_stops_nothing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged; the next rating is taken, and makes a recommendation again."""

    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("learning_service.recommendation.service.load_statistics", broken)
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, STARS)
    run(runner, 2)
    rate_when_there(learning)
    monkeypatch.setattr("learning_service.recommendation.service.load_statistics", lazy.load_statistics)

    rate(learning, 1, 0, 5)

    wait_settled(learning)
    assert [one.n for one in published(learning)[-1].estimates] == [1, 1]


def rate_when_there(learning: ServiceThread[LearningService]) -> None:
    """Rate one picture as soon as all are known."""
    wait_until(lambda: show(learning).totals.completed == 4, what="the end")
    rate(learning, 0, 0, 3)
