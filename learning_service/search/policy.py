"""The next round of an adaptive experiment, once all planned jobs have ended. No socket, no file, no clock.

The best tried value is accepted as the best of all when the recommendation is sure of it and every value next to
it was tried too: of numbers the one above and below, of all else every other one. Until then new values are tried: two
that halve the gaps beside the best, and one that the sampler proposes. Where nothing beside the best is left, those
that may be best get one more seed each, so that they can be told apart.
"""

import zlib
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Final, Protocol

from msgspec import Struct

from bus.contracts.messages import ExperimentDefinition, RecommendationUpdated, ValueEstimate, VariantValue
from bus.contracts.pipeline_specs import SEED
from bus.contracts.values import brief, written
from learning_service.experiments.model import SearchState
from learning_service.experiments.space import Point, Space

VALUES_AT_ONCE: Final = 3  # new ones in a round
CONTENDERS: Final = 4  # that get another seed in a round
RIVALS: Final = 2  # at least; one alone cannot be compared
POSSIBLE: Final = 0.05  # that a value is the best: one that is less likely gets no more seeds
MOST_SEEDS: Final = 256
NOTHING_TO_GO_BY: Final = "nothing to go by"  # begins the reason of an end


class More(Struct, frozen=True, kw_only=True, gc=False):
    """The next round: these values, up to so many seeds each in total."""

    values: tuple[VariantValue, ...]
    seeds: int
    reason: str


class Situation(Struct, frozen=True, kw_only=True, gc=False):
    """The input of a decision; every planned job has ended."""

    experiment_id: str
    definition: ExperimentDefinition
    space: Space
    tried: Mapping[Point, int]  # seeds that were planned of each point, however they ended
    spent: int  # jobs that were ever planned
    answer: RecommendationUpdated | None


class Propose(Protocol):
    """The type of the sampler; it needs Optuna, so it is imported only when it is used (see `planning.sampler`)."""

    def __call__(
        self, space: Space, scores: Mapping[Point, float], tried: Collection[Point], count: int, *, seed: int
    ) -> list[Point]:
        """Return up to `count` points that were not tried."""


def decide(situation: Situation, propose: Propose) -> More | SearchState:
    """Return the next round, or why the search has ended."""
    definition, space, answer = situation.definition, situation.space, situation.answer
    find = space.finder()
    estimates = {
        point: one
        for one in (answer.estimates if answer else ())
        if one.n and one.mean is not None and (point := find(one.value)) is not None
    }
    if answer is None or not estimates:
        problem = (answer.problem if answer else None) or f"no job has a score: {definition.objective}"
        return SearchState("stopped", f"{NOTHING_TO_GO_BY}: {problem}")
    sign = -1 if answer.objective.startswith("minimize") else 1
    scores = {point: sign * one.mean for point, one in estimates.items() if one.mean is not None}
    chosen = None if answer.value is None else find(answer.value)
    best = chosen or max(scores, key=lambda point: (scores[point], point))
    open_ = [point for point in space.neighbours(best) if point not in situation.tried]
    if not open_ and _is_sure(answer, definition.stop_p_best):
        how = "none is likely to be noticeably better than" if answer.tier == "strong" else "most likely the best is"
        text = f"{how} {value_text(definition, space.value(best))}, and all values next to it were tried"
        return SearchState("decided", text)
    left = (definition.budget or 0) - situation.spent
    if left <= 0:
        return SearchState("exhausted", f"all {definition.budget} jobs of the budget are spent")
    room = min(VALUES_AT_ONCE, left // definition.repeats)
    if not open_ or not room:
        rivals = contenders(estimates, situation.tried, left) if _can_repeat(definition) else []
        if rivals:
            seeds = min(situation.tried[point] for point in rivals) + 1
            return _more(situation, rivals, seeds, "one more seed for")
    new = _new_points(situation, best, scores, room, propose)
    if not new:
        return SearchState("exhausted", "there is nothing left to try")
    return _more(situation, new, definition.repeats, "tries")


def waits_for(
    definition: ExperimentDefinition, pictures: Collection[tuple[str, int]], rated: Collection[str], comparisons: int
) -> str:
    """Return which judgements of people are still missing before the next decision, "" if none.

    Each picture has to be rated, or there have to be as many comparisons as pictures. `pictures` are pairs of a
    content hash and a variant index; `rated` are content hashes.
    """
    variants = set(pictures)
    if definition.objective == "stars":
        left = len({sha256 for sha256, _ in variants}.difference(rated))
        return f"waits for ratings of {_count(left, 'picture')}" if left else ""
    if definition.objective == "preference" and len({index for _, index in variants}) >= RIVALS:
        left = len(variants) - comparisons
        return f"waits for {_count(left, 'comparison')}" if left > 0 else ""
    return ""


def contenders(estimates: Mapping[Point, ValueEstimate], tried: Mapping[Point, int], most: int) -> list[Point]:
    """Return the likeliest values that may be best, at least two where there are, and at most so many."""
    order = sorted(
        (point for point in estimates if tried.get(point, MOST_SEEDS) < MOST_SEEDS),
        key=lambda point: (-(estimates[point].p_best or 0.0), point),
    )
    likely = [point for point in order if (estimates[point].p_best or 0.0) >= POSSIBLE]
    return max(likely[:CONTENDERS], order[:RIVALS], key=len)[:most]


def _new_points(
    situation: Situation, best: Point, scores: Mapping[Point, float], room: int, propose: Propose
) -> list[Point]:
    """Return values that were not tried: some halve the gaps beside the best, the last comes from the sampler."""
    if not room:
        return []
    space, tried = situation.space, situation.tried
    halves = space.halves(best, tried)[: max(1, room - 1)]
    known = dict.fromkeys([*tried, *halves], 0)
    seed = zlib.crc32(f"{situation.experiment_id} {len(tried)}".encode())
    sampled = propose(space, scores, known, room - len(halves), seed=seed) if room > len(halves) else []
    if halves or sampled:
        return [*halves, *sampled]
    rest = (point for point in space.points() if point not in tried)
    return list(islice(sorted(rest, key=lambda point: (space.distance(best, point), point)), room))


def _more(situation: Situation, points: Iterable[Point], seeds: int, what: str) -> More:
    values = tuple(situation.space.value(point) for point in points)
    if any(isinstance(value, dict) for value in values):
        listed = "; ".join(value_text(situation.definition, value) for value in values)
    else:
        listed = f"{situation.definition.variable_name} {', '.join(map(str, values))}"
    return More(values=values, seeds=seeds, reason=f"{what} {listed}")


def value_text(definition: ExperimentDefinition, value: VariantValue) -> str:
    """Return a value as text, with the name of each variable."""
    parts = value if isinstance(value, dict) else {definition.variable_name: value}
    return ", ".join(f"{name} {brief(written(part))}" for name, part in parts.items())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _is_sure(answer: RecommendationUpdated, stop_p_best: float) -> bool:
    return answer.tier == "strong" or (answer.p_best is not None and answer.p_best >= stop_p_best)


def _can_repeat(definition: ExperimentDefinition) -> bool:
    """Return whether a value may have another seed: not where the seed itself is the variable."""
    return all(knob.name != SEED for knob in definition.knobs)
