"""What is lost when a publisher is killed while it sends: calls that had returned, and of which nobody ever hears."""

import signal
import time
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks.bench import Bench
from benchmarks.chain import PATIENCE_SECONDS
from benchmarks.crew import Child, Crew, poll_until
from benchmarks.results import Figures, Result
from benchmarks.role import Setup, Tally
from benchmarks.systems import OURS, System

ONE_BY_ONE: Final = 1e-6  # seconds between two events: as fast as single calls go
QUIET_SECONDS: Final = 3.0  # without a further event, more will not come: heartbeats have asked for what was missed


def losses(bench: Bench) -> list[Result]:
    """Measure, for each way to publish, how many events are lost of those for which the call had returned.

    Where a server confirms a call later, those count that it had confirmed.
    """
    figures: Figures = {}
    for system in bench.alternating([one for one in bench.systems if not one.variation]):
        returned, seen = _killed(bench, system)
        figures.setdefault(system.name, []).append(max(0, returned - seen))
        bench.say(f"  {system.name}: {returned:,} calls had returned, {seen:,} events came")
    return [Result("losses-of-killed-publisher", "events", figures, better="lower")]


def _killed(bench: Bench, system: System) -> tuple[int, int]:
    """Kill a publisher at about the middle of its work; return how many calls had returned, and what came."""
    workload = bench.size.chain
    with Crew() as crew:
        returned, seen = crew.folder / "returned", crew.folder / "seen"
        setup = Setup(workload=workload, folder=str(crew.folder), interval=ONE_BY_ONE, tally=str(returned))
        producer, there = system.start_producer(crew, setup)
        listener = crew.role(system.listen, replace(there, tally=str(seen)))
        listener.wait_for("ready", PATIENCE_SECONDS)
        producer.send("go")
        for _ in poll_until(PATIENCE_SECONDS, "half of the events"):
            if Tally.read(returned) >= workload.events // 2:
                break
        _kill(crew, producer)
        count = Tally.read(returned)  # it cannot grow any more
        if system.name == OURS:
            # whoever publishes is started again, as a service manager would do it, and has what it had
            crew.dismiss(listener)
            _, there = system.start_producer(crew, replace(setup, tally=""))
            crew.role(system.listen, replace(there, tally=str(seen)))
        return count, _last(seen)


def _kill(crew: Crew, child: Child) -> None:
    child.popen.send_signal(signal.SIGKILL)
    crew.dismiss(child)


def _last(path: Path) -> int:
    """Return a count once it stands still."""
    last, since = -1, time.monotonic()
    for _ in poll_until(PATIENCE_SECONDS, "the last event"):
        count = Tally.read(path)
        if count != last:
            last, since = count, time.monotonic()
        if time.monotonic() - since > QUIET_SECONDS:
            break
    return last
