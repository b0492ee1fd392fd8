"""The model of preferences: its slopes, and its posterior against the exact one."""

import numpy as np
import pytest
from msgspec.structs import replace

from learning_service.experiments.judgements import Picture, Preference
from learning_service.recommendation import preferences, sparse
from learning_service.recommendation.belief import Array
from learning_service.recommendation.layout import Layout, arrange, without_order
from learning_service.recommendation.preferences import (
    _log_likelihood,
    _slopes,
    believe_preferences,
    share_won,
    tally,
)
from learning_service.recommendation.worths import DEVIATIONS, Tally


def told(wins: Array, ties: Array) -> Tally:
    """Return answers about values that were all compared, but for those about which there are none."""
    met = np.flatnonzero((wins + wins.T + ties).any(axis=1))
    return Tally(met, wins[np.ix_(met, met)], ties[np.ix_(met, met)])


def counts(values: int, highest: int) -> tuple[Array, Array]:
    """Return wins and ties of each against each."""
    random = np.random.default_rng(3)
    wins = random.integers(0, highest, (values, values)).astype(float)
    np.fill_diagonal(wins, 0)
    ties = np.triu(random.integers(0, highest, (values, values)), 1).astype(float)
    return wins, ties + ties.T


def test_slopes_are_those_of_the_likelihood() -> None:
    """Gradient and curvature agree with small steps."""
    wins, ties = counts(5, 4)
    point, step = np.random.default_rng(4).normal(size=6), 1e-5
    gradient, curvature = _slopes(point[None], wins, ties)
    around = np.stack([point + np.eye(6) * step, point - np.eye(6) * step])
    rise = [_log_likelihood(points, wins, ties) for points in around]
    assert (rise[0] - rise[1]) / (2 * step) == pytest.approx(gradient[0], abs=1e-6)
    bend = [_slopes(points, wins, ties)[0] for points in around]
    assert (bend[0] - bend[1]) / (2 * step) == pytest.approx(-curvature[0], abs=1e-6)


@pytest.mark.parametrize(("won", "lost", "tied"), [(1, 0, 0), (3, 1, 0), (8, 5, 4), (30, 22, 10), (0, 0, 5)])
def test_the_posterior_is_near_the_exact_one(won: int, lost: int, tied: int) -> None:
    """Of two values, the chance to be the best is that of a sum over a fine grid of all unknowns."""
    gap, level = np.meshgrid(np.linspace(-25, 25, 2001), np.linspace(-4, 4, 161), indexing="ij")
    odds = np.exp([gap / 2, -gap / 2, level])
    likelihood = np.prod((odds / odds.sum(axis=0)) ** np.array([won, lost, tied])[:, None, None], axis=0)
    prior = sum(np.exp(-(gap**2) / (4 * deviation**2)) / (1 + deviation**2) for deviation in DEVIATIONS)
    weights = (likelihood * prior * np.exp(-(level**2) / 2)).sum(axis=1)
    exact = (weights[1001:].sum() + weights[1000] / 2) / weights.sum()
    wins, ties = np.array([[0.0, won], [lost, 0.0]]), np.array([[0.0, tied], [tied, 0.0]])
    assert believe_preferences(without_order(2), told(wins, ties)).p_best[0] == pytest.approx(exact, abs=0.03)


def test_one_sided_answers_stay_finite() -> None:
    """Whoever wins a thousand times out of a thousand is the best, and no number overflows."""
    wins = np.zeros((4, 4))
    wins[0, 1:] = 1000
    belief = believe_preferences(without_order(4), told(wins, np.zeros((4, 4))))
    assert belief.p_best[0] > 0.95
    assert np.isfinite(belief.interval()).all()


def test_a_tie_and_both_bad_say_the_same_of_which_is_better() -> None:
    """Neither favours anybody."""
    one, other = (Picture(variant_index=index, repeat_index=0, sha256=str(index)) for index in (3, 5))
    stranger = Picture(variant_index=9, repeat_index=0, sha256="9")
    answers = [
        Preference(left=one, right=other, outcome="tie"),
        Preference(left=other, right=one, outcome="both_bad"),
        Preference(left=other, right=one, outcome="left"),
        Preference(left=other, right=one, outcome="right"),
        Preference(left=one, right=stranger, outcome="left"),
    ]
    seen = tally(answers, {3: 0, 5: 1})
    assert seen.wins.tolist() == [[0, 1], [1, 0]]
    assert seen.ties.tolist() == [[0, 2], [2, 0]]
    assert seen.looks(3).tolist() == [4, 4, 0]
    assert believe_preferences(without_order(2), seen).p_best == pytest.approx([0.5, 0.5], abs=1e-9)


def test_a_value_of_mean_worth_wins_half() -> None:
    """The share that people read is one half where nothing is known."""
    assert share_won(np.array([0.0])) == pytest.approx([0.5])


