"""How much each of several variables matters, where that is known."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from msgspec import UNSET

from bus.contracts.answers import AxisEffect, Interaction, Share
from bus.contracts.fields import VariantValue
from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.evidence import PREFERENCE, STARS, Candidate, Objective, Score
from learning_service.recommendation.recommend import Recommendation, recommend
from learning_service.recommendation.sentence import effects_text, value_text

QUALITY = Objective(kind="metric", name="quality")
SIZES = {"cfg": 4, "sampler": 3, "steps": 4}


def heights(cfg: int, sampler: int, steps: int) -> float:
    """Return what is true of a value: samplers matter by the steps alone, which do nothing on average."""
    return -0.3 * (cfg - 1) ** 2 + 0.2 * (sampler == 1) * (steps - 1.5) - 0.2 * (sampler == 2) * (steps - 1.5)


def answer(
    truth: Callable[[int, int, int], float],
    *,
    every: int = 1,
    objective: Objective = QUALITY,
    sign: float = 1.0,
    rounded: bool = False,
) -> Recommendation:
    """Return the recommendation from two scores of each value, of which every n-th is in the plan."""
    random = np.random.default_rng(4)
    points = list(product(*map(range, SIZES.values())))[::every]
    values: list[VariantValue] = [{"cfg": a, "sampler": "xyz"[b], "steps": 10 * c} for a, b, c in points]
    looks = [
        (at, seed, sign * (truth(*one) + 0.05 * random.normal())) for at, one in enumerate(points) for seed in (0, 1)
    ]
    scores = [
        Score(variant_index=at, repeat_index=seed, score=float(np.clip(round(look), 1, 5)) if rounded else look)
        for at, seed, look in looks
    ]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    return recommend(scores, plan, objective, "cfg x sampler x steps")


def found(made: Recommendation) -> tuple[dict[str, AxisEffect], dict[tuple[str, str], Interaction]]:
    """Return the effects by name."""
    assert made.effects is not UNSET
    assert made.interactions is not UNSET
    return {one.name: one for one in made.effects}, {one.names: one for one in made.interactions}


@pytest.mark.parametrize("every", [1, 2, 5])
def test_it_is_told_which_variable_matters_and_which_two_depend_on_each_other(every: int) -> None:
    """Whether all points of the grid are in the plan or a half or a fifth of them."""
    made = answer(heights, every=every)
    axes, pairs = found(made)
    assert made.effects is not UNSET
    assert made.effects[0].name == "cfg"
    grid = np.array([heights(*point) for point in product(*map(range, SIZES.values()))]).reshape(tuple(SIZES.values()))
    share = grid.mean(axis=(1, 2)).var() / grid.var()
    assert axes["cfg"].alone.low - 0.02 <= share <= axes["cfg"].alone.high + 0.02
    assert axes["cfg"].probability > 0.9
    assert pairs["cfg", "sampler"].probability < 0.3
    if every < 5:
        assert pairs["sampler", "steps"].probability > 0.9
        assert axes["steps"].alone.mean < 0.03
        assert axes["steps"].total.mean > 0.05


def test_means_of_values_are_those_over_all_others() -> None:
    """Each in the order of its axis, with an interval that holds what is true."""
    for every in (1, 2):
        axes, _ = found(answer(heights, every=every))
        told = axes["cfg"].values
        assert [one.value for one in told] == [0, 1, 2, 3]
        for one, truth in zip(told, (-0.3, 0.0, -0.3, -1.2), strict=True):
            assert one.low - 0.05 < truth < one.high + 0.05
        assert [one.value for one in axes["sampler"].values] == ["x", "y", "z"]


def test_less_is_better_where_the_objective_says_so() -> None:
    """Means are those of the metric, and the shares are the same."""
    up, down = (
        answer(heights, objective=QUALITY),
        answer(heights, sign=-1.0, objective=Objective(kind="metric", name="q", minimize=True)),
    )
    (axes, _), (other, _) = found(up), found(down)
    for one, its in zip(axes["cfg"].values, other["cfg"].values, strict=True):
        assert (its.mean, its.low, its.high) == pytest.approx((-one.mean, -one.high, -one.low))
    assert axes["cfg"].total == other["cfg"].total


def test_stars_and_comparisons_have_effects_too() -> None:
    """Means of stars stay between 1 and 5; those of comparisons are shares won."""
    axes, _ = found(answer(lambda cfg, _sampler, _steps: 1.0 + 1.3 * cfg, objective=STARS, rounded=True))
    assert axes["cfg"].probability > 0.9
    assert all(1 <= one.low <= one.high <= 5 for axis in axes.values() for one in axis.values)
    values: list[VariantValue] = [{"a": a, "b": b} for a in range(3) for b in range(3)]
    seen = [
        Preference(
            left=Picture(variant_index=one, repeat_index=0, sha256=f"{one}"),
            right=Picture(variant_index=other, repeat_index=0, sha256=f"{other}"),
            outcome="left" if one // 3 > other // 3 else "tie" if one // 3 == other // 3 else "right",
        )
        for one, other in product(range(9), repeat=2)
        if one < other
    ]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    axes, _ = found(recommend(seen, plan, PREFERENCE, "a x b"))
    assert axes["a"].total.mean > 0.8
    assert 0 < axes["a"].values[0].mean < 0.4 < axes["a"].values[1].mean < 0.6 < axes["a"].values[2].mean < 1


def test_of_values_that_do_not_differ_no_variable_matters() -> None:
    """The sentence names none."""
    axes, _ = found(made := answer(lambda *_: 0.0))
    assert max(one.probability for one in axes.values()) < 0.8
    assert "matters most" not in made.sentence


def test_one_variable_has_no_effects_to_be_compared() -> None:
    """Nor has an answer to too few scores."""
    plan = [Candidate(index=at, value=at) for at in range(3)]
    scores = [Score(variant_index=at, repeat_index=seed, score=float(at)) for at in range(3) for seed in range(3)]
    assert recommend(scores, plan, QUALITY, "a").effects is UNSET
    assert recommend(scores[:1], plan, QUALITY, "a").interactions is UNSET


def test_the_sentence_names_what_surely_matters_and_what_hardly_does() -> None:
    """What is open is left out."""

    def effect(name: str, mean: float, probability: float) -> AxisEffect:
        share = Share(mean=mean, low=mean - 0.1, high=mean + 0.1)
        return AxisEffect(name=name, alone=share, total=share, probability=probability, values=())

    many = [effect("cfg", 0.7, 1.0), effect("steps", 0.3, 0.95), effect("size", 0.1, 0.5), effect("eta", 0.01, 0.05)]
    assert (
        effects_text(many) == "; cfg matters most (70 %, 60 to 80 %), then steps (30 %, 20 to 40 %), eta hardly matters"
    )
    assert effects_text([many[0], many[3], effect("x", 0.0, 0.0)]).endswith("eta and x hardly matter")
    assert effects_text(many[2:]) == ""


def test_a_value_of_several_variables_reads_as_a_list() -> None:
    """The first one leads."""
    assert value_text({"cfg": 4, "steps": 20, "sampler": "euler"}) == "cfg 4 with steps 20 and sampler euler"
    assert value_text({"cfg": 4}) == "cfg 4"


def test_of_a_grid_of_thousands_a_few_dozen_points_tell_what_matters() -> None:
    """The effects themselves are asked for then, and not what each point would show."""
    random = np.random.default_rng(1)
    points = random.permutation(np.array(list(product(range(4), repeat=6))))[:80]
    values: list[VariantValue] = [dict(zip("abcdef", map(int, point), strict=True)) for point in points]
    truth = -0.3 * (points[:, 0] - 1.0) ** 2 + 0.2 * (points[:, 1] - 1.5) * (points[:, 2] - 1.5)
    scores = [
        Score(variant_index=at, repeat_index=seed, score=float(truth[at] + 0.05 * random.normal()))
        for at in range(len(points))
        for seed in (0, 1)
    ]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    axes, pairs = found(made := recommend(scores, plan, QUALITY, "a x b x c x d x e x f"))
    assert made.effects is not UNSET
    assert made.effects[0].name == "a"
    assert pairs["b", "c"].probability > 0.9
    assert max(axes[name].probability for name in "def") < 0.1
    assert axes["a"].values[1].mean == pytest.approx(0.0, abs=0.1)


def test_the_effect_of_values_without_order_is_theirs_however_many_there_are() -> None:
    """As of thirty seeds: no smooth curve tells their effect, which is none of the other variable's."""
    random = np.random.default_rng(3)
    points, heights = list(product(range(30), range(5))), random.uniform(size=30)
    values: list[VariantValue] = [{"seed": one, "steps": other} for one, other in points]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    scores = [
        Score(variant_index=at, repeat_index=repeat, score=float(heights[one] + 0.02 * random.normal()))
        for at, (one, _) in enumerate(points)
        for repeat in (0, 1)
    ]
    axes, _ = found(recommend(scores, plan, QUALITY, "seed x steps"))
    assert axes["seed"].alone.mean > 0.95
    assert axes["steps"].total.mean < 0.05
    assert [one.mean for one in axes["seed"].values] == pytest.approx(heights, abs=0.05)


def test_of_a_part_of_a_large_grid_with_hundreds_of_words_nothing_is_told() -> None:
    """They have no columns, so their share would be that of the rest, and all words would do the same."""
    values: list[VariantValue] = [{"lora": f"w{at % 260}", "steps": at % 2 + at // 260} for at in range(780)]
    scores = [Score(variant_index=at, repeat_index=0, score=float(at % 260)) for at in range(780)]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    made = recommend(scores, plan, QUALITY, "lora x steps")
    assert made.effects is UNSET
    assert "matters" not in made.sentence
    full: list[VariantValue] = [{"lora": f"w{at // 2}", "steps": at % 2} for at in range(520)]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(full)]
    axes, _ = found(recommend(scores[:260], plan, QUALITY, "lora x steps"))
    assert axes["lora"].total.mean > axes["steps"].total.mean
