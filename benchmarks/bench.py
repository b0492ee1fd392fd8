"""How much is measured, and in which order: round by round, so that what disturbs one disturbs all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.systems import System
from benchmarks.workload import Workload


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many events each measurement takes."""

    chain: Workload
    latency: Workload
    interval: float  # seconds between two events of the latency measurement


# Eight seeds under each of fifty values: a fine sweep, as a person would leave it running overnight.
FULL: Final = Size(
    chain=Workload(experiments=250, variants=50, jobs_per_variant=8),
    latency=Workload(experiments=5, variants=50, jobs_per_variant=8),
    interval=0.01,
)
QUICK: Final = Size(
    chain=Workload(experiments=2, variants=10, jobs_per_variant=5),
    latency=Workload(experiments=1, variants=10, jobs_per_variant=5),
    interval=0.002,
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run of the benchmark."""

    systems: list[System]
    rounds: int
    size: Size
    profile: bool
    say: Callable[[str], None]

    def alternating(self) -> Iterator[System]:
        """Give each system once a round; another one begins each time."""
        for number in range(self.rounds):
            shift = number % len(self.systems)
            yield from self.systems[shift:] + self.systems[:shift]