def test_newton_ends_after_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that is not quite the best one is a posterior too; nothing runs without an end."""
    wins, ties = counts(3, 4)
    exact = believe_preferences(without_order(3), told(wins, ties))
    monkeypatch.setattr(preferences, "ITERATIONS", 2)

    near = believe_preferences(without_order(3), told(wins, ties))

    assert near.p_best == pytest.approx(exact.p_best, abs=0.05)


def test_a_value_that_was_never_compared_is_what_its_neighbours_are() -> None:
    """Between two that win it is probably good, and less is known of it."""
    wins = np.zeros((5, 5))
    wins[1, [0, 4]] = wins[3, [0, 4]] = 8
    belief = believe_preferences(arrange([1, 2, 3, 4, 5]), told(wins, np.zeros((5, 5))))
    assert belief.means[2] > belief.means[[0, 4]].max() + 1
    assert belief.p_best[2] > 0.15
    assert belief.variances[2] > belief.variances[1]


@pytest.mark.parametrize("many", [0, 40])
def test_no_function_is_called_that_keeps_other_threads_waiting(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numpy holds the interpreter's lock in these; of a thousand values that is for a second."""

    def held(*_: object) -> None:
        raise AssertionError("the loop would wait for it")

    monkeypatch.setattr(preferences, "MANY", many)
    for name in ("det", "slogdet"):
        monkeypatch.setattr(np.linalg, name, held)
    believe_preferences(arrange(list(range(4))), told(*counts(4, 3)))


def asked_under(prompts: int, worths: Array, random: np.random.Generator) -> list[Preference]:
    """Ask about pictures of values under some prompts; `worths` are by value and prompt."""
    answers = []
    for number in range(60 * prompts):
        one, other = random.choice(len(worths), 2, replace=False)
        block, repeat = number % prompts, number % (4 * prompts)
        left, right = (
            Picture(variant_index=int(value), repeat_index=repeat, sha256=f"{value}-{repeat}") for value in (one, other)
        )
        gap = worths[one, block] - worths[other, block] + random.logistic()
        answers.append(Preference(left=left, right=right, outcome="left" if gap > 0 else "right"))
    return answers


def test_more_answers_about_three_prompts_tell_nothing_of_others() -> None:
    """Intervals hold what other prompts would show; they would not, if comparisons counted alike."""
    random, held = np.random.default_rng(1), {1: 0.0, 3: 0.0}
    for _ in range(12):
        effects = random.normal(size=5)
        answers = asked_under(3, effects[:, None] + 1.5 * random.normal(size=(5, 3)), random)
        for blocks in held:
            seen = tally(answers, dict(enumerate(range(5))), blocks)
            low, high = believe_preferences(without_order(5), seen).interval()
            truth = effects - effects.mean()
            held[blocks] += float(((low <= truth) & (truth <= high)).mean()) / 12
    assert held[3] >= 0.75
    assert held[1] <= 0.55


def test_where_prompts_do_not_matter_they_are_hardly_a_doubt() -> None:
    """What wins under each of six prompts is the best."""
    answers = asked_under(6, np.array([[2.0], [0.0], [0.0]]) + np.zeros(6), np.random.default_rng(2))
    belief = believe_preferences(without_order(3), tally(answers, {0: 0, 1: 1, 2: 2}, 6))
    assert belief.p_best[0] > 0.95


def test_one_prompt_alone_says_nothing_of_others() -> None:
    """It counts as if there were no others."""
    answers = asked_under(1, np.array([[1.0], [0.0]]), np.random.default_rng(3))
    alone = [
        Preference(left=replace(one.left, repeat_index=2), right=replace(one.right, repeat_index=2), outcome="left")
        for one in answers
    ]
    seen, plain = tally(alone, {0: 0, 1: 1}, 4), tally(alone, {0: 0, 1: 1})
    assert not seen.has_blocks
    assert (seen.values == plain.values).all()


@pytest.mark.parametrize("layout", [arrange([*range(30)]), without_order(30)], ids=["numbers", "words"])
@pytest.mark.parametrize("prompts", [1, 3])
def test_many_values_are_fitted_as_few_are(layout: Layout, prompts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sparse way leads to the same means, deviations and probabilities, but for the luck of the sample."""
    random = np.random.default_rng(5)
    worths = -((np.arange(28) - 20.0)[:, None] ** 2) / 100 + random.normal(size=(28, prompts)) / 2
    seen = tally(asked_under(prompts, worths, random), dict(enumerate(range(28))), prompts)  # two are never compared
    seen.ties[3, 5] = seen.ties[5, 3] = 2
    few = believe_preferences(layout, seen)
    monkeypatch.setattr(preferences, "MANY", 0)

    many = believe_preferences(layout, seen)

    assert many.means == pytest.approx(few.means, abs=0.01)
    assert np.sqrt(many.variances) == pytest.approx(np.sqrt(few.variances), abs=0.01)
    assert many.looked == pytest.approx(few.looked, rel=0.001)
    assert many.p_best == pytest.approx(few.p_best, abs=0.02)


def test_the_sparse_fit_ends_after_so_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs without an end."""
    wins, ties = counts(6, 4)
    few = believe_preferences(without_order(6), told(wins, ties))
    monkeypatch.setattr(preferences, "MANY", 0)
    monkeypatch.setattr(sparse, "ITERATIONS", 1)

    near = believe_preferences(without_order(6), told(wins, ties))

    assert near.p_best == pytest.approx(few.p_best, abs=0.05)
