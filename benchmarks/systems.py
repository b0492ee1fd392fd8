"""What is compared: our bus and its peers, each behind the same few functions."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from benchmarks import our_jobs, ours
from benchmarks.crew import START_SECONDS, Child, Crew
from benchmarks.ours import SLOWEST
from benchmarks.peers import nats_jetstream, plain_pyzmq, redis_server, redis_streams, zenoh_advanced
from benchmarks.role import Setup

OURS: Final = "ours"
PAUSE_SECONDS: Final = 0.005  # of those who read the ends of jobs: their batches are larger, and all is faster


@dataclass(frozen=True)
class Chain:
    """Processes that are ready: the producer begins at the word `go`, the consumer tells when it has all."""

    producer: Child
    service: Child  # the one in the middle, which routes
    consumer: Child
    workers: tuple[Child, ...] = ()  # where jobs are really run


@dataclass(frozen=True)
class System:
    """One of those that are compared. `missing` says why it cannot run here, "" if it can."""

    name: str
    missing: Callable[[], str]
    start_chain: Callable[[Crew, Setup], Chain]
    start_producer: Callable[[Crew, Setup], tuple[Child, Setup]]
    listen: str  # the role of a subscriber to the producer alone
    durable: bool = True  # what was published outlives the process that has published it
    keeps: bool = True  # what was published, for those who come later
    variation: bool = False  # of another one, and no different where nothing is routed


@dataclass(frozen=True)
class JobSystem:
    """One of those that run jobs; `missing` as above."""

    name: str
    missing: Callable[[], str]
    start: Callable[[Crew, Setup], Chain]


class Peer(Protocol):
    """A module of `benchmarks.peers`; it also has the roles `produce`, `route`, `consume` and `listen`."""

    __name__: str

    def missing(self) -> str:
        """Return why it cannot run here, "" if it can."""

    def serve(self, crew: Crew) -> dict[str, str]:
        """Start its server, and say where it is."""


def _our_chain(crew: Crew, setup: Setup) -> Chain:
    producer, service, consumer, _ = ours.start_chain(crew, setup)
    return Chain(producer, service, consumer)


def _peer(
    name: str,
    peer: Peer,
    *,
    route: str = "route",
    serve: Callable[[Crew], dict[str, str]] | None = None,
    durable: bool = True,
    keeps: bool = True,
    variation: bool = False,
) -> System:
    serve = serve or peer.serve

    def start_chain(crew: Crew, setup: Setup) -> Chain:
        there = replace(setup, addresses=serve(crew))
        producer, service, consumer = (
            crew.role(f"{peer.__name__}:{role}", there) for role in ("produce", route, "consume")
        )
        for child in (consumer, service, producer):
            child.wait_for("ready", START_SECONDS + setup.workload.events / SLOWEST)
        return Chain(producer, service, consumer)

    def start_producer(crew: Crew, setup: Setup) -> tuple[Child, Setup]:
        there = replace(setup, addresses=serve(crew))
        producer = crew.role(f"{peer.__name__}:produce", there)
        producer.wait_for("ready", START_SECONDS + setup.workload.events / SLOWEST)
        return producer, there

    listen = f"{peer.__name__}:listen"
    return System(name, peer.missing, start_chain, start_producer, listen, durable, keeps, variation)


SYSTEMS: Final = {
    system.name: system
    for system in (
        System(OURS, lambda: "", _our_chain, ours.start_producer, "benchmarks.ours:listen"),
        _peer("redis", redis_streams),
        _peer("nats", nats_jetstream),
        _peer("redis-no-state", redis_streams, route="route_without_state", durable=False, variation=True),
        _peer("pyzmq", plain_pyzmq, durable=False, keeps=False),
        _peer("pyzmq-direct", plain_pyzmq, serve=plain_pyzmq.serve_directly, durable=False, keeps=False),
        _peer("zenoh", zenoh_advanced, durable=False, keeps=False),
        _peer("zenoh-file", zenoh_advanced, route="route_with_file", durable=False, keeps=False, variation=True),
    )
}


def _our_jobs(crew: Crew, setup: Setup) -> Chain:
    producer, runner, learning, subscriber = our_jobs.start(crew, setup)
    return Chain(producer, learning, subscriber, (runner,))


def _job_peer(name: str, *, processes: int) -> JobSystem:
    """Return a peer by the name of its library, with the number of worker processes that is best for it here.

    Its module has the roles `submit` and `work`, and is imported by them alone.
    """
    module = f"benchmarks.peers.{name}_redis"

    def missing() -> str:
        if importlib.util.find_spec(name):
            return redis_server.missing()
        return f"{name} is not installed; `make bench` installs it"

    def start(crew: Crew, setup: Setup) -> Chain:
        there = replace(setup, addresses=redis_server.serve(crew), pause=PAUSE_SECONDS)
        producer = crew.role(f"{module}:submit", there)
        workers = tuple(crew.role(f"{module}:work", there) for _ in range(processes))
        service, consumer = (crew.role(f"{redis_streams.__name__}:{role}", there) for role in ("route", "consume"))
        for child in (consumer, service, *workers, producer):
            child.wait_for("ready", START_SECONDS + setup.workload.events / SLOWEST)
        return Chain(producer, service, consumer, workers)

    return JobSystem(name, missing, start)


JOB_SYSTEMS: Final = {
    system.name: system
    for system in (
        JobSystem(OURS, lambda: "", _our_jobs),
        _job_peer("celery", processes=1),
        _job_peer("huey", processes=2),
        _job_peer("dramatiq", processes=2),
    )
}
