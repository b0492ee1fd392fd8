"""The recommendation: from observations to the content of `recommendation.updated`."""

from collections.abc import Sequence
from dataclasses import replace as changed
from typing import Final, cast

import numpy as np
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace
from numpy.typing import NDArray

from bus.contracts.answers import AxisEffect, BlockAnswer, Interaction, TradeOff
from bus.contracts.fields import VariantValue
from bus.contracts.messages import ValueEstimate
from learning_service.experiments.judgements import Preference
from learning_service.recommendation.belief import PROBABLY, Array, Belief
from learning_service.recommendation.crossing import Apart, Crossing, cross
from learning_service.recommendation.effects import told_of
from learning_service.recommendation.evidence import (
    STARS_MAX,
    STARS_MIN,
    Candidate,
    Objective,
    Score,
    check_preferences,
    check_scores,
    judged_variants,
)
from learning_service.recommendation.layout import Layout, arrange, explained
from learning_service.recommendation.preferences import believe_preferences, share_won, tally
from learning_service.recommendation.scores import believe_scores
from learning_service.recommendation.sentence import apart_text, effects_text, no_verdict, verdict_text, within_text
from learning_service.recommendation.tables import METRIC_NOISE, STARS_NOISE
from learning_service.recommendation.times import in_time
from learning_service.recommendation.verdict import SURE, Tier, decide, front_of

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
    effects: tuple[AxisEffect, ...] | UnsetType = UNSET
    interactions: tuple[Interaction, ...] | UnsetType = UNSET
    pareto: tuple[TradeOff, ...] | UnsetType = UNSET
    blocks: tuple[BlockAnswer, ...] | UnsetType = UNSET
    equals: tuple[VariantValue, ...] | UnsetType = UNSET
    more: int | UnsetType = UNSET


class _Evidence(Struct, frozen=True, kw_only=True, gc=False):
    """What the observations tell of all values of the plan, in its order."""

    counts: Array
    means: Array  # plain ones; nan where there are no observations
    belief: Belief | None  # nil if fewer than two values were tried
    layout: Layout
    total: int
    crossing: Crossing | None = None  # of scores of several blocks


def recommend(
    observations: Sequence[Score] | Sequence[Preference],
    candidates: Sequence[Candidate],
    objective: Objective,
    variable: str,
    blocks: Sequence[str] = (),
    times: Sequence[Score] = (),
) -> Recommendation:
    """Return which value of a variable is best, how sure that is, and how many more observations would decide.

    `blocks` are the names of the blocks of the experiment, such as its prompts: repeat `r` is one of block `r % n`.
    `times` are the seconds of jobs, if the objective limits them.
    The result depends only on the arguments, and not on the order of observations or candidates.

    Raises:
        InvalidInputError: an observation is none of this objective, or of no candidate.
    """
    everything = sorted(candidates, key=lambda candidate: candidate.index)
    plan = _hopeful(observations, everything)
    if objective.kind == "preference":
        evidence = _compared(cast("Sequence[Preference]", observations), plan, len(blocks))
    else:
        evidence = _scored(cast("Sequence[Score]", observations), plan, objective, len(blocks))
    belief, values = evidence.belief, [candidate.value for candidate in plan]
    if belief is None:
        tested = [value for value, count in zip(values, evidence.counts, strict=True) if count]
        return Recommendation(
            value=None,
            p_best=None,
            sentence=no_verdict(variable, tested, objective),
            tier="none",
            objective=objective.text,
            estimates=_estimates(everything, plan, evidence, objective, None),
        )
    seconds = np.array([np.nan if one.seconds is None else one.seconds for one in plan])
    paired = objective.kind == "preference"
    margin = margin_of(objective, belief)
    if objective.within is not None:
        places = {candidate.index: place for place, candidate in enumerate(plan)}
        belief = in_time(belief, evidence.layout, places, times, objective.within)
    verdict = decide(belief, evidence.counts, seconds, margin, paired=paired)
    chosen, under = verdict.chosen, list[Apart]()
    if evidence.crossing and chosen is not None:
        if verdict.more is not None:  # a look is one at a block, with all its seeds
            verdict = changed(verdict, more=round(verdict.more * evidence.crossing.seeds))
        under = evidence.crossing.best(chosen, margin, SURE, belief.fitting >= PROBABLY)
    front = _trade_offs(front_of(belief, evidence.counts, seconds, margin), belief, values, seconds, objective)
    told = told_of(belief, evidence.layout, values, margin, lambda scores: as_read(scores, objective))
    matters = effects_text(told.axes) if told and verdict.tier != "few" else ""
    return Recommendation(
        value=None if chosen is None else values[chosen],
        p_best=None if chosen is None else float(verdict.best[chosen]),
        sentence=verdict_text(verdict, variable, values, objective, total=evidence.total)
        + within_text(belief, evidence.counts, objective)
        + matters
        + apart_text([one for one in under if one.probability >= SURE], values, blocks),
        tier=verdict.tier,
        objective=objective.text,
        estimates=_estimates(everything, plan, evidence, objective, verdict.best),
        effects=told.axes if told else UNSET,
        interactions=told.pairs if told else UNSET,
        pareto=front if len(front) > 1 else UNSET,
        blocks=tuple(
            BlockAnswer(name=blocks[one.block], value=values[one.value], probability=one.probability) for one in under
        )
        or UNSET,
        equals=tuple(values[one] for one in sorted(verdict.equals)) if len(verdict.equals) > 1 else UNSET,
        more=UNSET if verdict.more is None else verdict.more,
    )


