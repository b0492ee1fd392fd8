"""A job's whole way: submitted, run, and its `variant.status` at a subscriber, with everything durable."""

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.chain import run
from benchmarks.crew import CpuTime, Crew
from benchmarks.profile import Profiler
from benchmarks.results import Figures, Result
from benchmarks.role import Setup
from benchmarks.systems import JobSystem


def jobs(bench: Bench) -> list[Result]:
    """Measure jobs a second, from just before the first is submitted to the last status at the subscriber."""
    figures: Figures = {}
    for system in bench.alternating(bench.job_systems):
        figures.setdefault(system.name, []).append(_jobs(bench, system))
    return [Result("jobs", "jobs/s", figures, better="higher")]


def _jobs(bench: Bench, system: JobSystem) -> float:
    workload = bench.size.jobs
    with Crew() as crew, ExitStack() as stack:
        chain = system.start(crew, Setup(workload=workload, folder=str(crew.folder)))
        cpu = CpuTime(*crew.children)
        watched = (*chain.workers, chain.service) if bench.profile else ()
        profilers = [stack.enter_context(Profiler(child, crew.folder)) for child in watched]
        sent, received = run(chain, workload.events)
        for profiler in profilers:
            bench.say(profiler.report())
        cost = cpu.seconds() / workload.events * 1e6
    rate: float = workload.events / (received["end"] - sent["start"]) * 1e9
    bench.say(f"  {system.name}: {rate:,.0f} jobs/s, {cost:,.0f} µs of processor time a job in all processes")
    return rate
