"""What the choice of the next question to a person is worth: ratings and comparisons until the answer is good."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from learning_service.experiments.judgements import Preference
from learning_service.recommendation.evidence import Score
from learning_service.recommendation.next_picture import next_picture
from learning_service.recommendation.pairs import next_pair
from tests.simulation.answering import by_chance, recommended, shuffled
from tests.simulation.figures import needed, share, table
from tests.simulation.shapes import KINDS, Random
from tests.simulation.ways import chosen_by
from tests.simulation.worlds import RATED_SEEDS, Scale, World, make_world

COUNTS: Final[dict[Scale, tuple[int, ...]]] = {"stars": (8, 16, 24, 36, 48, 72, 96), "preference": (8, 16, 24, 36, 48)}
CHANCE: Final = "by chance"
OURS: Final = "chosen"
WAYS: Final[dict[Scale, tuple[str, ...]]] = {"stars": (CHANCE, OURS), "preference": (CHANCE, OURS)}
THREE: Final = ("one peak", "plateau", "two peaks")
GOOD_ENOUGH: Final = 0.8


class Task(NamedTuple):
    """One person, who is asked in one way."""

    scale: Scale
    way: str
    kind: str
    wild: bool
    run: int
    seed: int


class Talk(NamedTuple):
    """How it went: was the answer a good one after each count of questions?"""

    task: Task
    good: tuple[bool, ...]


def tasks_of(scales: Sequence[Scale], runs: int, seed: int, kinds: Sequence[str] = (), *, wild: bool) -> list[Task]:
    """Return what there is to do, of some kinds of worlds or of all."""
    return [
        Task(scale, way, kind, wild, run, seed)
        for scale in scales
        for run in range(runs)
        for kind in KINDS
        if kind in (kinds or KINDS)
        for way in WAYS[scale]
    ]


def talk(task: Task) -> Talk:
    """Ask a person; the world is the same for both ways."""
    number = zlib.crc32(f"{task.kind} {task.scale} {task.wild}".encode())
    random = np.random.default_rng([task.seed, task.run, number])
    world = make_world(random, task.kind, "8", task.scale, wild=task.wild)
    if task.scale == "preference":
        seen = _compare(world, random, task)
        good = [world.is_good(chosen_by(world, recommended(world, seen[:count]))) for count in COUNTS[task.scale]]
    else:
        scores = shuffled(world, random, RATED_SEEDS) if task.way == CHANCE else _rate(world, task)
        good = [world.is_good(chosen_by(world, recommended(world, scores[:count]))) for count in COUNTS[task.scale]]
    return Talk(task, tuple(good))


def _rate(world: World, task: Task) -> list[Score]:
    stars: dict[str, int] = {}
    scores: list[Score] = []
    pictures = world.pictures()
    values = {one.index: one.value for one in world.candidates}
    for _ in range(COUNTS[task.scale][-1]):
        picture = next_picture(values, pictures, stars, task.seed).picture
        assert picture
        scores.append(world.score(picture.variant_index, picture.repeat_index))
        stars[picture.sha256] = int(scores[-1].score)
    return scores


def _compare(world: World, random: Random, task: Task) -> list[Preference]:
    seen: list[Preference] = []
    pictures, values = world.pictures(), {one.index: one.value for one in world.candidates}
    for _ in range(COUNTS[task.scale][-1]):
        if task.way == CHANCE:
            seen.append(by_chance(world, random))
            continue
        pair = next_pair(values, pictures, seen, task.seed)
        assert pair
        seen.append(world.prefer(pair.left, pair.right))
    return seen


def report(talks: Iterable[Talk]) -> str:
    """Return the table of one scale."""
    by: dict[tuple[str, str], list[Talk]] = defaultdict(list)
    for one in talks:
        groups = (one.task.kind, "all kinds", *(["peaks, plateau"] if one.task.kind in THREE else []))
        for group in groups:
            by[group, one.task.way].append(one)
    task = next(iter(by.values()))[0].task
    counts = COUNTS[task.scale]
    rows = []
    for group in [one for one in ("peaks, plateau", "all kinds", *KINDS) if by[one, CHANCE]]:
        for way in WAYS[task.scale]:
            found = by[group, way]
            columns = [[one.good[at] for one in found] for at in range(len(counts))]
            to = needed(counts, [float(np.mean(one)) for one in columns], GOOD_ENOUGH)
            rows.append([group, len(found), way, *map(share, columns), "-" if np.isnan(to) else round(to)])
    heads = ["worlds", "number", "question", *counts, f"to {GOOD_ENOUGH:.0%}"]
    return table(f"Good answers by questions, {task.scale}{', 10 % wild' if task.wild else ''}", heads, rows)
