"""Figures from many simulated experiments: calibration, coverage, and how soon an answer is good."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

BINS: Final = np.linspace(0, 1, 11)
Row: TypeAlias = Sequence[object]


@dataclass
class Calibration:
    """Stated probabilities beside what was true."""

    stated: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)

    def add(self, stated: float, true: float) -> None:
        """Record a statement, and whether it was true (a share of 1, where several values share a first place)."""
        self.stated.append(stated)
        self.true.append(true)

    def table(self) -> list[tuple[float, float, int]]:
        """Return for each tenth what was stated and true on average, and of how many statements."""
        stated, true = np.array(self.stated), np.array(self.true)
        tenth = np.clip(np.digitize(stated, BINS) - 1, 0, len(BINS) - 2)
        return [
            (float(stated[tenth == one].mean()), float(true[tenth == one].mean()), int((tenth == one).sum()))
            for one in range(len(BINS) - 1)
            if (tenth == one).any()
        ]

    @property
    def error(self) -> float:
        """The expected calibration error: by how much the two columns differ, on average over all statements."""
        rows = self.table()
        return sum(abs(stated - true) * count for stated, true, count in rows) / max(1, sum(row[2] for row in rows))


def needed(counts: Sequence[int], shares: Sequence[float], share: float) -> float:
    """Return where a line of shares first reaches one, on the straight line between counts; nan where it never does."""
    for place, reached in enumerate(shares):
        if reached >= share:
            if place == 0:
                return float(counts[0])
            part = (share - shares[place - 1]) / (reached - shares[place - 1])
            return counts[place - 1] + part * (counts[place] - counts[place - 1])
    return float("nan")


def share(found: Sequence[bool]) -> str:
    """Return a share as text; `-` of nothing."""
    return f"{np.mean(found):.2f}" if len(found) else "-"


def table(title: str, heads: Row, rows: Iterable[Row]) -> str:
    """Return a table in Markdown."""
    lines = [f"**{title}**", "", _line(heads), f"|{'---|' * len(heads)}", *map(_line, rows), ""]
    return "\n".join(lines)


def _line(cells: Row) -> str:
    return f"| {' | '.join(map(str, cells))} |"
