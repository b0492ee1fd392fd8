"""What several prompts say together, and where one says something else: from scores by value, prompt and seed."""

from itertools import product

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation.crossing import Apart, Crossing, cross
from learning_service.recommendation.evidence import PREFERENCE, STARS, Candidate, Objective, Score
from learning_service.recommendation.recommend import Recommendation, recommend

VALUES, BLOCKS, SEEDS = 4, 3, 5
MARGIN, SURE = 0.25, 0.9
PROMPTS = ["a star", "a heart", "a circle"]
CANDIDATES = [Candidate(index=index, value=2**index) for index in range(VALUES)]
MATCH = Objective(kind="metric", name="match")


def scores(random: np.random.Generator, *, crossed: float, effects: list[float]) -> dict[tuple[int, int, int], float]:
    """Return a score for each value, block and seed; blocks and seeds have effects of their own."""
    prompts, seeds = random.normal(0, 3, BLOCKS), random.normal(0, 1, (BLOCKS, SEEDS))
    apart = random.normal(0, crossed, (VALUES, BLOCKS)) if crossed else np.zeros((VALUES, BLOCKS))
    return {
        (value, block, seed): effects[value] + prompts[block] + apart[value, block] + seeds[block, seed]
        + random.normal(0, 1)
        for value, block, seed in product(range(VALUES), range(BLOCKS), range(SEEDS))
    }  # fmt: skip


def crossing(found: dict[tuple[int, int, int], float]) -> Crossing:
    """Return them as blocks."""
    values, repeats = (
        np.array([value for value, _, _ in found], np.intp),
        np.array([seed * BLOCKS + block for _, block, seed in found], np.intp),
    )
    return cross(values, repeats, np.array(list(found.values())), BLOCKS)


def surely_better(made: Crossing, answer: int, margin: float = MARGIN) -> list[Apart]:
    """Return the blocks in which another value is surely better than the answer."""
    return [one for one in made.best(answer, margin, SURE) if one.probability >= SURE]


def test_a_block_is_one_look_at_a_value() -> None:
    """With the mean over its seeds."""
    found = scores(np.random.default_rng(1), crossed=0.0, effects=[0.0, 1.0, 2.0, 3.0])

    made = crossing(found)

    values, blocks, means = made.cells()
    assert sorted(zip(values.tolist(), blocks.tolist(), strict=True)) == list(product(range(VALUES), range(BLOCKS)))
    expected = [
        np.mean([found[value, block, seed] for seed in range(SEEDS)])
        for value, block in zip(values, blocks, strict=True)
    ]
    assert means == pytest.approx(np.array(expected))
    assert made.seeds == SEEDS


def test_a_seed_that_only_one_value_has_favours_nobody() -> None:
    """An easy seed lifts all scores of it: the means are less its effect."""
    found = {
        (value, block, seed): float(value + 10 * block + (100 if seed == 1 else 0))
        for value, block, seed in product(range(VALUES), range(BLOCKS), range(2))
        if seed == 0 or value < 2
    }

    made = crossing(found)
    means = made.means * made.unit

    assert means - means[0] == pytest.approx(np.arange(VALUES)[:, None] * np.ones(BLOCKS), abs=0.01)


@pytest.mark.parametrize(("crossed", "low", "high"), [(0.0, 0.0, 0.3), (3.0, 3.0, 20.0)])
def test_how_much_values_differ_from_block_to_block_is_found(crossed: float, low: float, high: float) -> None:
    """The variance of value x block, in those of the noise, of many worlds."""
    random = np.random.default_rng(7)

    worlds = [crossing(scores(random, crossed=crossed, effects=[0.0] * VALUES)) for _ in range(40)]

    shares = [float(one.weights @ (one.crossed / one.noises)) for one in worlds]
    assert low <= float(np.median(shares)) <= high


def test_what_is_said_of_a_block_is_true() -> None:
    """Where values differ from block to block, and where they do not: at least nine of ten sentences are right."""
    random = np.random.default_rng(3)
    said = right = 0
    for crossed in (0.0, 0.5, 2.0) * 60:
        effects, apart = random.normal(0, 1, VALUES), random.normal(0, crossed, (VALUES, BLOCKS))
        truth = effects[:, None] + apart
        made = crossing(
            {
                (value, block, seed): truth[value, block] + random.normal(0, 1)
                for value, block, seed in product(range(VALUES), range(BLOCKS), range(SEEDS))
            }
        )
        answer = int(np.nanmean(made.means, axis=1).argmax())
        for one in surely_better(made, answer):
            said += 1
            right += truth[one.value, one.block] - truth[answer, one.block] > MARGIN
            assert SURE <= one.probability <= 1
    assert said > 40
    assert right / said >= SURE


def test_one_block_with_another_best_value_is_told() -> None:
    """And nothing of the others, or of a block where the answer has no scores."""
    random = np.random.default_rng(5)
    found = scores(random, crossed=0.0, effects=[0.0, 0.0, 0.0, 5.0])
    found |= {
        (value, 1, seed): found[value, 1, seed] + (8 if value == 2 else 0)
        for value, seed in product(range(VALUES), range(SEEDS))
    }

    (one,) = surely_better(crossing(found), 3)

    assert (one.block, one.value) == (1, 2)
    gone = {key: score for key, score in found.items() if key[:2] != (3, 1)}
    assert surely_better(crossing(gone), 3) == []


def test_the_order_of_the_scores_is_no_matter() -> None:
    """Not even in the last digit."""
    found = scores(np.random.default_rng(2), crossed=1.0, effects=[0.0, 1.0, 2.0, 3.0])
    other = dict(reversed(found.items()))

    one, two = crossing(found), crossing(other)

    assert np.array_equal(one.means, two.means)
    assert np.array_equal(one.weights, two.weights)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("seeds", [1, 2])
