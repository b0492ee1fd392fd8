"""The next jobs of an adaptive experiment, or its end, from all that is known now. No socket, no file, no clock.

The first round is planned with the experiment. After that one job at a time is chosen, whenever there is room for one:
a value by top-two Thompson sampling over all values, tried or not (`recommendation.choice`), and the seed that compares
it best with its rival. It ends when the value that leads is the best, or hardly worse, with the probability that the
experiment asks for; what was never tried counts as what may be better.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import SEED_MAX, VariantValue
from bus.contracts.pipeline_specs import SEED
from bus.contracts.values import brief, written
from learning_service.experiments.judgements import Preference
from learning_service.experiments.model import SearchState
from learning_service.recommendation.belief import Belief
from learning_service.recommendation.choice import pairing, top_two
from learning_service.recommendation.evidence import Score
from learning_service.recommendation.layout import Layout, arrange
from learning_service.recommendation.preferences import believe_preferences, tally
from learning_service.recommendation.recommend import believe, margin_of
from learning_service.recommendation.sentence import percent
from learning_service.recommendation.times import in_time
from learning_service.recommendation.verdict import certainty
from learning_service.search.situation import NOTHING_TO_GO_BY, More, Situation

MOST_REPEATS: Final = 256  # of a value
ENOUGH: Final = 2  # looks at a value, below which none is trusted, and values, below which there is nothing to compare
NAMED: Final = 3  # values in a reason


def decide(now: Situation) -> More | SearchState | None:
    """Return the next jobs, or why the search waits or has ended; None if it goes on when what is under way has ended.

    The same situation gives the same jobs.
    """
    definition = now.definition
    if not now.seen and not now.pending:
        problem = now.problem or f"no job has a score: {definition.objective}"
        return SearchState("stopped", f"{NOTHING_TO_GO_BY}: {problem}")
    choice = _Choice(now)
    if choice.belief and (end := choice.end(choice.belief)):
        return end
    left = (definition.budget or 0) - now.spent
    if left > 0 and choice.open:
        is_ready = now.room and (choice.belief or now.pending == now.stranded)
        return choice.more(min(now.room, left), left) if is_ready else _waiting(now)
    if now.pending:
        return _waiting(now)
    reason = "there is nothing left to try" if left > 0 else f"all {definition.budget} jobs of the budget are spent"
    return SearchState("exhausted", reason)


class _Choice:
    """What there is to choose from, and what is believed of it; nil where too little is known to believe anything."""

    def __init__(self, now: Situation) -> None:
        self._now = now
        self.points = [point for point in now.space.considered(now.planned) if point not in now.hopeless]
        self.places = {point: place for place, point in enumerate(self.points)}
        self.most = most_repeats(now.definition)
        self.repeats = {place: set(now.planned.get(point, ())) for place, point in enumerate(self.points)}
        self.open = {place for place, of in self.repeats.items() if len(of) < self.most}
        self.counts = np.zeros(len(self.points))
        self.belief = self._in_time(self._believe())

    def end(self, belief: Belief) -> SearchState | None:
        """Return why the search has ended, None if it has not."""
        now = self._now
        leader = belief.leader(np.flatnonzero(self.counts).tolist())
        if self.counts[leader] < min(ENOUGH, self.most):
            return None
        untried, margin = np.flatnonzero(self.counts == 0), margin_of(now.objective, belief)
        found = certainty(belief, leader, untried, margin, now.definition.stop_p_best)
        if found is None:
            return None
        told, sure = value_text(now.definition, now.space.value(self.points[leader])), percent(found.probability)
        if found.is_best:
            return SearchState("decided", f"{told} is the best with a probability of {sure}")
        return SearchState("decided", f"with a probability of {sure} none is noticeably better than {told}")

    def more(self, count: int, left: int) -> More:
        """Return the next jobs, at most so many; the last ones of what is left look again at what leads after one look.

        For of such a value too little is known to recommend it.
        """
        now = self._now
        random = np.random.default_rng([zlib.crc32(now.experiment_id.encode()), now.spent])
        jobs: list[tuple[int, int]] = []
        while len(jobs) < count and self.open:
            look, rival = top_two(self.belief, self.open, random) if self.belief else (self._farthest(), 0)
            if left - len(jobs) <= ENOUGH and (leader := self._leader_of_one_look()) is not None:
                look = leader
            known: frozenset[int] | set[int] = set().union(*self.repeats.values())
            free = (repeat for repeat in range(self.most) if repeat not in self.repeats[look])
            repeat = min(free, key=lambda one: pairing(one, self.repeats[rival], known))
            self.repeats[look].add(repeat)
            if len(self.repeats[look]) >= self.most:
                self.open.discard(look)
            jobs.append((look, repeat))
        return More(
            jobs=tuple((now.space.value(self.points[look]), repeat) for look, repeat in jobs),
            reason=self._reason([look for look, _ in jobs]),
        )

    def _leader_of_one_look(self) -> int | None:
        """Return the value that leads, if it was looked at once and no second look is under way."""
        if self.belief is None:
            return None
        leader = self.belief.leader(np.flatnonzero(self.counts).tolist())
        return leader if leader in self.open and len(self.repeats[leader]) < ENOUGH else None

    def _reason(self, looks: Sequence[int]) -> str:
        """Return what is tried, and which two values are the likeliest to be best."""
        text = f"tries {self._names(list(dict.fromkeys(looks))[:NAMED], ', ')}"
        if self.belief is None or len(self.points) < ENOUGH:
            return text
        chances = self.belief.p_best
        likeliest = sorted(range(len(chances)), key=lambda one: (-chances[one], one))[:2]
        return f"{text}: {self._names(likeliest, ' or ')} may be best"

    def _names(self, places: Sequence[int], between: str) -> str:
        """Return some values with the name of their variable, or of both."""
        definition = self._now.definition
        values = [self._now.space.value(self.points[place]) for place in places]
        scalars = [brief(written(one)) for one in values if not isinstance(one, dict)]
        if scalars:
            return f"{definition.variable_name} {between.join(scalars)}"
        return between.join(f"({value_text(definition, one)})" for one in values)

    def _farthest(self) -> int:
        """Return an open value that is as far as can be from all that were tried."""
        space = self._now.space
        tried = [self.points[place] for place, of in self.repeats.items() if of]

        def key(place: int) -> tuple[int, float, int]:
            point = self.points[place]
            return -len(self.repeats[place]), min((space.distance(point, one) for one in tried), default=0.0), -place

        return max(self.open, key=key)

    def _in_time(self, belief: Belief | None) -> Belief | None:
        """Let only those values count that are fast enough, if the experiment limits the time."""
        now = self._now
        if belief is None or now.objective.within is None:
            return belief
        of_variant = {index: self.places[point] for index, point in now.points.items() if point in self.places}
        return in_time(belief, self._layout(), of_variant, now.times, now.objective.within)

    def _believe(self) -> Belief | None:
        """Fit what was seen; note how often each value was looked at."""
        now = self._now
        of_variant = {index: self.places[point] for index, point in now.points.items() if point in self.places}
        if now.objective.kind == "preference":
            return self._believe_preferences(cast("Sequence[Preference]", now.seen), of_variant)
        scores = [one for one in cast("Sequence[Score]", now.seen) if one.variant_index in of_variant]
        values = np.array([of_variant[one.variant_index] for one in scores], np.intp)
        self.counts += np.bincount(values, minlength=len(self.points))
        if len(scores) < ENOUGH:
            return None
        numbers = np.array([one.score for one in scores]) * (-1 if now.objective.minimize else 1)
        seeds = np.array([one.repeat_index for one in scores], np.intp)
        return believe(self._layout(), values, seeds, numbers, now.objective, len(now.definition.blocks))[0]

    def _believe_preferences(self, seen: Sequence[Preference], of_variant: Mapping[int, int]) -> Belief | None:
        told = tally(seen, of_variant, len(self._now.definition.blocks))
        self.counts += told.looks(len(self.points))
        return believe_preferences(self._layout(), told) if len(told.values) else None

    def _layout(self) -> Layout:
        return arrange([self._now.space.value(point) for point in self.points])


def _waiting(now: Situation) -> SearchState | None:
    return SearchState("searching", now.waits) if now.waits else None


def most_repeats(definition: ExperimentDefinition) -> int:
    """Return how many jobs a value may have: one under each block, if the seed itself is the variable."""
    blocks = max(1, len(definition.blocks))
    if any(knob.name == SEED for knob in definition.knobs):
        return blocks
    return min(MOST_REPEATS, (SEED_MAX - definition.seed + 1) * blocks)


def value_text(definition: ExperimentDefinition, value: VariantValue) -> str:
    """Return a value as text, with the name of each variable."""
    parts = value if isinstance(value, dict) else {definition.variable_name: value}
    return ", ".join(f"{name} {brief(written(part))}" for name, part in parts.items())
