"""Whether memory stays flat: samples of a long run, and the verdict about them."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

SETTLING: Final = 1 / 6  # of the run: caches fill, and the allocator finds its level
COMPARED: Final = 1 / 12  # of the run: its first such part behind the settling is what the rest must not exceed
TOLERANCE: Final = 0.05


class Sample(NamedTuple):
    """What each process takes, in MiB, so many seconds after the start.

    `private` is without the pages of programs and libraries, which the system takes and gives as it likes.
    """

    seconds: float
    resident: dict[str, float]
    private: dict[str, float]


def growth(samples: Sequence[Sample], seconds: float) -> dict[str, float]:
    """Return by which part each process has grown: its highest level later, compared with that behind the settling.

    A level is of private memory, and the median over a twelfth of the run, so that a single sample decides nothing.
    """
    part = seconds * COMPARED
    parts = range(round(SETTLING / COMPARED), round(1 / COMPARED))
    found = {}
    for name in samples[0].private:
        levels = [
            median(one.private[name] for one in samples if n * part <= one.seconds < (n + 1) * part) for n in parts
        ]
        found[name] = max(levels) / levels[0] - 1
    return found


def verdict(grown: Mapping[str, float], seconds: float) -> str:
    """Return the verdict in one line for each process, and one for all."""
    lines = [f"{name}: {part:+.1%}" for name, part in grown.items()]
    flat = "flat" if is_flat(grown) else "not flat"
    lines.append(
        f"{flat} within {TOLERANCE:.0%} after the first {seconds * SETTLING / 60:g} of {seconds / 60:g} minutes"
    )
    return "\n".join(lines)


def is_flat(grown: Mapping[str, float]) -> bool:
    """Return whether no process has grown by more than the tolerance."""
    return max(grown.values()) <= TOLERANCE
