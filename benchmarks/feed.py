"""The publisher and its subscribers alone: how fast many hear what is new, and one reads what was."""

import time
from typing import Final

from msgspec.structs import replace

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.chain import PATIENCE_SECONDS
from benchmarks.crew import Crew
from benchmarks.ours import SLOWEST
from benchmarks.results import Figures, Result
from benchmarks.role import Setup
from benchmarks.systems import OURS, System

LISTENING_PROCESSES: Final = 2
LONG_ROUNDS: Final = 3  # of what takes minutes


def fan_out(bench: Bench) -> list[Result]:
    """Measure deliveries a second, to all subscribers together."""
    systems = [system for system in bench.systems if not system.variation]
    results = []
    for subscribers in bench.size.fan_out:
        figures: Figures = {}
        for system in bench.alternating(systems):
            rate = _fan_out(bench, system, subscribers)
            figures.setdefault(system.name, []).append(rate)
            bench.say(f"  {system.name}: {rate:,.0f} deliveries/s to {subscribers}")
        results.append(Result(f"fan-out-{subscribers}", "deliveries/s", figures, better="higher"))
    return results


def catch_up(bench: Bench) -> list[Result]:
    """Measure events a second of a new subscriber who reads all that was logged, and of a rebuilt learning service."""
    systems = [system for system in bench.systems if system.keeps and not system.variation]
    read: Figures = {}
    rebuilt: Figures = {}
    for system in bench.alternating(systems, LONG_ROUNDS):
        _catch_up(bench, system, read, rebuilt)
    return [
        Result("catch-up-subscriber", "events/s", read, better="higher"),
        Result("catch-up-rebuilt-service", "events/s", rebuilt, better="higher"),
    ]


def _fan_out(bench: Bench, system: System, subscribers: int) -> float:
    workload = bench.size.fan_out[subscribers]
    patience = PATIENCE_SECONDS + subscribers * workload.events / SLOWEST
    processes = min(LISTENING_PROCESSES, subscribers)
    shares = [subscribers // processes + (number < subscribers % processes) for number in range(processes)]
    with Crew() as crew:
        producer, there = system.start_producer(crew, Setup(workload=workload, folder=str(crew.folder)))
        listeners = [crew.role(system.listen, replace(there, subscribers=share)) for share in shares]
        for listener in listeners:
            listener.wait_for("ready", patience)
        producer.send("go")
        start = producer.wait_for("sent", patience)["start"]
        end = max(listener.wait_for("received", patience)["end"] for listener in listeners)
    rate: float = subscribers * workload.events / (end - start) * 1e9
    return rate


def _catch_up(bench: Bench, system: System, read: Figures, rebuilt: Figures) -> None:
    workload = bench.size.catch_up
    patience = PATIENCE_SECONDS + workload.events / SLOWEST
    with Crew() as crew:
        setup = Setup(workload=workload, folder=str(crew.folder), prepared=False)
        producer, there = system.start_producer(crew, setup)
        producer.send("go")
        producer.wait_for("sent", patience)
        listener = crew.role(system.listen, there)
        told = listener.wait_for("received", patience)
        rate = workload.events / (told["end"] - told["start"]) * 1e9
        read.setdefault(system.name, []).append(rate)
        bench.say(f"  {system.name}: a new subscriber reads {rate:,.0f} events/s")
        crew.dismiss(listener)
        if system.name == OURS:
            start = time.monotonic()
            _, control = ours.start_service(crew, "--runner", there.addresses["runner"], "--discover")
            ours.wait_until_routed(control, workload.events)
            rate = workload.events / (time.monotonic() - start)
            rebuilt.setdefault(OURS, []).append(rate)
            bench.say(f"  {system.name}: a rebuilt learning service applies {rate:,.0f} events/s")
