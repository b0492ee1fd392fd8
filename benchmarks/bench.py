"""How much is measured, and in which order: round by round, so that what disturbs one disturbs all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from benchmarks.systems import JobSystem, System
from benchmarks.workload import Workload

S = TypeVar("S", System, JobSystem)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many events each measurement takes."""

    chain: Workload
    latency: Workload
    interval: float  # seconds between two events of the latency measurement
    catch_up: Workload
    fan_out: dict[int, Workload]  # by the number of subscribers
    growth: Workload  # the experiments whose jobs end; all rounds together
    tracked: tuple[int, ...]  # experiments in all
    deep: tuple[Workload, ...]  # as many events, in variants with more and more jobs
    jobs: Workload  # that are really run, and do nothing
    cluster: Workload  # the same over a cluster, where each takes some messages that are synced to disk


# Eight seeds under each of fifty values: a fine sweep, as a person would leave it running overnight.
FULL: Final = Size(
    chain=Workload(experiments=250, variants=50, jobs_per_variant=8),
    latency=Workload(experiments=2, variants=50, jobs_per_variant=8),
    interval=0.01,
    catch_up=Workload(experiments=2500, variants=50, jobs_per_variant=8),
    fan_out={1: Workload(250, 50, 8), 10: Workload(50, 50, 8), 100: Workload(10, 50, 8)},
    growth=Workload(experiments=10, variants=200, jobs_per_variant=40),
    tracked=(10, 1000, 100_000),
    deep=(Workload(128, 64, 8), Workload(4, 64, 256)),  # as many as a variant may have
    jobs=Workload(experiments=25, variants=50, jobs_per_variant=8, pipeline="noop"),
    cluster=Workload(experiments=5, variants=50, jobs_per_variant=8, pipeline="noop"),
)
QUICK: Final = Size(
    chain=Workload(experiments=2, variants=10, jobs_per_variant=5),
    latency=Workload(experiments=1, variants=10, jobs_per_variant=5),
    interval=0.002,
    catch_up=Workload(experiments=2, variants=10, jobs_per_variant=5),
    fan_out={1: Workload(1, 10, 5), 3: Workload(1, 10, 5)},
    growth=Workload(experiments=2, variants=10, jobs_per_variant=6),
    tracked=(2, 5),
    deep=(Workload(3, 5, 4), Workload(1, 5, 12)),
    jobs=Workload(experiments=2, variants=10, jobs_per_variant=5, pipeline="noop"),
    cluster=Workload(experiments=1, variants=5, jobs_per_variant=4, pipeline="noop"),
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """One run of the benchmark."""

    systems: list[System]
    job_systems: list[JobSystem]
    rounds: int
    size: Size
    profile: bool
    say: Callable[[str], None]

    def alternating(self, systems: list[S], at_most: int | None = None) -> Iterator[S]:
        """Return each system once a round; another one begins each time. What takes long gets `at_most` some rounds."""
        for number in range(min(self.rounds, at_most or self.rounds)):
            shift = number % max(1, len(systems))
            yield from systems[shift:] + systems[:shift]
