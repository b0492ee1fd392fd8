"""Values and numbers as text, for reports and screens."""

from typing import NamedTuple

from msgspec import UNSET

from bus.contracts.fields import VariantValue
from bus.contracts.messages import ImageRef
from bus.contracts.values import written


class Beginning(NamedTuple):
    """How a result begins, and how many bytes it has."""

    size: int
    data: bytes  # of a small one, all of it


def value_text(value: VariantValue) -> str:
    """Return a value as text; a map of a two-variable grid as `name value, name value`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {written(part)}" for name, part in value.items())
    return written(value)


def number_text(number: float | None) -> str:
    """Return a number in three digits, or as a whole one from 1000 on; "" if there is none."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"  # noqa: PLR2004 - from here on digits count


def file_name(result: ImageRef) -> str:
    """Return what a result is called: by the program that made it, else by its type; no control character is left."""
    name = result.media_type if result.name is UNSET else result.name
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)


def percent(share: float | None) -> str:
    """Return a probability as per cent, and never as a certainty, as it is counted in a sample."""
    if share is None:
        return ""
    if share < 0.005:  # noqa: PLR2004 - half a per cent
        return "<1 %"
    return ">99 %" if share > 0.995 else f"{100 * share:.0f} %"  # noqa: PLR2004 - as above


def count_text(count: float, one: str, many: str) -> str:
    """Return a number with what is counted, in singular or plural."""
    return f"{count} {one if count == 1 else many}"


def duration_text(seconds: float | None) -> str:
    """Return a duration in at most two units; "" if it is not known."""
    if seconds is None:
        return ""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])