def test_scores_of_any_size_are_taken(scale: float, seeds: int) -> None:
    """Also where all are the same, and where a value has one seed in a block, or a block one value."""
    random = np.random.default_rng(4)
    found = {
        (value, block, seed): scale * random.random()
        for value, block, seed in product(range(2), range(BLOCKS), range(seeds))
    }
    same = dict.fromkeys(found, scale)
    few = {(0, 0, 0): scale, (1, 1, 0): 2 * scale}

    for one in map(crossing, (found, same, few)):
        assert np.isfinite(one.weights).all()
        assert np.isfinite(one.cells()[2]).all()
        assert all(0 <= told.probability <= 1 for told in one.best(0, 0.0, SURE))


def recommended(
    found: dict[tuple[int, int, int], float], objective: Objective = MATCH, blocks: list[str] = PROMPTS
) -> Recommendation:
    """Return the recommendation from scores by value, block and seed."""
    seen = [
        Score(variant_index=value, repeat_index=seed * BLOCKS + block, score=score)
        for (value, block, seed), score in found.items()
    ]
    return recommend(seen, CANDIDATES, objective, "cfg", blocks)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_prompt_for_which_another_value_is_better_is_named(sign: int) -> None:
    """With its probability, also where less is better; else nothing is said of single prompts."""
    found = scores(np.random.default_rng(5), crossed=0.0, effects=[0.0, 0.0, 0.0, 9.0])
    objective = Objective(kind="metric", name="match", minimize=sign < 0)
    plain = {key: sign * score for key, score in found.items()}
    other = {key: score + sign * (12 if key[:2] == (2, 1) else 0) for key, score in plain.items()}

    assert " but " not in recommended(plain, objective).sentence
    made = recommended(other, objective)
    assert made.value == 8
    assert '; but under "a heart" 4 is better (' in made.sentence
    assert [one.n for one in made.estimates] == [BLOCKS * SEEDS] * VALUES


def test_many_prompts_of_their_own_are_counted() -> None:
    """Three are named."""
    found = {
        (value, block, seed): 100.0 * (value == 3)
        + 900.0 * (value == 1 and block % 2)
        + (block * 7 + seed * 3 + value * 5) % 4
        for value, block, seed in product(range(VALUES), range(12), range(SEEDS))
    }
    seen = [
        Score(
            variant_index=value,
            repeat_index=seed * 12 + block,
            score=min(score, 950.0) - 800.0 * (value == 1 and not block % 2),
        )
        for (value, block, seed), score in found.items()
    ]

    sentence = recommend(seen, CANDIDATES, MATCH, "cfg", [f"prompt {number}" for number in range(12)]).sentence

    assert sentence.count(" is better (") == 3
    assert sentence.endswith("and others under 3 more")


def test_more_seeds_of_two_prompts_tell_nothing_of_others() -> None:
    """What differs from prompt to prompt keeps the answer open, however many seeds there are."""
    random = np.random.default_rng(11)
    found = scores(random, crossed=3.0, effects=[0.0, 0.0, 0.0, 2.0])

    over, as_seeds = recommended(found), recommended(found, blocks=[])

    wide, narrow = (np.mean([(one.high or 0) - (one.low or 0) for one in made.estimates]) for made in (over, as_seeds))
    assert wide > 1.5 * narrow


def test_intervals_hold_what_other_prompts_would_show() -> None:
    """The truth of most values is in them; it would not be, if seeds counted as prompts do."""
    random = np.random.default_rng(17)
    held = np.zeros(2)
    for _ in range(40):
        effects = random.normal(0, 1, VALUES)
        found = scores(random, crossed=1.5, effects=effects.tolist())
        for place, blocks in enumerate((PROMPTS, [])):
            made = recommended(found, blocks=blocks).estimates
            shift = np.mean([one.mean or 0.0 for one in made]) - effects.mean()
            held[place] += np.mean(
                [
                    (one.low or 0.0) <= effect + shift <= (one.high or 0.0)
                    for one, effect in zip(made, effects, strict=True)
                ]
            )
    assert held[0] / 40 >= 0.85
    assert held[1] / 40 <= 0.7


def test_the_prompts_of_stars_are_looks_too() -> None:
    """One picture of each value for each prompt is as without blocks; one prompt alone says nothing of others."""
    stars = {
        (value, block, 0): float(1 + (value + block) % 5) for value, block in product(range(VALUES), range(BLOCKS))
    }

    with_blocks = recommended(stars, STARS)
    assert replace(with_blocks, blocks=UNSET) == recommended(stars, STARS, [])
    assert with_blocks.blocks is not UNSET
    assert len(with_blocks.blocks) == BLOCKS
    alone = {(value, 0, seed): float(1 + (value + seed) % 5) for value, seed in product(range(VALUES), range(3))}
    assert recommended(alone, STARS) == recommended(alone, STARS, [])


def test_comparisons_under_prompts_that_disagree_decide_nothing() -> None:
    """What wins under two prompts and loses under the third is not sure to win under others."""
    answers = [
        Preference(
            left=Picture(variant_index=3, repeat_index=repeat, sha256=f"3-{repeat}"),
            right=Picture(variant_index=other, repeat_index=repeat, sha256=f"{other}-{repeat}"),
            outcome="right" if repeat % BLOCKS == 2 else "left",
        )
        for other, repeat in product(range(3), range(BLOCKS * SEEDS))
    ]

    over, alike = (recommend(answers, CANDIDATES, PREFERENCE, "cfg", blocks) for blocks in (PROMPTS, []))

    assert alike.tier == "strong"
    assert over.tier == "some"
    assert [one.n for one in over.estimates] == [one.n for one in alike.estimates]
