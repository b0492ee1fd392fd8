"""What a search is worth: how soon its answer is good, beside other ways, and whether it is right when it stops."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from learning_service.recommendation.evidence import Score
from tests.simulation.figures import needed, share, table
from tests.simulation.ours import Ours
from tests.simulation.peers import gaussian_process, has_torch, tpe
from tests.simulation.shapes import KINDS, SEARCHED
from tests.simulation.ways import Chance, Coarse, MakeWay, answer_to, chosen_by
from tests.simulation.worlds import Layout, World, make_world

COUNTS: Final[dict[Layout, tuple[int, ...]]] = {
    "25": (10, 20, 30, 40, 50),
    "25 uneven": (10, 20, 30, 40, 50),
    "8 x 8": (16, 32, 48, 64, 96, 128),
    "4 x 4 x 4": (16, 32, 48, 64, 96, 128),
    "3 x 3 x 3 x 3": (16, 32, 48, 64, 96, 128),
}
GRID: Final = "grid"
OURS: Final = "ours"
WAYS: Final[dict[str, MakeWay]] = {
    GRID: Coarse,
    "random": Chance,
    "Optuna TPE": tpe,
    "Optuna GPSampler": gaussian_process,
    OURS: Ours,
}
ALL: Final = "all kinds"
FOUR: Final = "peaks, slope, plateau"
GOOD_ENOUGH: Final = 0.9


class Task(NamedTuple):
    """One way in one world."""

    way: str
    kind: str
    layout: Layout
    wild: bool
    run: int
    seed: int


class Race(NamedTuple):
    """How it went."""

    task: Task
    good: tuple[bool, ...]  # was the answer a good one, after each count of jobs?
    state: str  # in which a search has ended by itself, or ""
    jobs: int
    right: bool  # was the last answer a good one?


def tasks_of(
    layouts: Sequence[Layout], ways: Sequence[str], runs: int, seed: int, kinds: Sequence[str] = (), *, wild: bool
) -> list[Task]:
    """Return what there is to do, of some kinds of worlds or of all."""
    return [
        Task(way, kind, layout, wild, run, seed)
        for layout in layouts
        for run in range(runs)
        for kind in KINDS
        if kind in (kinds or KINDS)
        for way in ways
        if way != "Optuna GPSampler" or has_torch()
    ]


def race(task: Task) -> Race:
    """Let one way search one world; the world is the same for all ways."""
    number = zlib.crc32(f"{task.kind} {task.layout} {task.wild}".encode())
    world = make_world(
        np.random.default_rng([task.seed, task.run, number]), task.kind, task.layout, "metric", wild=task.wild
    )
    counts = COUNTS[task.layout]
    if task.way == GRID:  # how many values it has depends on how many jobs there are
        good = tuple(_run(world, task, (count,)).good[0] for count in counts)
        return Race(task, good, "", counts[-1], good[-1])
    return _run(world, task, counts)


def _run(world: World, task: Task, counts: tuple[int, ...]) -> Race:
    way = WAYS[task.way](world, counts[-1])
    scores: list[Score] = []
    good: list[bool] = []
    right = False
    while len(good) < len(counts):
        job = way.ask()
        if job is not None:
            scores.append(world.score(*job))
            way.tell(scores[-1])
        if job is None or len(scores) == counts[len(good)]:
            right = world.is_good(chosen_by(world, answer_to(world, scores)))
            good += [right] * (len(counts) - len(good) if job is None else 1)
    if not way.stopped:
        way.ask()  # the end is decided when the next job is asked for
    return Race(task, tuple(good), way.stopped, len(scores), right)


def report(races: Iterable[Race]) -> str:
    """Return the tables of one layout."""
    by: dict[tuple[str, str], list[Race]] = defaultdict(list)
    ways: dict[str, None] = {}
    for one in races:
        ways[one.task.way] = None
        by[one.task.way, one.task.kind].append(one)
        by[one.task.way, ALL].append(one)
        if one.task.kind in SEARCHED:
            by[one.task.way, FOUR].append(one)
    first = next(iter(by.values()))[0]
    counts = COUNTS[first.task.layout]
    raced = [kind for kind in KINDS if by[first.task.way, kind]]
    name = f"{first.task.layout} values{', 10 % wild scores' if first.task.wild else ''}"
    curves = []
    for group in (FOUR, ALL):
        for way in ways if by[first.task.way, group] else ():
            found = by[way, group]
            shares = [float(np.mean([one.good[at] for one in found])) for at in range(len(counts))]
            to = needed(counts, shares, GOOD_ENOUGH)
            curves.append(
                [group, len(found), way, *(f"{one:.2f}" for one in shares), "-" if np.isnan(to) else round(to)]
            )
    heads = ["worlds", "number", "way", *(f"{count} jobs" for count in counts), f"jobs to {GOOD_ENOUGH:.0%}"]
    ends = [_end(kind, by[OURS, kind]) for kind in (*raced, ALL) if OURS in ways]
    heads_of_ends = ("world", "decided", "of these right", "other ends", "right", "jobs", "jobs where decided")
    kinds = [
        [kind, *(share([one.good[at] for one in by[way, kind]]) for way in ways for at in (1, 2))] for kind in raced
    ]
    heads_of_kinds = ["world", *(f"{way}, {counts[at]}" for way in ways for at in (1, 2))]
    return "\n".join(
        (
            table(f"Share of good answers, {name}", heads, curves),
            table(f"The same by kind of world, {name}", heads_of_kinds, kinds),
            table(f"How our search ends, {name}", heads_of_ends, ends),
        )
    )


def _end(kind: str, races: Sequence[Race]) -> list[object]:
    decided = [one for one in races if one.state == "decided"]
    return [
        kind,
        share([one.state == "decided" for one in races]),
        share([one.right for one in decided]),
        ", ".join(sorted({one.state or "out of jobs" for one in races if one.state != "decided"})) or "-",
        share([one.right for one in races]),
        round(float(np.mean([one.jobs for one in races]))),
        round(float(np.mean([one.jobs for one in decided]))) if decided else "-",
    ]
