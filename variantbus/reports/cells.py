"""Which picture of an experiment goes into which cell of its contact sheet. No pixel yet."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bus.contracts.messages import ImageRef, Scalar, VariantValue
from bus.contracts.values import identity, written
from variantbus.reports.export import Exported
from variantbus.reports.text import count_text, value_text

MAX_COLUMNS: Final = 12  # values in columns; more become rows, if there are fewer seeds
Place = tuple[int, int]  # column, row


class Label(NamedTuple):
    """What stands beside a row or above a column."""

    text: str
    small: str = ""  # below it
    begins: bool = False  # a group of rows


class Axis(NamedTuple):
    """The rows or the columns of a grid."""

    name: str
    labels: list[Label]


class Grid(NamedTuple):
    """The cells, and what is said of them."""

    across: Axis
    down: Axis
    cells: dict[Place, ImageRef]
    legend: str
    others: int  # pictures of the same value and seed, which have no cell of their own
    files: int  # results that are no pictures


class Arrangement(NamedTuple):
    """The two axes, and where the picture of a variant and of a seed (its place among them) goes."""

    across: Axis
    down: Axis
    place: Callable[[int, int], Place]


def grid_of(exported: Exported) -> Grid:
    """Return the cells of all pictures: the first one of each value and seed."""
    records = exported.records.pictures
    shown = [one for one in records if one.image.width and one.image.height]
    is_value = seeds_are_values(exported)
    found: dict[tuple[int, int], ImageRef] = {}
    for one in shown:
        seed = exported.definition.seed + one.repeat_index if one.image.seed is None else one.image.seed
        found.setdefault((one.variant_index, one.repeat_index if is_value else seed), one.image)
    seeds = sorted({seed for _, seed in found})
    labels = [Label(str(seed + is_value)) for seed in seeds]
    across, down, place = arranged(exported, labels)
    places = {seed: at for at, seed in enumerate(seeds)}
    cells = {place(index, places[seed]): image for (index, seed), image in found.items()}
    told = [_legend(across, down, labels), count_text(len(cells), "picture", "pictures")]
    told += ["grey: no picture"] if len(cells) < len(across.labels) * len(down.labels) else []
    return Grid(across, down, cells, " · ".join(told), others=len(shown) - len(found), files=len(records) - len(shown))


def seeds_are_values(exported: Exported) -> bool:
    """Return whether the seed is what varies, so that repeats stand in the place of seeds."""
    return any(knob.name == "seed" for knob in exported.definition.knobs)


def arranged(exported: Exported, seeds: list[Label]) -> Arrangement:
    """Return values across and seeds down, of many values the other way round; of two variables one on each axis."""
    names = [knob.name for knob in exported.definition.knobs]
    if len(names) == 2:  # noqa: PLR2004 - an experiment has one or two
        columns, groups = (_places(exported, name) for name in names)
        # a search tries single points of the plane, which would stand alone in their rows
        if len(columns) * len(groups) <= 2 * len(exported.values):
            return _of_two(exported, names, columns, groups, seeds)
    values = Axis(exported.definition.variable_name, [Label(value_text(value)) for value in exported.values])
    others = Axis("repeat" if seeds_are_values(exported) else "seed", seeds)
    if len(values.labels) <= MAX_COLUMNS or len(values.labels) < len(seeds):
        return Arrangement(values, others, lambda index, seed: (index, seed))
    return Arrangement(others, values, lambda index, seed: (seed, index))


def _places(exported: Exported, name: str) -> dict[object, tuple[int, Scalar]]:
    """Return the different values of one variable with their places, in the order of the plan."""
    found: dict[object, tuple[int, Scalar]] = {}
    for value in exported.values:
        part = _part(value, name)
        found.setdefault(identity(part), (len(found), part))
    return found


def _of_two(
    exported: Exported,
    names: list[str],
    columns: dict[object, tuple[int, Scalar]],
    groups: dict[object, tuple[int, Scalar]],
    seeds: list[Label],
) -> Arrangement:
    """Return the first variable across, and the second down, with the seeds below each of its values."""
    several = len(seeds) > 1
    rows = [
        Label(written(part), f"seed {seed.text}" if several else "", begins=several and at == 0)
        for _, part in groups.values()
        for at, seed in enumerate(seeds)
    ]

    def place(index: int, seed: int) -> Place:
        column, row = (_part(exported.values[index], name) for name in names)
        return columns[identity(column)][0], groups[identity(row)][0] * len(seeds) + seed

    across = Axis(names[0], [Label(written(part)) for _, part in columns.values()])
    return Arrangement(across, Axis(names[1], rows), place)


def _part(value: VariantValue, name: str) -> Scalar:
    return value[name] if isinstance(value, dict) else value


def _legend(across: Axis, down: Axis, seeds: list[Label]) -> str:
    told = f"{across.name} across, {down.name} down"
    if {across.name, down.name} & {"seed", "repeat"}:
        return told
    return f"{told}, seed {seeds[0].text}" if len(seeds) == 1 else f"{told}, {len(seeds)} seeds each"
