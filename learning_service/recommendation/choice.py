"""What to look at next, so that the best value is told from the others with few looks.

Top-two Thompson sampling (Russo, Simple Bayesian Algorithms for Best-Arm Identification, COLT 2016): a leader is drawn,
each value as likely as it is the best; a challenger is drawn in the same way among the others; and one of the two is
looked at, as likely the one as the other. So the looks go where the best may be, and not all of them to the favourite.
Looks that are under way need no care of their own: the next draw is from the same belief, as if their outcomes had been
drawn from it too (Kandasamy et al., Parallelised Bayesian Optimisation via Thompson Sampling, AISTATS 2018).
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from learning_service.recommendation.belief import Belief


class Look(NamedTuple):
    """A value to look at, and the one that it is to be told from; both are places in a belief."""

    value: int
    rival: int


def top_two(belief: Belief, open_: Collection[int], random: np.random.Generator) -> Look:
    """Return the next look at one of the `open_` values, of which there is at least one."""
    chances = belief.p_best
    leader = int(random.choice(len(chances), p=chances / chances.sum()))
    others = np.where(np.arange(len(chances)) == leader, 0.0, chances)
    if others.sum() > 0:
        challenger = int(random.choice(len(chances), p=others / others.sum()))
    else:  # the leader is certain; what is expected to be nearest to it is the least certain to be worse
        challenger = max(range(len(chances)), key=lambda one: (one != leader, belief.means[one]))
    look, rival = (leader, challenger) if random.random() < 0.5 else (challenger, leader)  # noqa: PLR2004 - even odds
    if look not in open_:
        look, rival = rival, look
    if look not in open_:
        rival = leader
        look = max(open_, key=lambda one: (chances[one], belief.means[one], -one))
    return Look(look, rival)


def pairing(repeat: int, of_rival: Collection[int], of_any: Collection[int]) -> tuple[bool, bool, int]:
    """Return the rank of a seed for a look at a value, lower is better: under one seed values differ by themselves.

    `of_rival` and `of_any` are the seeds under which the rival, and any value, was looked at.
    """
    return repeat not in of_rival, repeat not in of_any, repeat
