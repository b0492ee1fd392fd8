"""What the learning service costs as it tracks more and more experiments: processor time an event, and memory.

The services, each with its number of experiments, live side by side. In each round each of them gets the same number of
events of experiments of the same shape; all other experiments wait for their jobs.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.chain import PATIENCE_SECONDS
from benchmarks.crew import Child, CpuTime, Crew
from benchmarks.ours import SLOWEST
from benchmarks.results import Figures, Result
from benchmarks.role import Setup
from benchmarks.systems import OURS
from benchmarks.workload import IDLE_VARIANTS


@dataclass
class _Service:
    """One learning service with so many experiments."""

    tracked: int
    runner: Child
    service: Child
    subscriber: Child
    control: str
    resident: int  # bytes of memory when all was planned
    applied: int = 0
    costs: list[float] = field(default_factory=list)  # µs an event, round by round


def growth(bench: Bench) -> list[Result]:
    """Measure the same work beside more and more experiments that wait."""
    if OURS not in [system.name for system in bench.systems]:
        return []
    part = bench.size.growth.events // bench.rounds
    patience = PATIENCE_SECONDS + bench.size.growth.events / SLOWEST
    with ExitStack() as stack:
        services = [_start(bench, stack.enter_context(Crew()), tracked) for tracked in bench.size.tracked]
        for _ in range(bench.rounds):
            for one in services:
                cpu = CpuTime(one.service)
                one.runner.send("go")
                one.applied += part
                ours.wait_until_routed(one.control, one.applied)
                one.costs.append(cpu.seconds() / part * 1e6)
                bench.say(f"  {one.tracked:,} experiments: {one.costs[-1]:.1f} µs an event")
        for one in services:
            if one.applied < bench.size.growth.events:  # what the rounds could not share out evenly
                one.runner.send("go")
            one.subscriber.wait_for("received", patience)
    return _results(services)


def _start(bench: Bench, crew: Crew, tracked: int) -> _Service:
    workload = bench.size.growth
    idle = tracked - workload.experiments
    setup = Setup(workload=workload, folder=str(crew.folder), parts=bench.rounds, idle=idle)
    runner, service, subscriber, control = ours.start_chain(crew, setup)
    resident = service.process.memory_info().rss
    bench.say(f"  {tracked:,} experiments: {resident / 1e6:,.1f} MB")
    return _Service(tracked, runner, service, subscriber, control, resident)


def _results(services: list[_Service]) -> list[Result]:
    few, many = services[0], services[-1]
    variants = (many.tracked - few.tracked) * IDLE_VARIANTS
    ratios = [much / little for much, little in zip(many.costs, few.costs, strict=True)]
    unit = f"cost with {many.tracked:,} / with {few.tracked:,} experiments"
    results = [_ours(f"growth-cost-{one.tracked}", "µs/event", one.costs) for one in services]
    results += [_ours(f"growth-resident-{one.tracked}", "bytes", [one.resident]) for one in services]
    results.append(_ours("growth-cost-ratio", unit, ratios))
    results.append(_ours("growth-memory", "bytes/variant", [(many.resident - few.resident) / variants]))
    return results


def _ours(name: str, unit: str, rounds: list[float]) -> Result:
    figures: Figures = {OURS: rounds}
    return Result(name, unit, figures, better="lower")
