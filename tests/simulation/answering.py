"""What an answer is worth: are its probabilities and intervals true, whichever observations it is made of?"""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np

from learning_service.experiments.judgements import Preference
from learning_service.recommendation.evidence import POSSIBLE, Score
from learning_service.recommendation.observations import objective_of
from learning_service.recommendation.recommend import Recommendation, recommend
from tests.simulation.figures import Calibration, share, table
from tests.simulation.shapes import EVERY_KIND, KINDS, Random
from tests.simulation.ways import chosen_by
from tests.simulation.worlds import RATED_SEEDS, Layout, Scale, World, make_world

COUNTS: Final[dict[Scale, tuple[int, ...]]] = {
    "metric": (12, 25, 50, 75, 100),
    "stars": (6, 12, 18, 24, 36, 48, 72, 96),
    "preference": (8, 16, 24, 36, 48),
}
LAYOUTS: Final[dict[Scale, tuple[Layout, ...]]] = {
    "metric": ("25", "25 uneven"),
    "stars": ("8",),
    "preference": ("8",),
}
METRIC_SEEDS: Final = 4
LOOKED_AHEAD: Final = (24, 36)  # ratings after which it is tried what so many more as are said would decide
Key = TypeVar("Key")
MORE: Final = re.compile(r"about (\d+) more")


class Task(NamedTuple):
    """One experiment, whose observations come in random order."""

    scale: Scale
    kind: str
    layout: Layout
    wild: bool
    run: int
    seed: int


class Moment(NamedTuple):
    """An answer beside the truth. Of each value: what was stated, and what is true."""

    task: Task
    seen: int  # observations
    best: tuple[tuple[float, float], ...]
    chosen: tuple[float, float] | None  # "x % that it is best" of the recommended value, and whether it is
    single: bool  # is one value best, and no other equally good?
    inside: tuple[bool, ...]  # is the true mean of a value within its interval?
    tier: str
    good: bool  # is the value that leads a good one?
    enough: bool | None  # did so many more observations as were said decide? nil where nothing was said


def tasks_of(scales: Sequence[Scale], runs: int, seed: int, kinds: Sequence[str] = (), *, wild: bool) -> list[Task]:
    """Return what there is to do, of some kinds of worlds or of all."""
    return [
        Task(scale, kind, layout, wild, run, seed)
        for scale in scales
        for layout in LAYOUTS[scale]
        for run in range(runs)
        for kind in EVERY_KIND
        if kind in (kinds or EVERY_KIND)
    ]


def answer(task: Task) -> list[Moment]:
    """Let observations come in, and look at the answer on the way."""
    number = zlib.crc32(f"{task.kind} {task.scale} {task.layout} {task.wild}".encode())
    random = np.random.default_rng([task.seed, task.run, number])
    world = make_world(random, task.kind, task.layout, task.scale, wild=task.wild)
    counts = COUNTS[task.scale]
    if task.scale == "preference":
        pairs = [by_chance(world, random) for _ in range(counts[-1])]
        return [_moment(task, world, pairs[:count], count) for count in counts]
    scores = shuffled(world, random, METRIC_SEEDS if task.scale == "metric" else RATED_SEEDS)
    return [_moment(task, world, scores[:count], count) for count in counts]


