"""What may be assumed of the worths of values before any of them is compared."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from learning_service.recommendation.belief import Array, log_half_cauchy
from learning_service.recommendation.layout import Layout, bases, bases_of_effects, without_likeness
from learning_service.recommendation.scores import ROUGH, STRUCTURE

DEVIATIONS: Final = np.geomspace(0.25, 4, 5)  # of the worths, in units in which 1 is odds of 2.7 to 1
CROSSED: Final = np.geomspace(0.25, 4, 3)  # of what a block adds to the worth of a value, in the same units
TIE_DEVIATION: Final = 1.0  # of c before any preference: around as many ties as wins of either


@dataclass(frozen=True)
class Assumption:
    """Worths are the columns times standard normal numbers, plus a part of each value, and of each cell, on its own."""

    columns: Array  # values x columns
    own: Array  # values: standard deviations
    crossed: float  # standard deviation of what a block adds to a value
    log_prior: float

    def of(self, places: NDArray[np.intp]) -> Self:
        """Return the same of some values."""
        return type(self)(self.columns[places], self.own[places], self.crossed, self.log_prior)

    def covariance(self, places: NDArray[np.intp]) -> Array:
        """Return the prior covariance of cells of some values."""
        columns, own = self.columns[places], self.own[places] ** 2
        alone = np.where(places[:, None] == places, own, 0.0) + self.crossed**2 * np.eye(len(places))
        return np.asarray(columns @ columns.T + alone, np.float64)


@dataclass(frozen=True)
class Tally:
    """Answers added up. A cell is a value, or where there are several blocks a value in one of them."""

    values: NDArray[np.intp]  # the place of the value of each cell, in order; each cell was compared
    wins: Array  # cells x cells: how often the one was preferred to the other
    ties: Array  # the same, symmetric
    has_blocks: bool = False

    def looks(self, count: int) -> Array:
        """Return how often each of so many values was compared."""
        met = (self.wins + self.wins.T + self.ties).sum(axis=1)
        return np.bincount(self.values, met, count).astype(np.float64)


def assumptions(layout: Layout, *, has_blocks: bool) -> list[list[Assumption]]:
    """Return all assumptions: neighbours are alike, over one of some lengths, or each value is on its own.

    Those of one list differ by the standard deviation of the worths alone.
    """
    smooth = [*bases(layout), *bases_of_effects(layout)]
    crossings = list(zip(CROSSED, log_half_cauchy(CROSSED), strict=True)) if has_blocks else [(0.0, 0.0)]
    alone = without_likeness(layout)
    shares = [(basis, share, STRUCTURE / len(smooth) / len(ROUGH)) for basis in smooth for share in ROUGH]
    heights = log_half_cauchy(DEVIATIONS)
    return [
        [
            Assumption(
                columns=deviation * np.sqrt(1 - share) * basis.columns,
                own=deviation * np.sqrt(share * basis.single + (1 - share) * basis.rest),
                crossed=crossed,
                log_prior=float(np.log(chance) + height + rarity),
            )
            for deviation, height in zip(DEVIATIONS, heights, strict=True)
        ]
        for basis, share, chance in [*shares, (alone, 1.0, 1 - STRUCTURE if smooth else 1.0)]
        for crossed, rarity in crossings
    ]
