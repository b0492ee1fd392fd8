"""The metrics of a process, collected on request: the control method `metrics`.

Each part counts in simple numbers and returns them as points (name, labels, value). Names follow the conventions
of Prometheus: base units, and `_total` at the end of what only grows until the process ends.
"""

import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import zmq

from bus.protocol import topics
from bus.protocol.control import Labels, Metric, Number, Sample
from bus.protocol.frames import PROTOCOL, Record

Point = tuple[str, Labels, Number]
Provider = Callable[[], Iterable[Point]]

HELP: Final = {
    "variantbus_info": "Always 1; the labels say what runs.",
    "variantbus_uptime_seconds": "How long the process has run.",
    "process_cpu_seconds_total": "Processor time used.",
    "process_resident_memory_bytes": "Memory in use.",
    "process_open_fds": "Open file descriptors.",
    "process_max_fds": "How many file descriptors the process may open.",
}
KINDS_LIMIT: Final = 100  # kinds of topics that are counted apart; the rest are "other"
TOPICS_LIMIT: Final = 10_000  # whose kind is remembered


class Metrics:
    """The registry of the metrics of a service."""

    def __init__(self) -> None:
        """Start with none."""
        self._providers: list[Provider] = []
        self._help: dict[str, str] = {}

    def add(self, provider: Provider, help_texts: Mapping[str, str]) -> None:
        """Register a function that returns points; `help_texts` declares the names that it uses."""
        self._providers.append(provider)
        self._help |= help_texts

    def collect(self) -> list[Metric]:
        """Return all metrics, in the order in which their names were declared."""
        samples: dict[str, list[Sample]] = {name: [] for name in self._help}
        for provider in self._providers:
            for name, labels, value in provider():
                samples[name].append(Sample(labels=labels, value=value))
        return [
            Metric(
                name=name, kind="counter" if name.endswith("_total") else "gauge", help=self._help[name], samples=found
            )
            for name, found in samples.items()
            if found
        ]


class Traffic:
    """Counts events and bytes by the first two tokens of their topics, at the cost of one look-up an event."""

    def __init__(self) -> None:
        """Start with none."""
        self._kinds: dict[str, list[int]] = {}
        self._by_topic: dict[str, list[int]] = {}  # the same lists

    def count(self, topic: str, size: int) -> None:
        """Count one event."""
        entry = self._by_topic.get(topic) or self._entry(topic)
        entry[0] += 1
        entry[1] += size

    def count_records(self, records: Sequence[Record]) -> None:
        """Count sent records: the hot path."""
        known, entry_of = self._by_topic.get, self._entry
        for record in records:
            entry = known(record.topic) or entry_of(record.topic)
            entry[0] += 1
            entry[1] += len(record.body)

    def points(self, events: str, size: str | None = None) -> Iterator[Point]:
        """Yield the numbers of events, and of bytes, under these names."""
        for kind, (count, total) in self._kinds.items():
            labels = {"topic": kind}
            yield events, labels, count
            if size:
                yield size, labels, total

    def _entry(self, topic: str) -> list[int]:
        if len(self._by_topic) >= TOPICS_LIMIT:
            self._by_topic.clear()
        kind = topics.prefixes(topic)[:2][-1].rstrip(".")
        if kind not in self._kinds and len(self._kinds) >= KINDS_LIMIT:
            kind = "other"
        entry = self._by_topic[topic] = self._kinds.setdefault(kind, [0, 0])
        return entry


def process_points(version: str) -> Provider:
    """Return the provider of the points of the process: versions, uptime and resources."""
    import platform  # noqa: PLC0415 - a command that asks a service tells no points of its own
    import sqlite3  # noqa: PLC0415 - the same

    started = time.monotonic()
    info = {
        "version": version,
        "protocol": str(PROTOCOL),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libzmq": zmq.zmq_version(),
    }

    def points() -> Iterator[Point]:
        yield "variantbus_info", info, 1
        yield "variantbus_uptime_seconds", {}, time.monotonic() - started
        yield "process_cpu_seconds_total", {}, time.process_time()
        with suppress(OSError):
            resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            yield "process_resident_memory_bytes", {}, resident * resource.getpagesize()
        with suppress(OSError):
            yield "process_open_fds", {}, len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 - names alone; one is this look's own
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed != resource.RLIM_INFINITY:
            yield "process_max_fds", {}, allowed

    return points
