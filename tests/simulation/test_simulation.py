"""A small run of the simulation: what is said is about true, and what is chosen is better than chance."""

import numpy as np
import pytest

from learning_service.recommendation.evidence import STARS_MAX, STARS_MIN, Score
from tests.simulation import answering, judging, searching
from tests.simulation.answering import Moment
from tests.simulation.figures import Calibration, needed, table
from tests.simulation.peers import without_seeds
from tests.simulation.shapes import KINDS
from tests.simulation.worlds import Layout, Scale, make_world


def calibration(moments: list[Moment]) -> float:
    """Return the calibration error where one value is best."""
    found = Calibration()
    for stated, true in (one for moment in moments if moment.single for one in moment.best):
        found.add(stated, true)
    return found.error


@pytest.mark.parametrize(
    ("scale", "runs", "error"),
    [
        ("metric", 1, 0.04),
        pytest.param("stars", 2, 0.07, marks=pytest.mark.exhaustive),
        pytest.param("preference", 1, 0.12, marks=pytest.mark.exhaustive),
    ],
)
def test_what_is_said_is_about_true(scale: Scale, runs: int, error: float) -> None:
    """Loose bounds on few worlds of every kind; the larger run of docs/recommendation.md has the figures."""
    tasks = answering.tasks_of([scale], runs, seed=1, wild=False)
    moments = [moment for task in tasks for moment in answering.answer(task)]
    assert calibration(moments) < error
    inside = [one for moment in moments for one in moment.inside]
    assert not inside or 0.85 < np.mean(inside) < 0.97
    assert {moment.task.kind for moment in moments} == {*KINDS, "no difference"}
    assert "calibration error" in answering.report(moments)


@pytest.mark.exhaustive
def test_a_search_finds_a_good_value_with_less_than_the_whole_grid() -> None:
    """On worlds with structure; each way searches the same ones."""
    tasks = searching.tasks_of(["25"], [searching.GRID, searching.OURS], 1, seed=1, wild=False)
    races = [searching.race(task) for task in tasks if task.kind in {"slope", "two peaks", "cliff"}]
    ours = [one for one in races if one.task.way == searching.OURS]
    assert np.mean([one.jobs for one in ours]) < 50
    assert np.mean([one.right for one in ours]) > 0.5
    assert "jobs to 90%" in searching.report(races)


@pytest.mark.exhaustive
def test_chosen_pairs_find_good_values_sooner_than_chance() -> None:
    """Each way asks the same people."""
    tasks = judging.tasks_of(["preference"], 1, seed=1, wild=False)
    talks = [judging.talk(task) for task in tasks if task.kind in {"one peak", "slope", "two peaks", "rough"}]
    share = {way: np.mean([one.good for one in talks if one.task.way == way]) for way in judging.WAYS["preference"]}
    assert share[judging.OURS] >= share[judging.CHANCE]
    assert "to 80%" in judging.report(talks)


@pytest.mark.parametrize("layout", ["8", "25", "25 uneven", "8 x 8", "4 x 4 x 4", "3 x 3 x 3 x 3"])
@pytest.mark.parametrize("kind", [*KINDS, "no difference"])
def test_a_world_is_what_its_kind_says(kind: str, layout: Layout) -> None:
    """It has as many values as its layout, in their order, and its best is a good one; the same seed gives the same."""
    world, again = (make_world(np.random.default_rng(3), kind, layout) for _ in range(2))
    assert world.size == {"8": 8, "8 x 8": 64, "4 x 4 x 4": 64, "3 x 3 x 3 x 3": 81}.get(layout, 25)
    assert all(axis.ordered == (kind != "unordered") for axis in world.space.axes)
    assert world.is_good(int(world.truth.argmax()))
    assert world.is_best(list(range(world.size))).sum() == pytest.approx(1)
    assert (world.looks == again.looks).all()


def test_a_wild_world_has_a_few_wild_scores() -> None:
    """Of a metric they are far off; stars stay stars."""
    tame, wild = (make_world(np.random.default_rng(5), "slope", "25", wild=is_wild) for is_wild in (False, True))
    assert (tame.levels == wild.levels).all()
    assert 0.05 < np.mean(tame.looks != wild.looks) < 0.15
    stars = make_world(np.random.default_rng(5), "slope", "8", "stars", wild=True)
    scores = {stars.score(value, seed).score for value in range(8) for seed in range(12)}
    assert scores <= set(range(STARS_MIN, STARS_MAX + 1))


def test_the_part_of_a_seed_is_taken_off() -> None:
    """What a sampler is told are values, not easy seeds."""
    scores = [
        Score(variant_index=value, repeat_index=seed, score=value + 10 * seed)
        for value in range(3)
        for seed in range(2)
    ]
    told = without_seeds(scores)
    assert np.diff(told).tolist() == pytest.approx([0, 1, 0, 1, 0])
    assert without_seeds([]) == []


def test_the_figures_themselves_are_right() -> None:
    """Calibration error, pace and table of made-up statements come out as by hand."""
    found = Calibration(stated=[0.2, 0.2, 0.9, 0.9], true=[0.0, 1.0, 1.0, 1.0])
    assert [count for _stated, _true, count in found.table()] == [2, 2]
    assert found.error == pytest.approx((0.3 + 0.1) / 2)
    assert needed([10, 20], [0.5, 1.0], 0.75) == 15
    assert needed([10, 20], [0.5, 1.0], 0.5) == 10
    assert np.isnan(needed([10, 20], [0.5, 0.6], 0.75))
    assert table("T", ("a", "b"), [(1, 2)]) == "**T**\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
