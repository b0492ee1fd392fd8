"""What is compared: our bus and its peers, each behind the same few functions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from benchmarks import ours
from benchmarks.crew import START_SECONDS, Child, Crew
from benchmarks.ours import SLOWEST
from benchmarks.peers import nats_jetstream, plain_pyzmq, redis_streams
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
    start_producer: Callable[[Crew, Setup], tuple[Child, Setup]]
    listen: str  # the role of a subscriber to the producer alone
    keeps: bool = True  # what was published, for those who come later
    variation: bool = False  # of another one, and no different where nothing is routed


class Peer(Protocol):
    """A module of `benchmarks.peers`; it also has the roles `produce`, `route`, `consume` and `listen`."""

    __name__: str

    def missing(self) -> str:
        """Say why it cannot run here, "" if it can."""

    def serve(self, crew: Crew) -> dict[str, str]:
        """Start its server, and say where it is."""


def _our_chain(crew: Crew, setup: Setup) -> Chain:
    producer, service, consumer, _ = ours.start_chain(crew, setup)
    return Chain(producer, service, consumer)


def _peer(name: str, peer: Peer, *, route: str = "route", keeps: bool = True, variation: bool = False) -> System:
    def start_chain(crew: Crew, setup: Setup) -> Chain:
        there = replace(setup, addresses=peer.serve(crew))
        producer, service, consumer = (
            crew.role(f"{peer.__name__}:{role}", there) for role in ("produce", route, "consume")
        )
        for child in (consumer, service, producer):
            child.wait_for("ready", START_SECONDS + setup.workload.events / SLOWEST)
        return Chain(producer, service, consumer)

    def start_producer(crew: Crew, setup: Setup) -> tuple[Child, Setup]:
        there = replace(setup, addresses=peer.serve(crew))
        producer = crew.role(f"{peer.__name__}:produce", there)
        producer.wait_for("ready", START_SECONDS + setup.workload.events / SLOWEST)
        return producer, there

    listen = f"{peer.__name__}:listen"
    return System(name, peer.missing, start_chain, start_producer, listen, keeps, variation)


SYSTEMS: Final = {
    system.name: system
    for system in (
        System(OURS, lambda: "", _our_chain, ours.start_producer, "benchmarks.ours:listen"),
        _peer("redis", redis_streams),
        _peer("redis-no-state", redis_streams, route="route_without_state", variation=True),
        _peer("nats", nats_jetstream),
        _peer("pyzmq", plain_pyzmq, keeps=False),
    )
}
