"""What the learning service costs as it tracks more and more experiments: processor time an event, and memory."""

from benchmarks.bench import Bench
from benchmarks.chain import run
from benchmarks.crew import CpuTime, Crew
from benchmarks.feed import LONG_ROUNDS
from benchmarks.results import Figures, Result
from benchmarks.role import Setup
from benchmarks.systems import OURS, SYSTEMS
from benchmarks.workload import IDLE_VARIANTS


def growth(bench: Bench) -> list[Result]:
    """Measure the same events in experiments of the same shape, beside more and more that wait."""
    if OURS not in [system.name for system in bench.systems]:
        return []
    costs: dict[int, list[float]] = {}
    memories: dict[int, list[float]] = {}
    for _ in range(min(bench.rounds, LONG_ROUNDS)):
        for tracked in bench.size.tracked:
            cost, memory = _measure(bench, tracked)
            costs.setdefault(tracked, []).append(cost)
            memories.setdefault(tracked, []).append(memory)
            bench.say(f"  {tracked:,} experiments: {cost:.1f} µs an event, {memory / 1e6:,.1f} MB")
    few, many = bench.size.tracked[0], bench.size.tracked[-1]
    ratios = [much / little for much, little in zip(costs[many], costs[few], strict=True)]
    variants = (many - few) * IDLE_VARIANTS
    grown = [(big - small) / variants for big, small in zip(memories[many], memories[few], strict=True)]
    results = [_ours(f"growth-cost-{tracked}", "µs/event", costs[tracked]) for tracked in costs]
    results += [_ours(f"growth-resident-{tracked}", "bytes", memories[tracked]) for tracked in memories]
    results.append(_ours("growth-cost-ratio", f"cost at {many:,} / at {few:,} experiments", ratios))
    results.append(_ours("growth-memory", "bytes/variant", grown))
    return results


def _measure(bench: Bench, tracked: int) -> tuple[float, float]:
    """Give µs of processor time an event, and bytes of resident memory when all is planned."""
    workload = bench.size.growth
    with Crew() as crew:
        setup = Setup(workload=workload, folder=str(crew.folder), idle=tracked - workload.experiments)
        chain = SYSTEMS[OURS].start_chain(crew, setup)
        memory = float(chain.service.process.memory_info().rss)
        cpu = CpuTime(chain.service)
        run(chain, workload.events)
        return cpu.seconds() / workload.events * 1e6, memory


def _ours(name: str, unit: str, rounds: list[float]) -> Result:
    figures: Figures = {OURS: rounds}
    return Result(name, unit, figures, better="lower")