def shuffled(world: World, random: Random, seeds: int) -> list[Score]:
    """Return the scores of all values under the first seeds, in random order."""
    order = random.permutation(world.size * seeds)
    return [world.score(int(place) // seeds, int(place) % seeds) for place in order]


def by_chance(world: World, random: Random) -> Preference:
    """Compare two values under one seed, all drawn."""
    one, other = random.choice(world.size, 2, replace=False)
    seed = int(random.integers(RATED_SEEDS))
    pictures = world.pictures()
    return world.prefer(pictures[int(one) * RATED_SEEDS + seed], pictures[int(other) * RATED_SEEDS + seed])


def recommended(world: World, seen: Sequence[Score] | Sequence[Preference]) -> Recommendation:
    """Return our recommendation; all values are planned."""
    return recommend(seen, world.candidates, objective_of(world.definition), "x")


def _moment(task: Task, world: World, seen: Sequence[Score] | Sequence[Preference], count: int) -> Moment:
    """Compare an answer with the truth."""
    found = recommended(world, seen)
    rated = [one for one in seen if isinstance(one, Score)]
    tested = [place for place, one in enumerate(found.estimates) if one.p_best is not None]
    true = world.is_best(tested) if tested else np.zeros(0)
    chosen = None if found.value is None else chosen_by(world, found)
    return Moment(
        task=task,
        seen=count,
        best=tuple((found.estimates[at].p_best or 0.0, float(one)) for at, one in zip(tested, true, strict=True)),
        chosen=(found.p_best or 0.0, float(true[tested.index(chosen)])) if chosen in tested else None,
        single=bool(true.max(initial=0) == 1),
        inside=tuple(_inside(world, found, rated)),
        tier=found.tier,
        good=world.is_good(chosen_by(world, found)),
        enough=_look_ahead(world, found, rated) if task.scale == "stars" and count in LOOKED_AHEAD else None,
    )


def _inside(world: World, found: Recommendation, seen: Sequence[Score]) -> Iterable[bool]:
    """Yield for each value whether its interval holds the mean that it would get under the seeds that were seen."""
    seeds = sorted({one.repeat_index for one in seen})
    for place, one in enumerate(found.estimates):
        if seeds and one.low is not None and one.high is not None:
            yield bool(one.low <= world.levels[place, seeds].mean() <= one.high)


def _look_ahead(world: World, found: Recommendation, scores: Sequence[Score]) -> bool | None:
    """Rate as many more pictures of what contends as is said would decide; return whether it is decided."""
    said = MORE.search(found.sentence)
    contending = [at for at, one in enumerate(found.estimates) if (one.p_best or 0.0) >= POSSIBLE]
    seen = {(one.variant_index, one.repeat_index) for one in scores}
    # seed by seed, so that the contenders are compared under the same ones
    left = [(value, seed) for seed in range(RATED_SEEDS) for value in contending if (value, seed) not in seen]
    if not said or found.tier != "some" or int(said[1]) > len(left):
        return None
    more = [world.score(value, seed) for value, seed in left[: int(said[1])]]
    return recommended(world, [*scores, *more]).tier == "strong"


def report(moments: Iterable[Moment]) -> str:
    """Return the tables of one scale."""
    all_ = list(moments)
    task = all_[0].task
    name = f"{task.scale}{', 10 % wild' if task.wild else ''}"
    rows = [_row(kind, found) for kind, found in _grouped(all_, lambda one: one.task.kind).items()]
    rows.append(_row("all", all_))
    heads = ("world", "calibration", "of the recommended value", "in the interval", "strong", "strong and good")
    single = _calibration(one for moment in all_ if moment.single for one in moment.best)
    tied = _calibration(one for moment in all_ if not moment.single for one in moment.best)
    stated = [(f"{said:.2f}", f"{true:.2f}", count) for said, true, count in single.table()]
    by_count = [
        (
            count,
            *(share([one.good for one in found if one.task.kind == kind]) for kind in EVERY_KIND),
            share([one.good for one in found if one.task.kind in KINDS]),
            share([inside for one in found for inside in one.inside]),
        )
        for count, found in _grouped(all_, lambda one: one.seen).items()
    ]
    enough = [one.enough for one in all_ if one.enough is not None]
    tiers = Counter(one.tier for one in all_ if one.seen == COUNTS[task.scale][-1] and one.task.kind == EVERY_KIND[-1])
    return "\n".join(
        (
            table(f"Answers by kind of world, {name}", heads, rows),
            table(
                f"Said to be the best, where one is: {name}, calibration error {single.error:.3f}",
                ("said", "true", "statements"),
                stated,
            ),
            f"Calibration error where several values are exactly equal: {tied.error:.3f}\n",
            table(
                f"Good answers, observations in random order, {name}",
                ("observations", *EVERY_KIND, "all with a difference", "in the interval"),
                by_count,
            ),
            f"Decided by so many more as were said: {share(enough)} of {len(enough)}\n",
            f"Tiers at the end where nothing differs: {dict(tiers)}\n",
        )
    )


def _row(kind: str, moments: Sequence[Moment]) -> list[object]:
    strong = [one for one in moments if one.tier == "strong"]
    single = [one for one in moments if one.single]
    best = _calibration(one for moment in single for one in moment.best)
    chosen = _calibration(moment.chosen for moment in single if moment.chosen)
    return [
        kind,
        f"{best.error:.3f}" if best.stated else "-",
        f"{chosen.error:.3f}" if chosen.stated else "-",
        share([inside for one in moments for inside in one.inside]),
        share([one.tier == "strong" for one in moments]),
        share([one.good for one in strong]),
    ]


def _calibration(statements: Iterable[tuple[float, float]]) -> Calibration:
    found = Calibration()
    for stated, true in statements:
        found.add(stated, true)
    return found


def _grouped(moments: Iterable[Moment], key: Callable[[Moment], Key]) -> dict[Key, list[Moment]]:
    groups: dict[Key, list[Moment]] = defaultdict(list)
    for one in moments:
        groups[key(one)].append(one)
    return groups
