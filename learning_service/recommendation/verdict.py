"""From a belief to a decision: the leader, its rivals, its equals, and how many more observations would decide.

The rule is that of an indifference zone (Bechhofer 1954) in its Bayesian form, the probability of good selection
(Branke, Chick and Schmidt, Selecting a Selection Procedure, Management Science 53, 2007): a value is *good* if no other
is better by more than a margin too small to matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from learning_service.recommendation.belief import Array, Belief
from learning_service.recommendation.evidence import POSSIBLE

Tier = Literal["none", "few", "some", "strong"]

SURE: Final = 0.9  # that a value is good: then the question is decided
TOGETHER: Final = 0.8  # that the best value is among those that are named
ENOUGH: Final = 2  # looks at a value, below which it is not recommended
FASTER: Final = 0.9  # of the leader's time, above which a value counts as no faster
MUCH_FASTER: Final = 0.8  # of the chosen value's time, from which on a worse value may be the better bargain,
WORTH_IT: Final = 4  # if it is worse by no more than so many margins
AS_LIKELY_AS_NOT: Final = 0.5
ROUNDS: Final = 100  # the most that are looked ahead
TINY: Final = 1e-300


@dataclass(frozen=True)
class Bargain:
    """A value that is much faster than the chosen one, and a little worse."""

    value: int
    saved: float  # share of the time
    loss: float  # in scores (or worths)


@dataclass(frozen=True)
class Verdict:
    """What is decided. Values are places in the belief; the leader comes first, then the likeliest.

    Tiers: `none` - fewer than two values have observations, so there is nothing to compare. `few` - hardly more is
    known of the leader than one observation tells. `some` - there is a leader, but another value, tried or not, may be
    better by more than the margin. `strong` - with a probability of at least 0.9 none is (see `certainty`).
    """

    tier: Tier
    leader: int
    chosen: int | None  # the fastest of `equals`, else the leader
    equals: tuple[int, ...]  # all that are as good as the best, of those that were tried
    named: tuple[int, ...]  # the leader and the fewest other tried ones that hold the best of these with 0.8
    open: tuple[int, ...]  # what may be best too, of those that were tried
    untried: tuple[int, ...]  # all others
    best: Array
    good: Array
    bargain: Bargain | None  # the best of the much faster ones, where the evidence is strong
    more: int | None  # observations of all that may be best that would probably decide; nil where none or too many


def decide(belief: Belief, counts: Array, seconds: Array, margin: float, *, paired: bool = False) -> Verdict:
    """Decide from a belief about at least two values, of which at least two were tried.

    `counts` are their observations, `seconds` their mean durations (nan where unknown), `margin` is in scores; `paired`
    says that one observation is of two values.
    """
    best, good = belief.p_best, belief.good(margin)
    tried = np.flatnonzero(counts)
    leader = belief.leader(tried)
    order = sorted(tried.tolist(), key=lambda one: (one != leader, -best[one], one))
    looks = np.maximum(counts, belief.looks)
    untried = tuple(np.flatnonzero(counts == 0).tolist())
    tier: Tier = "strong" if certainty(belief, leader, untried, margin, SURE) else "some"
    if looks[leader] < ENOUGH or counts.sum() < 2 * ENOUGH:
        tier = "few"
    equals = tuple(one for one in order if good[one] >= SURE and looks[one] >= ENOUGH) if tier == "strong" else ()
    together = np.cumsum(best[order])
    size = int(np.searchsorted(together, TOGETHER * together[-1])) + 1
    named = tuple(order[:size])
    also = tuple(one for one in order[size:] if best[one] >= POSSIBLE)
    unseen = tuple(one for one in untried if best[one] >= POSSIBLE)
    rivals = (*named, *also, *unseen)[1:] or order[1:2]
    chosen = None if tier == "few" else _fastest(equals, seconds, leader)
    known = [one for one in order if looks[one] >= ENOUGH]
    return Verdict(
        tier=tier,
        leader=leader,
        chosen=chosen,
        equals=equals,
        named=named,
        open=also,
        untried=untried,
        best=best,
        good=good,
        bargain=None if chosen is None or tier == "some" else _bargain(belief, chosen, known, seconds, margin),
        more=more_needed(belief, leader, rivals, margin, paired=paired) if tier == "some" else None,
    )


class Certainty(NamedTuple):
    """How sure the answer is: that the leader is the best, or else that none is noticeably better."""

    is_best: bool
    probability: float


def certainty(belief: Belief, leader: int, untried: Iterable[int], margin: float, needed: float) -> Certainty | None:
    """Return why nothing more has to be looked at, None if it has: neither is as probable as is needed.

    `untried` are the values without observations, `margin` is the difference that is too small to matter, in scores.

    A probability is true of all that may be, on average: of one kind of curves it may be too high, and whoever asks
    after each observation stops where it happens to be. So the doubt is taken for larger than it is, where it comes
    from the model and not from observations: what was never tried counts twice in it; and it grows by a part that is
    the smaller, the more observations tell of the noise.
    """
    unseen, stretch = list(untried), 1 + 1 / belief.spare
    best = float(belief.p_best[leader])
    if (1 - best + belief.p_best[unseen].sum()) * stretch <= 1 - needed:
        return Certainty(is_best=True, probability=best)
    good = float(belief.good(margin)[leader])
    doubt = 1 - good + belief.better(leader, margin)[unseen].sum()
    return Certainty(is_best=False, probability=good) if doubt * stretch <= 1 - needed else None


def front_of(belief: Belief, counts: Array, seconds: Array, margin: float) -> list[int]:
    """Return the values to choose from where time counts, the fastest first: each is better than those before it.

    No other one is noticeably better than one of these without being noticeably slower. It is the Pareto front, less
    what hardly differs, of those that are known from two looks or more, or from as much as two looks tell.
    """
    known = np.flatnonzero((np.maximum(counts, belief.looks) >= ENOUGH) & (counts > 0) & ~np.isnan(seconds))
    means = belief.means
    front: list[int] = []
    while len(known):
        good = known[means[known] >= means[known].max() - margin]
        front.append(int(min(good, key=lambda one: (seconds[one], -means[one], one))))
        known = known[seconds[known] <= FASTER * seconds[front[-1]]]
    return front[::-1]


def more_needed(belief: Belief, leader: int, rivals: Sequence[int], margin: float, *, paired: bool) -> int | None:
    """Return how many further observations of leader and rivals would probably decide; nil if over 100 of each.

    A preposterior calculation (Raiffa and Schlaifer 1961) in closed form. The difference between leader and rival is
    believed to be normal with mean d and variance v. After r more looks at it, of which each has the variance s, the
    variance will be w = 1 / (1/v + r/s), and the mean is today expected at d with the variance v - w. The pair is
    decided if one of them is then not worse than the other by more than the margin, so if |mean| + margin is at least
    z * sqrt(w), with the doubt of 0.1 shared between the rivals. The first r is taken with which all pairs, as if they
    were independent, are decided as likely as not.
    """
    pairs = [belief.difference(leader, rival) for rival in rivals]
    gaps, variances = (np.array(part)[:, None] for part in zip(*pairs, strict=True))
    z = float(ndtri(1 - (1 - SURE) / len(rivals)))
    rounds = np.arange(1, ROUNDS + 1)
    later = 1 / (1 / np.maximum(variances, TINY) + rounds / (2 * belief.looked))
    moves = np.sqrt(np.maximum(variances - later, TINY))
    bounds = z * np.sqrt(later) - margin / belief.unit
    decided = np.where(bounds <= 0, 1.0, ndtr((gaps - bounds) / moves) + ndtr((-gaps - bounds) / moves))
    enough = np.flatnonzero(decided.prod(axis=0) >= AS_LIKELY_AS_NOT)
    return int(rounds[enough[0]]) * (len(rivals) + (not paired)) if len(enough) else None


def _fastest(equals: tuple[int, ...], seconds: Array, leader: int) -> int:
    """Return the fastest of the values that are equally good, if it is noticeably faster than the leader."""
    known = [one for one in equals if not np.isnan(seconds[one])]
    if not known or leader not in known:
        return leader
    fastest = min(known, key=lambda one: (seconds[one], one))
    return fastest if seconds[fastest] < FASTER * seconds[leader] else leader


def _bargain(belief: Belief, chosen: int, known: Sequence[int], seconds: Array, margin: float) -> Bargain | None:
    """Return the best of the values that are much faster than the chosen one, if it is not much worse."""
    means = belief.means
    faster = [one for one in known if seconds[one] <= MUCH_FASTER * seconds[chosen]]
    best = max(faster, key=lambda one: (means[one], -seconds[one], -one), default=None)
    if best is None or means[chosen] - means[best] > WORTH_IT * margin:
        return None
    loss = max(0.0, float(means[chosen] - means[best]))  # what is hardly known may be expected to be better
    return Bargain(best, 1 - float(seconds[best] / seconds[chosen]), loss)
