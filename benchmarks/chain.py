"""Through the whole chain: `job.completed` → routing → `variant.status`, as fast as it goes, or one by one."""

import contextlib
import statistics
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.crew import BenchmarkError, CpuTime, Crew
from benchmarks.ours import SLOWEST
from benchmarks.profile import Profiler
from benchmarks.results import Figures, Result
from benchmarks.role import Setup
from benchmarks.systems import Chain, System

PATIENCE_SECONDS: Final = 60.0


def throughput(bench: Bench) -> list[Result]:
    """Measure events a second, from the first publish to the last status, and what each costs in the middle."""
    rates: Figures = {}
    costs: Figures = {}
    for system in bench.alternating(bench.systems):
        rate, cost = _throughput(bench, system)
        rates.setdefault(system.name, []).append(rate)
        costs.setdefault(system.name, []).append(cost)
    return [
        Result("chain-throughput", "events/s", rates, better="higher"),
        Result("chain-cost", "µs of processor time an event in the middle", costs, better="lower"),
    ]


def latency(bench: Bench) -> list[Result]:
    """Measure from the publishing of an event to its status at the subscriber, at a low steady rate."""
    p50: Figures = {}
    p99: Figures = {}
    for system in bench.alternating(bench.systems):
        delays = _delays(bench, system)
        p50.setdefault(system.name, []).append(statistics.median(delays))
        p99.setdefault(system.name, []).append(statistics.quantiles(delays, n=100)[-1])
        bench.say(f"  {system.name}: p50 {p50[system.name][-1]:.3f} ms, p99 {p99[system.name][-1]:.3f} ms")
    return [Result("latency-p50", "ms", p50, better="lower"), Result("latency-p99", "ms", p99, better="lower")]


def _throughput(bench: Bench, system: System) -> tuple[float, float]:
    workload = bench.size.chain
    with Crew() as crew:
        chain = system.start_chain(crew, Setup(workload=workload, folder=str(crew.folder)))
        cpu = CpuTime(chain.service)
        with Profiler(chain.service, crew.folder) if bench.profile else contextlib.nullcontext() as profiler:
            sent, received = run(chain, workload.events)
            if profiler:
                bench.say(profiler.report())
        cost = cpu.seconds() / workload.events * 1e6
    rate: float = workload.events / (received["end"] - sent["start"]) * 1e9
    bench.say(f"  {system.name}: {rate:,.0f} events/s, {cost:.1f} µs of processor time an event in the middle")
    return rate, cost


def _delays(bench: Bench, system: System) -> list[float]:
    """Return milliseconds, event by event: both ends read the one monotonic clock of the machine."""
    workload = bench.size.latency
    with Crew() as crew:
        setup = Setup(workload=workload, folder=str(crew.folder), interval=bench.size.interval)
        sent, received = run(system.start_chain(crew, setup), workload.events)
    return [(end - start) / 1e6 for start, end in zip(sent["sent"], received["received"], strict=True)]


def run(chain: Chain, events: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let a chain do its work, and give what producer and consumer say of it.

    Raises:
        BenchmarkError: the consumer was told that something is lost.
    """
    patience = PATIENCE_SECONDS + events / SLOWEST
    chain.producer.send("go")
    sent = chain.producer.wait_for("sent", patience)
    received = chain.consumer.wait_for("received", patience)
    if received.get("notices"):
        raise BenchmarkError(f"{received['notices']} notices at the subscriber: something was lost")
    return sent, received
