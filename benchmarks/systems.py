"""What is compared: our bus and its peers, each behind the same few functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks import ours
from benchmarks.crew import Child, Crew
from benchmarks.role import Setup

OURS: Final = "ours"


@dataclass(frozen=True)
class Chain:
    """Processes that are ready: the producer begins at the word `go`, the consumer tells when it has all."""

    producer: Child
    service: Child  # the one in the middle, which routes
    consumer: Child


@dataclass(frozen=True)
class System:
    """One of those that are compared. `missing` says why it cannot run here, "" if it can."""

    name: str
    missing: Callable[[], str]
    start_chain: Callable[[Crew, Setup], Chain]


def _our_chain(crew: Crew, setup: Setup) -> Chain:
    return Chain(*ours.start(crew, setup))


SYSTEMS: Final = {system.name: system for system in (System(OURS, lambda: "", _our_chain),)}
