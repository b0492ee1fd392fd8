"""The planes of an experiment over several variables: two of them are shown, and each other one has a single value."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import Final, NamedTuple

from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.values import cited, identity, written
from bus.protocol.validation import InvalidInputError, near_miss

PLANE: Final = 2  # variables
SPARSE: Final = 2  # cells for each value, at most: a search tries single points, which would stand alone in their rows


class Chosen(NamedTuple):
    """What a person wants to see: the variable across, that down, and values of others as text; "" leaves it to us."""

    across: str = ""
    down: str = ""
    fixed: Mapping[str, str] = {}


class Plane(NamedTuple):
    """Two variables, and the values of an experiment in which the others are the same."""

    across: str
    down: str
    others: Mapping[str, Scalar]
    indices: frozenset[int]

    @property
    def title(self) -> str:
        """The values of the other variables; "" if there are none."""
        return ", ".join(f"{name} {written(part)}" for name, part in self.others.items())


def planes_of(names: Sequence[str], values: Sequence[VariantValue], chosen: Chosen | None = None) -> list[Plane]:
    """Return the planes that have values, in the order of the plan; none if the values are better shown in a row.

    Without a choice the first two variables are shown.

    Raises:
        InvalidInputError: what was chosen is no variable of the experiment, or none of its values.
    """
    if chosen:
        _check(names, chosen)
    if len(names) < PLANE:
        return []
    wanted = chosen or Chosen()
    free = [name for name in names if name not in (*wanted.fixed, wanted.across, wanted.down)]
    across = wanted.across or free.pop(0)
    down = wanted.down or free.pop(0)
    kept = {index: value for index, value in enumerate(values) if isinstance(value, dict)}
    for name, text in wanted.fixed.items():
        kept = _with(kept, name, text)
    planes: dict[object, Plane] = {}
    for index, value in kept.items():
        others = {name: value[name] for name in names if name not in (across, down)}
        plane = planes.setdefault(identity(others), Plane(across, down, others, frozenset()))
        planes[identity(others)] = plane._replace(indices=plane.indices | {index})
    sizes = [len({identity(value[name]) for value in kept.values()}) for name in (across, down)]
    if chosen is None and len(planes) * prod(sizes) > SPARSE * len(values):
        return []
    order = {name: list(_different(kept, name)) for name in names if name not in (across, down)}
    keys = [identity(dict(zip(order, parts, strict=True))) for parts in product(*order.values())]
    return [planes[key] for key in keys if key in planes]


def _different(kept: Mapping[int, Mapping[str, Scalar]], name: str) -> list[Scalar]:
    """Return the different values of a variable, in the order of the plan."""
    return list({identity(value[name]): value[name] for value in kept.values()}.values())


def _with(kept: Mapping[int, dict[str, Scalar]], name: str, text: str) -> dict[int, dict[str, Scalar]]:
    """Return those that have a value which is written so."""
    found = {index: value for index, value in kept.items() if text in (written(value[name]), value[name])}
    if not found:
        known = [written(part) for part in _different(kept, name)]
        raise InvalidInputError(f"--fix {name}={text}: is no value of it here; {near_miss(text, known)}")
    return found


def _check(names: Sequence[str], chosen: Chosen) -> None:
    if len(names) < PLANE:
        raise InvalidInputError("--x, --y, --fix: are for experiments with two variables or more; leave them out")
    for option, name in (("--x", chosen.across), ("--y", chosen.down), *(("--fix", name) for name in chosen.fixed)):
        if name and name not in names:
            raise InvalidInputError(
                f"{option}: {cited(name)} is no variable of the experiment; {near_miss(name, list(names))}"
            )
    if chosen.across and chosen.across == chosen.down:
        raise InvalidInputError(f"--y: {chosen.down} is across already; choose another variable")
    for name in (chosen.across, chosen.down):
        if name in chosen.fixed:
            raise InvalidInputError(f"--fix: {name} is shown with all its values; fix another variable")
    if len(names) - len(chosen.fixed) < PLANE:
        raise InvalidInputError("--fix: leaves fewer than two variables to show; fix fewer")
