"""What the next step of a search depends on, and what a step is. Plain data; the statistics are not needed for it."""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Final

from msgspec import Struct

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import VariantValue
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.skips import Point
from learning_service.experiments.space import Space
from learning_service.recommendation.evidence import Objective, Score

# Pictures that may wait for a person at once. Whoever rates always finds one, also while the next one is made; and with
# more, pictures are made that the ratings of those before would have saved.
AHEAD: Final = 4
NOTHING_TO_GO_BY: Final = "nothing to go by"  # begins the reason of an end


class More(Struct, frozen=True, kw_only=True, gc=False):
    """The next jobs: values, each with its repeat index."""

    jobs: tuple[tuple[VariantValue, int], ...]
    reason: str


class Situation(Struct, frozen=True, kw_only=True, gc=False):
    """The input of a decision: it depends on nothing else."""

    experiment_id: str
    definition: ExperimentDefinition
    space: Space
    objective: Objective
    points: Mapping[int, Point]  # by variant index
    planned: Mapping[Point, frozenset[int]]  # repeat indices that were ever planned of each point, however they ended
    hopeless: Collection[Point] = ()  # whose jobs have all ended, none with anything to judge
    seen: Sequence[Score] | Sequence[Preference] = ()
    times: Sequence[Score] = ()  # of jobs, in seconds, if the objective limits them
    waits: str = ""  # what people are to do before the next picture is made, "" if it can be made
    pending: int = 0  # jobs that run or wait, and pictures that wait for a person
    stranded: int = 0  # of these, jobs of runners that do not answer
    room: int = 1  # for so many more jobs at once
    spent: int = 0  # jobs that were ever planned
    problem: str = ""  # why there is nothing to go by, if that is known


def room_for(objective: Objective, workers: int, in_flight: int, unjudged: int, stranded: int = 0) -> int:
    """Return how many more jobs are planned now: no more than can run, nor pictures than a person can rate soon.

    `workers` are those of runners that answer; what is `stranded` at others keeps none of them busy. There is always
    one job on its way, also while no runner answers: so that it goes on when one comes back.
    """
    in_flight -= stranded if workers else 0
    room = max(1, workers) - in_flight
    return max(0, room if objective.kind == "metric" else min(room, AHEAD - in_flight - unjudged))


def unjudged_pictures(
    objective: Objective, pictures: Collection[Picture], rated: Collection[str], comparisons: int
) -> int:
    """Return how many jobs wait for a person: one picture of each is rated, or there are as many comparisons as jobs.

    `rated` are content hashes. Jobs that made the same count once, if they are to be compared once for each value.
    There is nothing to compare where the values make no difference.
    """
    made: dict[tuple[int, int], set[str]] = {}
    for one in pictures:
        made.setdefault((one.variant_index, one.repeat_index), set()).add(one.sha256)
    if objective.kind == "stars":
        return len({frozenset(hashes) for hashes in made.values() if hashes.isdisjoint(rated)})
    if objective.kind == "preference" and can_be_compared(pictures):
        return max(0, len({(variant, frozenset(hashes)) for (variant, _), hashes in made.items()}) - comparisons)
    return 0


def can_be_compared(pictures: Collection[Picture]) -> bool:
    """Return whether some two values have pictures that differ: under one seed, or if they have none in common.

    So it is where `pairs.next_pair` finds a pair.
    """
    of_seed: dict[int, dict[int, set[str]]] = {}
    seeds: dict[int, set[int]] = {}
    for one in pictures:
        of_seed.setdefault(one.repeat_index, {}).setdefault(one.variant_index, set()).add(one.sha256)
        seeds.setdefault(one.variant_index, set()).add(one.repeat_index)
    for made in of_seed.values():
        if len(made) > 1 and len(set().union(*made.values())) > 1:
            return True
    alike = {frozenset(some): variant for variant, some in seeds.items()}  # one of those that have the same seeds
    hashes = {some: set().union(*(of_seed[seed][variant] for seed in some)) for some, variant in alike.items()}
    return any(not one & other and len(hashes[one] | hashes[other]) > 1 for one, other in combinations(hashes, 2))


def nothing_to_compare(objective: Objective, pictures: Collection[Picture]) -> str:
    """Return why nobody can be asked to compare, "" if somebody can."""
    is_stuck = objective.kind == "preference" and not can_be_compared(pictures)
    return "no two values have pictures that differ" if is_stuck else ""


def waits_text(objective: Objective, unjudged: int) -> str:
    """Return what people are asked for, "" if nothing."""
    if not unjudged:
        return ""
    if objective.kind == "stars":
        return f"waits for ratings of {unjudged} picture{'' if unjudged == 1 else 's'}"
    return f"waits for {unjudged} comparison{'' if unjudged == 1 else 's'}"
