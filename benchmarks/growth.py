"""What the learning service costs as it tracks more experiments, or more jobs a variant: processor time, and memory.

The services, each of its size, live side by side. In each round each of them gets the same number of events, of
experiments of the same shape or with as many variants; all other experiments wait for their jobs.
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
from benchmarks.workload import IDLE_VARIANTS, Workload


@dataclass
class _Service:
    """One learning service of a size: so many experiments, or jobs a variant."""

    size: int
    runner: Child
    service: Child
    subscriber: Child
    control: str
    resident: int  # bytes of memory when all was planned
    applied: int = 0
    costs: list[float] = field(default_factory=list)  # µs an event, round by round


def growth(bench: Bench) -> list[Result]:
    """Measure the same work beside more and more experiments that wait, and in variants with more and more jobs."""
    if OURS not in [system.name for system in bench.systems]:
        return []
    active = bench.size.growth
    tracked = _measure(
        bench, "experiments", {number: (active, number - active.experiments) for number in bench.size.tracked}
    )
    deep = _measure(bench, "jobs a variant", {work.jobs_per_variant: (work, 0) for work in bench.size.deep})
    few, many = tracked[0], tracked[-1]
    a_variant = (many.resident - few.resident) / ((many.size - few.size) * IDLE_VARIANTS)
    return [
        *(_ours(f"growth-cost-{one.size}", "µs/event", one.costs) for one in tracked),
        *(_ours(f"growth-resident-{one.size}", "bytes", [one.resident]) for one in tracked),
        _ratio("growth-cost-ratio", "experiments", tracked),
        _ours("growth-memory", "bytes/variant", [a_variant]),
        *(_ours(f"growth-jobs-cost-{one.size}", "µs/event", one.costs) for one in deep),
        _ratio("growth-jobs-ratio", "jobs a variant", deep),
    ]


def _measure(bench: Bench, what: str, sizes: dict[int, tuple[Workload, int]]) -> list[_Service]:
    """Let services of some sizes work in turn; a size is the work and how many experiments wait beside it."""
    events = next(iter(sizes.values()))[0].events
    part, patience = events // bench.rounds, PATIENCE_SECONDS + events / SLOWEST
    with ExitStack() as stack:
        services = [
            _start(bench, stack.enter_context(Crew()), f"{size:,} {what}", size, *work) for size, work in sizes.items()
        ]
        for _ in range(bench.rounds):
            for one in services:
                cpu = CpuTime(one.service)
                one.runner.send("go")
                one.applied += part
                ours.wait_until_routed(one.control, one.applied)
                one.costs.append(cpu.seconds() / part * 1e6)
                bench.say(f"  {one.size:,} {what}: {one.costs[-1]:.1f} µs an event")
        for one in services:
            if one.applied < events:  # what the rounds could not share out evenly
                one.runner.send("go")
            one.subscriber.wait_for("received", patience)
    return services


def _start(bench: Bench, crew: Crew, name: str, size: int, workload: Workload, idle: int) -> _Service:
    setup = Setup(workload=workload, folder=str(crew.folder), parts=bench.rounds, idle=idle)
    runner, service, subscriber, control = ours.start_chain(crew, setup)
    resident = service.process.memory_info().rss
    bench.say(f"  {name}: {resident / 1e6:,.1f} MB")
    return _Service(size, runner, service, subscriber, control, resident)


def _ratio(name: str, what: str, services: list[_Service]) -> Result:
    few, many = services[0], services[-1]
    ratios = [much / little for much, little in zip(many.costs, few.costs, strict=True)]
    return _ours(name, f"cost with {many.size:,} / with {few.size:,} {what}", ratios)


def _ours(name: str, unit: str, rounds: list[float]) -> Result:
    figures: Figures = {OURS: rounds}
    return Result(name, unit, figures, better="lower")
