"""Jobs that any of several runners takes, over three nodes of NATS JetStream: how many, at which cost, how late.

The nodes are those of `variantbus cluster up`; they sync each message to disk before they acknowledge it. On few cores
the curve over runners is bounded by these, so what a job costs in each kind of process is shown beside it.
"""

import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from benchmarks import our_jobs, ours
from benchmarks.bench import Bench
from benchmarks.chain import run
from benchmarks.crew import START_SECONDS, Child, Crew
from benchmarks.results import Figures, Result
from benchmarks.role import Parent, Setup
from benchmarks.systems import OURS, Chain, JobSystem
from bus import Start, Subscriber
from bus.contracts.messages import VariantStatus

NODES: Final = 3
RUNNERS: Final = (1, 2, 4)
PEERS: Final = (OURS, "celery")
WATCH: Final = "benchmarks.cluster:consume"
COMMAND: Final = str(Path(sys.executable).with_name("variantbus"))


def cluster(bench: Bench) -> list[Result]:
    """Measure jobs a second beside one machine and Celery, what a job costs, and when its status comes."""
    rates: Figures = {}
    costs: Figures = {}
    systems = [one for one in bench.job_systems if one.name in PEERS]
    for system in bench.alternating([*systems, *(_clustered(runners) for runners in RUNNERS)]):
        rate, cost = _jobs(bench, system)
        rates.setdefault(system.name, []).append(rate)
        costs.setdefault(system.name, []).append(cost)
    return [
        Result("cluster-jobs", "jobs/s", rates, better="higher"),
        Result("cluster-cost", "µs of processor time a job in all processes", costs, better="lower"),
        *_delays(bench),
    ]


def _delays(bench: Bench) -> list[Result]:
    """Measure from a job's end to its status where one worker has one job at a time, in one machine and a cluster."""
    p50: Figures = {}
    p99: Figures = {}
    alone = JobSystem(OURS, lambda: "", partial(_start_alone, workers=1, watch=WATCH))
    for system in bench.alternating([alone, _clustered(1, workers=1, watch=WATCH)]):
        with Crew() as crew:
            workload = bench.size.cluster
            chain = system.start(crew, Setup(workload=workload, folder=str(crew.folder)))
            delays: list[float] = run(chain, workload.events)[1]["delays"]
        p50.setdefault(system.name, []).append(statistics.median(delays))
        p99.setdefault(system.name, []).append(statistics.quantiles(delays, n=100)[-1])
        bench.say(f"  {system.name}: p50 {p50[system.name][-1]:.2f} ms, p99 {p99[system.name][-1]:.2f} ms")
    unit = "ms from a job's end to its status"
    return [
        Result("cluster-delay-p50", unit, p50, better="lower"),
        Result("cluster-delay-p99", unit, p99, better="lower"),
    ]


def consume(parent: Parent, setup: Setup) -> None:
    """Be whoever looks at the variants, and note how long after each job's end its status came."""
    completed: dict[tuple[str, int], int] = {}
    delays: list[float] = []
    with Subscriber([setup.addresses["learning"]], ["variant.status"], start=Start.NOW) as subscriber:
        subscriber.wait_ready(START_SECONDS)
        parent.tell("ready")
        while sum(completed.values()) < setup.workload.events:
            for delivery in subscriber.receive():
                status = delivery.message
                if not isinstance(status, VariantStatus):
                    continue
                variant = status.experiment_id, status.variant_index
                if status.completed > completed.get(variant, 0):
                    delays.append((time.time() - status.updated_at) * 1e3)
                    completed[variant] = status.completed
        parent.tell("received", end=time.monotonic_ns(), delays=delays, notices=len(subscriber.notices))
        parent.wait("stop")


def _clustered(runners: int, workers: int = our_jobs.WORKERS, watch: str = WATCH) -> JobSystem:
    """Return our services over a cluster, with some runners."""

    def start(crew: Crew, setup: Setup) -> Chain:
        nodes = ("cluster", "up", "--nodes", str(NODES), "--data-dir", str(crew.folder / "nodes"))
        line = crew.start("nodes", COMMAND, *nodes).wait_for_line("nats://")
        cluster = ("--cluster", line[line.index("nats://") :].split()[0])
        started = tuple(
            our_jobs.start_runner(crew, f"runner-{number}", *cluster, workers=workers) for number in range(runners)
        )
        learning, control = ours.start_service(crew, *cluster)
        producer, subscriber = our_jobs.join(crew, setup, control, watch)
        return Chain(producer, learning, subscriber, started)

    return JobSystem(f"cluster-{runners}", lambda: "", start)


def _start_alone(crew: Crew, setup: Setup, *, workers: int, watch: str) -> Chain:
    """Start our services on one machine, with some workers."""
    runner = our_jobs.start_runner(crew, "runner", workers=workers)
    learning, control = ours.start_service(crew, "--runner", ours.control_of(runner))
    producer, subscriber = our_jobs.join(crew, setup, control, watch)
    return Chain(producer, learning, subscriber, (runner,))


def _jobs(bench: Bench, system: JobSystem) -> tuple[float, float]:
    """Return jobs a second and what one costs in all processes; say which part of that each kind has."""
    workload = bench.size.cluster
    with Crew() as crew:
        chain = system.start(crew, Setup(workload=workload, folder=str(crew.folder)))
        kinds = _kinds(crew, chain)
        before = {kind: _used(children) for kind, children in kinds.items()}
        sent, received = run(chain, workload.events)
        costs = {kind: (_used(kinds[kind]) - used) / workload.events * 1e6 for kind, used in before.items()}
    rate: float = workload.events / (received["end"] - sent["start"]) * 1e9
    each = ", ".join(f"{kind} {cost:,.0f}" for kind, cost in costs.items())
    bench.say(f"  {system.name}: {rate:,.0f} jobs/s, {sum(costs.values()):,.0f} µs a job ({each})")
    return rate, sum(costs.values())


def _kinds(crew: Crew, chain: Chain) -> dict[str, list[Child]]:
    """Return the processes by what they are."""
    named = {"workers": list(chain.workers), "service": [chain.service], "ends": [chain.producer, chain.consumer]}
    known = [child for children in named.values() for child in children]
    return {**named, "servers": [child for child in crew.children if child not in known]}


def _used(children: list[Child]) -> float:
    """Return the processor time of processes and what they have started, in seconds."""
    found = [one for child in children for one in (child.process, *child.process.children(recursive=True))]
    times: list[psutil._ntuples.pcputimes] = [process.cpu_times() for process in found]
    return float(sum(one.user + one.system for one in times))