def _trade_offs(
    front: Sequence[int], belief: Belief, values: Sequence[VariantValue], seconds: Array, objective: Objective
) -> tuple[TradeOff, ...]:
    """Return what the values of the front take, and what they bring."""
    means = as_read(belief.means, objective)
    return tuple(TradeOff(value=values[one], seconds=float(seconds[one]), mean=float(means[one])) for one in front)


def margin_of(objective: Objective, belief: Belief) -> float:
    """Return the difference that is too small to matter, in scores (or worths)."""
    if objective.kind == "preference":
        return PREFERENCE_MARGIN
    if objective.kind == "stars":
        return STARS_MARGIN
    return max(METRIC_MARGIN * belief.noise, METRIC_ROUNDING * belief.unit)


def believe(
    layout: Layout,
    values: NDArray[np.intp],
    repeats: NDArray[np.intp],
    numbers: Array,
    objective: Objective,
    blocks: int,
) -> tuple[Belief, Crossing | None]:
    """Return what at least two scores tell, in which more is better; `values` are places in the layout.

    Of several blocks each is one look, however many seeds it has.
    """
    prior = STARS_NOISE if objective.kind == "stars" else METRIC_NOISE
    if blocks < 2 or len(np.unique(repeats % blocks)) < 2:  # noqa: PLR2004 - one says nothing of others
        return believe_scores(layout, values, repeats, numbers, prior), None
    crossing = cross(values, repeats, numbers, blocks)
    prior = changed(prior, deviation=prior.deviation / crossing.seeds**0.5)
    return believe_scores(layout, *crossing.cells(), prior), crossing


def _scored(scores: Sequence[Score], plan: list[Candidate], objective: Objective, blocks: int) -> _Evidence:
    """Fit scores, in which more is better."""
    places = {candidate.index: place for place, candidate in enumerate(plan)}
    check_scores(scores, places, objective)
    numbers = np.array([one.score for one in scores], np.float64) * (-1 if objective.minimize else 1)
    values = np.array([places[one.variant_index] for one in scores], np.intp)
    seeds = np.array([one.repeat_index for one in scores], np.intp)
    counts = np.bincount(values, minlength=len(plan)).astype(np.float64)
    belief, crossing = None, None
    layout = explained(arrange([candidate.value for candidate in plan]))
    if np.count_nonzero(counts) > 1:
        belief, crossing = believe(layout, values, seeds, numbers, objective, blocks)
    return _Evidence(
        counts=counts,
        means=_plain_means(values, numbers, counts),
        belief=belief,
        layout=layout,
        total=len(scores),
        crossing=crossing,
    )


def _plain_means(values: NDArray[np.intp], numbers: Array, counts: Array) -> Array:
    known = np.where(counts > 0, counts, np.nan)
    return np.asarray(np.bincount(values, numbers / known[values], len(counts)) + 0 * known, np.float64)


def _compared(preferences: Sequence[Preference], plan: list[Candidate], blocks: int) -> _Evidence:
    """Fit preferences."""
    places = {candidate.index: place for place, candidate in enumerate(plan)}
    check_preferences(preferences, places)
    seen = tally(preferences, places, blocks)
    layout = explained(arrange([candidate.value for candidate in plan]))
    return _Evidence(
        counts=seen.looks(len(plan)),
        means=np.full(len(plan), np.nan),
        belief=believe_preferences(layout, seen) if preferences else None,
        layout=layout,
        total=len(preferences),
    )


def _hopeful(observations: Sequence[Score] | Sequence[Preference], plan: list[Candidate]) -> list[Candidate]:
    """Return the candidates that may be the best: not those whose jobs have all failed."""
    judged = judged_variants(observations)
    return [one for one in plan if not one.has_failed or one.index in judged] or plan


def _estimates(
    everything: list[Candidate], plan: list[Candidate], evidence: _Evidence, objective: Objective, best: Array | None
) -> tuple[ValueEstimate, ...]:
    """Return what is known of each value; nothing of those that are not in `plan`, which have failed."""
    mean, low, high = _display(evidence, objective)
    known = {
        candidate.index: ValueEstimate(
            value=candidate.value,
            mean=_known(mean, place),
            low=_known(low, place),
            high=_known(high, place),
            n=int(evidence.counts[place]),
            p_best=_known(best, place),
        )
        for place, candidate in enumerate(plan)
    }
    unknown = ValueEstimate(value=0, mean=None, low=None, high=None, n=0, p_best=None)
    return tuple(known.get(one.index) or replace(unknown, value=one.value) for one in everything)


def _known(numbers: Array | None, place: int) -> float | None:
    return None if numbers is None or np.isnan(numbers[place]) else float(numbers[place])


def _display(evidence: _Evidence, objective: Objective) -> tuple[Array, Array | None, Array | None]:
    """Return mean, low and high of each value, as people read them."""
    if evidence.belief is None:
        return evidence.means * (-1 if objective.minimize else 1), None, None
    mean, low, high = (as_read(numbers, objective) for numbers in (evidence.belief.means, *evidence.belief.interval()))
    return (mean, high, low) if objective.minimize else (mean, low, high)


def as_read(numbers: Array, objective: Objective) -> Array:
    """Return scores, in which more is better, as people read them."""
    if objective.kind == "preference":
        return share_won(numbers)
    if objective.kind == "stars":
        return np.clip(numbers, STARS_MIN, STARS_MAX)
    return -numbers if objective.minimize else numbers
