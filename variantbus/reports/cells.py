"""Which picture of an experiment goes into which cell of its contact sheet. No pixel yet."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.messages import ImageRef
from bus.contracts.values import identity, written
from learning_service.experiments.blocks import block_names, block_of, block_word, seed_of
from learning_service.recommendation.labels import labels
from variantbus.reports.export import Exported
from variantbus.reports.planes import Chosen, Plane, planes_of
from variantbus.reports.text import count_text, value_text

MAX_COLUMNS: Final = 12  # values in columns; more become rows, if there are fewer seeds
BLOCK: Final = 60  # characters of the name of a block; the sheet wraps them
NUMBERED: Final = ("seed", "repeat")  # conditions that are numbers
Place = tuple[int, int]  # column, row


class Condition(NamedTuple):
    """What the pictures in a row of different values have in common: block and seed, or where that varies repeat."""

    block: int
    number: int


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
    others: int  # pictures of the same value and condition, which have no cell of their own
    files: int  # results that are no pictures
    title: str = ""  # of one grid of several: what is the same in all of it


class Arrangement(NamedTuple):
    """The two axes, and where the picture of a variant and of a condition (its place among them) goes."""

    across: Axis
    down: Axis
    place: Callable[[int, int], Place]


def grids_of(exported: Exported, chosen: Chosen | None = None) -> list[Grid]:
    """Return a grid for each plane of an experiment over several variables; of most others, one.

    Raises:
        InvalidInputError: what was chosen is not there.
    """
    names = [knob.name for knob in exported.definition.knobs]
    planes: list[Plane | None] = [*planes_of(names, exported.values, chosen)]
    grids = [grid_of(exported, plane) for plane in planes or [None]]
    return [grid for grid in grids if grid.cells] or grids[:1]


def grid_of(exported: Exported, plane: Plane | None = None) -> Grid:
    """Return the cells of all pictures, or of those on a plane: the first one of each value and condition."""
    records = [one for one in exported.records.pictures if plane is None or one.variant_index in plane.indices]
    shown = [one for one in records if one.image.width and one.image.height]
    found: dict[tuple[int, Condition], ImageRef] = {}
    for one in shown:
        found.setdefault((one.variant_index, condition_of(exported, one.repeat_index, one.image.seed)), one.image)
    keys = sorted({key for _, key in found})
    conditions = conditions_axis(exported, keys)
    across, down, place = arranged(exported, conditions, plane)
    places = {key: at for at, key in enumerate(keys)}
    cells = {place(index, places[key]): image for (index, key), image in found.items()}
    told = [_legend(across, down, conditions), count_text(len(cells), "picture", "pictures")]
    told += ["grey: no picture"] if len(cells) < len(across.labels) * len(down.labels) else []
    others, files = len(shown) - len(found), len(records) - len(shown)
    return Grid(across, down, cells, " · ".join(told), others=others, files=files, title=plane.title if plane else "")


def condition_of(exported: Exported, repeat: int, seed: int | None = None) -> Condition:
    """Return the condition of a repeat; `seed` is that of a picture, if it is known."""
    definition = exported.definition
    if seeds_are_values(exported):
        number = 1 + repeat // max(1, len(definition.blocks))
    else:
        number = seed_of(definition, repeat) if seed is None else seed
    return Condition(block_of(definition, repeat), number)


def conditions_axis(exported: Exported, keys: Sequence[Condition]) -> Axis:
    """Return the axis of some conditions, in their order: seeds, and where there are several blocks, their names."""
    word = "repeat" if seeds_are_values(exported) else "seed"
    names = labels(block_names(exported.definition), BLOCK)
    if len(names) < 2:  # noqa: PLR2004 - one block says nothing
        return Axis(word, [Label(str(key.number)) for key in keys])
    several = len({key.number for key in keys}) > 1
    rows = [
        Label(
            names[key.block],
            f"{word} {key.number}" if several else "",
            begins=at > 0 and key.block != keys[at - 1].block,
        )
        for at, key in enumerate(keys)
    ]
    return Axis(block_word(exported.definition), rows)


def seeds_are_values(exported: Exported) -> bool:
    """Return whether the seed varies, or each picture has its own, so that repeats stand in the place of seeds."""
    definition = exported.definition
    return not definition.paired or any(knob.name == "seed" for knob in definition.knobs)


def arranged(exported: Exported, conditions: Axis, plane: Plane | None = None) -> Arrangement:
    """Return values across and conditions down, of many values the other way round; of a plane a variable on each."""
    if plane:
        return _on_plane(exported, plane, conditions)
    values = Axis(exported.definition.variable_name, [Label(value_text(value)) for value in exported.values])
    if len(values.labels) <= MAX_COLUMNS or len(values.labels) < len(conditions.labels):
        return Arrangement(values, conditions, lambda index, at: (index, at))
    heads = [Label(", ".join(filter(None, one[:2]))) for one in conditions.labels]
    return Arrangement(Axis(conditions.name, heads), values, lambda index, at: (at, index))


def _places(exported: Exported, indices: Collection[int], name: str) -> dict[object, tuple[int, Scalar]]:
    """Return the different values of one variable with their places, in the order of the plan."""
    found: dict[object, tuple[int, Scalar]] = {}
    for index in sorted(indices):
        part = _part(exported.values[index], name)
        found.setdefault(identity(part), (len(found), part))
    return found


def _on_plane(exported: Exported, plane: Plane, conditions: Axis) -> Arrangement:
    """Return one variable across, and the other down, with the conditions below each of its values."""
    names = (plane.across, plane.down)
    columns, groups = (_places(exported, plane.indices, name) for name in names)
    several, word = len(conditions.labels) > 1, f"{conditions.name} " if conditions.name in NUMBERED else ""
    rows = [
        Label(written(part), word + ", ".join(filter(None, one[:2])) if several else "", begins=several and at == 0)
        for _, part in groups.values()
        for at, one in enumerate(conditions.labels)
    ]

    def place(index: int, at: int) -> Place:
        column, row = (_part(exported.values[index], name) for name in names)
        return columns[identity(column)][0], groups[identity(row)][0] * len(conditions.labels) + at

    across = Axis(names[0], [Label(written(part)) for _, part in columns.values()])
    return Arrangement(across, Axis(names[1], rows), place)


def _part(value: VariantValue, name: str) -> Scalar:
    return value[name] if isinstance(value, dict) else value


def _legend(across: Axis, down: Axis, conditions: Axis) -> str:
    told = f"{across.name} across, {down.name} down"
    if conditions.name in (across.name, down.name):
        return told
    one, count = conditions.labels[0].text, len(conditions.labels)
    if conditions.name not in NUMBERED:
        return f"{told}, {count} pictures each"
    return f"{told}, seed {one}" if count == 1 else f"{told}, {count} seeds each"
