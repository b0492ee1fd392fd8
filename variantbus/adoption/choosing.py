"""Which of the settings that vary become variables, and whether the prompts become blocks. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bus.contracts.fields import Scalar
from bus.contracts.values import brief, identity, written
from bus.protocol.validation import InvalidInputError, near_miss
from learning_service.experiments.axes import MAX_AXES
from pipeline_runner.metadata.values import Settings
from variantbus.adoption.varying import PROMPT, SEEDS, Varying, counted, value_in, varying

AXES_MOST: Final = MAX_AXES
BLOCKS_MOST: Final = 100  # prompts; more are no list that anyone looks at
VALUES_SHOWN: Final = 4  # in a sentence


class Chosen(NamedTuple):
    """What a folder of pictures is compared by.

    Attributes:
        axes: The variables.
        prompts: The prompts under each of which the values are compared; None: of all pictures together.
        apart: What varies besides, and is not told apart.
    """

    axes: list[Varying]
    prompts: Varying | None
    apart: list[Varying]


def selected(found: Sequence[Settings], where: Mapping[str, Scalar]) -> list[int]:
    """Return the places of the pictures that have these values.

    Raises:
        InvalidInputError: none has, or a setting is unknown; the sentence says which values there are.
    """
    for name, value in where.items():
        if not any(name in one for one in found):
            raise InvalidInputError(f"--where: no picture has a setting {name!r}; {near_miss(name, _names(found))}")
        if all(identity(value_in(one, name)) != identity(value) for one in found):
            raise InvalidInputError(
                f"--where: no picture has {name}={written(value)}; there are {_listed(found, name)}"
            )
    places = [
        place
        for place, one in enumerate(found)
        if all(identity(value_in(one, name)) == identity(value) for name, value in where.items())
    ]
    if not places:
        raise InvalidInputError("--where: no picture has all of these values; give fewer")
    return places


def choose(found: Sequence[Settings], by: Sequence[str]) -> Chosen:
    """Return the variables among the settings of pictures; `by` names them, empty for all that vary.

    Raises:
        InvalidInputError: nothing varies, too much does, or a name is none; the sentence says what to do.
    """
    several = varying(found)
    if by:
        return _named(found, several, by)
    prompts = next((one for one in several if one.name == PROMPT), None)
    axes = [one for one in several if one.name != PROMPT]
    if not several:
        raise InvalidInputError(
            f"the {len(found)} pictures have the same settings but for their seeds, so there is nothing to compare; "
            "put pictures with another value beside them"
        )
    if not axes:
        return Chosen([_worth(prompts, found)] if prompts else [], None, [])
    if len(axes) > AXES_MOST:
        raise InvalidInputError(
            f"{len(axes)} settings vary: {_told(axes)}; choose at most {AXES_MOST} with --by NAME, "
            "or some of the pictures with --where NAME=VALUE"
        )
    if prompts and not _is_crossed(found, axes):
        names = " and ".join(one.name for one in axes)
        raise InvalidInputError(
            f"no prompt has pictures with two values of {names}, so that prompts and values cannot be told apart; "
            f"choose one of them: --by {axes[0].name}, or --by {PROMPT}"
        )
    if prompts and len(prompts.values) > BLOCKS_MOST:
        text = f"there are {len(prompts.values)} prompts, and at most {BLOCKS_MOST} can be looked at one by one"
        raise InvalidInputError(f"{text}; take all together with --by {axes[0].name}, or adopt some of the pictures")
    return Chosen(axes, prompts, [])


def _named(found: Sequence[Settings], several: list[Varying], by: Sequence[str]) -> Chosen:
    wanted = list(dict.fromkeys(by))
    if len(wanted) > AXES_MOST:
        raise InvalidInputError(f"--by: {len(wanted)} settings are more than {AXES_MOST}; name fewer")
    axes = []
    for name in wanted:
        if not any(name in one for one in found):
            raise InvalidInputError(f"--by: no picture has a setting {name!r}; {near_miss(name, _names(found))}")
        values = counted(found, name)
        if len(values) < 2:  # noqa: PLR2004 - one value is nothing to compare
            raise InvalidInputError(f"--by: all pictures have {name} {written(values[0][0])}; name one that varies")
        axes.append(Varying(name, values))
    others = [one for one in several if one.name not in wanted]
    prompts = next((one for one in others if one.name == PROMPT), None)
    if prompts and (len(prompts.values) > BLOCKS_MOST or not _is_crossed(found, axes)):
        prompts = None
    return Chosen(axes, prompts, [one for one in others if one is not prompts])


def _worth(prompts: Varying, found: Sequence[Settings]) -> Varying:
    """Return the prompts as a variable, unless each picture has one of its own and there are very many."""
    if len(prompts.values) > BLOCKS_MOST and len(prompts.values) * 2 > len(found):
        text = f"the {len(found)} pictures have {len(prompts.values)} prompts, and nothing else varies"
        raise InvalidInputError(f"{text}, so there is little to compare; to compare all the same: --by {PROMPT}")
    return prompts


def _is_crossed(found: Sequence[Settings], axes: Sequence[Varying]) -> bool:
    """Return whether some prompt has pictures of two values."""
    seen: dict[object, object] = {}
    for one in found:
        value = tuple(identity(value_in(one, axis.name)) for axis in axes)
        if seen.setdefault(identity(value_in(one, PROMPT)), value) != value:
            return True
    return False


def _names(found: Sequence[Settings]) -> list[str]:
    return sorted({name for one in found for name in one if name not in SEEDS})


def _listed(found: Sequence[Settings], name: str) -> str:
    values = [brief(written(value)) for value, _ in counted(found, name)]
    return ", ".join(values[:VALUES_SHOWN]) + (" …" if len(values) > VALUES_SHOWN else "")


def _told(several: Sequence[Varying]) -> str:
    return ", ".join(f"{one.name} ({len(one.values)} values)" for one in several)
