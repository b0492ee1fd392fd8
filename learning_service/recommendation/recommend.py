"""The recommendation: from observations to the content of `recommendation.updated`."""

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from bus.contracts.messages import ValueEstimate, VariantValue
from learning_service.experiments.judgements import Preference
from learning_service.recommendation.evidence import (
    STARS_MAX,
    STARS_MIN,
    Candidate,
    Objective,
    Score,
    check_preferences,
    check_scores,
)
from learning_service.recommendation.posterior import Array, Posterior
from learning_service.recommendation.preferences import fit_preferences, share_won, tally
from learning_service.recommendation.scores import METRIC_NOISE, STARS_NOISE, fit_scores
from learning_service.recommendation.sentence import no_verdict, verdict_text
from learning_service.recommendation.verdict import Tier, decide

STARS_MARGIN: Final = 0.25  # stars: in four pictures, one star on one of them
METRIC_MARGIN: Final = 0.25  # of the standard deviation of the noise
METRIC_ROUNDING: Final = 1e-6  # of the largest score, if that is more
PREFERENCE_MARGIN: Final = 0.2  # of worth: the better one wins 55 of 100 that are no ties


class Recommendation(Struct, frozen=True, kw_only=True, gc=False):
    """The content of `RecommendationUpdated` without the experiment; `estimates` are in the order of the plan."""

    value: VariantValue | None
    p_best: float | None
    sentence: str
    tier: Tier
    objective: str
    estimates: tuple[ValueEstimate, ...]


class _Evidence(Struct, frozen=True, kw_only=True, gc=False):
    """The observations of those values that have any, in the order of the plan."""

    tested: list[Candidate]
    counts: Array
    means: Array  # plain ones
    posterior: Posterior | None  # nil for fewer than two values
    total: int


def recommend(
    observations: Sequence[Score] | Sequence[Preference],
    candidates: Sequence[Candidate],
    objective: Objective,
    variable: str,
) -> Recommendation:
    """Return which value of a variable is best, how sure that is, and how many more observations would decide.

    The result depends only on the arguments, and not on the order of observations or candidates.

    Raises:
        InvalidInputError: an observation is none of this objective, or of no candidate.
    """
    plan = sorted(candidates, key=lambda candidate: candidate.index)
    if objective.kind == "preference":
        evidence = _compared(cast("Sequence[Preference]", observations), plan)
    else:
        evidence = _scored(cast("Sequence[Score]", observations), plan, objective)
    posterior, values = evidence.posterior, [candidate.value for candidate in evidence.tested]
    if posterior is None:
        return Recommendation(
            value=None,
            p_best=None,
            sentence=no_verdict(variable, values, objective),
            tier="none",
            objective=objective.text,
            estimates=_estimates(plan, evidence, objective, None),
        )
    seconds = np.array([np.nan if one.seconds is None else one.seconds for one in evidence.tested])
    paired = objective.kind == "preference"
    verdict = decide(posterior, evidence.counts, seconds, _margin(objective, posterior), paired=paired)
    chosen = verdict.chosen
    return Recommendation(
        value=None if chosen is None else values[chosen],
        p_best=None if chosen is None else float(verdict.best[chosen]),
        sentence=verdict_text(
            verdict, variable, values, objective, total=evidence.total, untested=len(plan) - len(values)
        ),
        tier=verdict.tier,
        objective=objective.text,
        estimates=_estimates(plan, evidence, objective, verdict.best),
    )


def _scored(scores: Sequence[Score], plan: list[Candidate], objective: Objective) -> _Evidence:
    """Fit scores, in which more is better."""
    check_scores(scores, {candidate.index for candidate in plan}, objective)
    numbers = np.array([one.score for one in scores], np.float64) * (-1 if objective.minimize else 1)
    indexes, values = np.unique(np.array([one.variant_index for one in scores], np.int64), return_inverse=True)
    seeds = np.unique(np.array([one.repeat_index for one in scores], np.int64), return_inverse=True)[1]
    prior = STARS_NOISE if objective.kind == "stars" else METRIC_NOISE
    counts = np.bincount(values).astype(np.float64)
    return _Evidence(
        tested=_tested(plan, indexes.tolist()),
        counts=counts,
        means=np.bincount(values, numbers / counts[values]).astype(np.float64),
        posterior=fit_scores(values, seeds, numbers, prior) if len(indexes) > 1 else None,
        total=len(scores),
    )


def _compared(preferences: Sequence[Preference], plan: list[Candidate]) -> _Evidence:
    """Fit preferences."""
    check_preferences(preferences, {candidate.index for candidate in plan})
    indexes = sorted({picture.variant_index for one in preferences for picture in (one.left, one.right)})
    wins, ties = tally(preferences, indexes)
    counts = (wins + wins.T + ties).sum(axis=1)
    return _Evidence(
        tested=_tested(plan, indexes),
        counts=counts,
        means=np.zeros(len(indexes)),
        posterior=fit_preferences(wins, ties) if len(indexes) > 1 else None,
        total=len(preferences),
    )


def _tested(plan: list[Candidate], indexes: list[int]) -> list[Candidate]:
    known = set(indexes)
    return [candidate for candidate in plan if candidate.index in known]


def _margin(objective: Objective, posterior: Posterior) -> float:
    """Return the difference that is too small to matter, in the numbers of the belief."""
    if objective.kind == "preference":
        return PREFERENCE_MARGIN
    if objective.kind == "stars":
        return STARS_MARGIN / posterior.unit
    return max(METRIC_MARGIN * float(np.sqrt(posterior.noise / 2)), METRIC_ROUNDING)


def _estimates(
    plan: list[Candidate], evidence: _Evidence, objective: Objective, best: Array | None
) -> tuple[ValueEstimate, ...]:
    """Return what is known of each value of the plan."""
    mean, low, high = _display(evidence, objective)
    known = {
        candidate.index: ValueEstimate(
            value=candidate.value,
            mean=float(mean[place]),
            low=None if low is None else float(low[place]),
            high=None if high is None else float(high[place]),
            n=int(evidence.counts[place]),
            p_best=None if best is None else float(best[place]),
        )
        for place, candidate in enumerate(evidence.tested)
    }
    unknown = ValueEstimate(value=0, mean=None, low=None, high=None, n=0, p_best=None)
    return tuple(known.get(one.index) or replace(unknown, value=one.value) for one in plan)


def _display(evidence: _Evidence, objective: Objective) -> tuple[Array, Array | None, Array | None]:
    """Return mean, low and high of each tested value, as people read them."""
    if evidence.posterior is None:
        return evidence.means * (-1 if objective.minimize else 1), None, None
    mean = evidence.posterior.mean
    low, high = evidence.posterior.interval()
    if objective.minimize:
        return -mean, -high, -low
    if objective.kind == "preference":
        return share_won(mean), share_won(low), share_won(high)
    if objective.kind == "stars":
        mean, low, high = (np.clip(numbers, STARS_MIN, STARS_MAX) for numbers in (mean, low, high))
    return mean, low, high
