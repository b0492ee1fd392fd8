"""What a process counts and measures, gathered when somebody asks: the control method `metrics`.

The objects that know keep plain numbers; each gives them as points (name, labels, value). Names follow the conventions
of Prometheus: base units, and `_total` at the end of what only grows until the process ends.
"""

import os
import platform
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import zmq
from msgspec import Struct

from bus.eventlog.log import Log
from bus.protocol import topics, wire
from bus.protocol.wire import Record

Labels = dict[str, str]
Number = int | float
Point = tuple[str, Labels, Number]
Provider = Callable[[], Iterable[Point]]

HELP: Final = {
    "variantbus_info": "Always 1; the labels say what runs.",
    "variantbus_uptime_seconds": "How long the process has run.",
    "process_cpu_seconds_total": "Processor time used.",
    "process_resident_memory_bytes": "Memory in use.",
    "process_open_fds": "Open file descriptors.",
    "process_max_fds": "How many file descriptors the process may open.",
    "variantbus_log_info": "Always 1; the label is the epoch of the log.",
    "variantbus_log_head_offset": "Offset of the newest event.",
    "variantbus_log_first_offset": "Offset of the oldest event that is kept.",
    "variantbus_log_oldest_event_age_seconds": "Age of the oldest event that is kept.",
    "variantbus_log_size_bytes": "Size of the database file (db), and of what waits to be merged into it (wal).",
    "variantbus_log_free_bytes": "Room on the disk of the database.",
    "variantbus_log_writable": "0 after a transaction that could not be written, until one is or nobody tries.",
    "variantbus_log_write_failures_total": "Transactions that could not be written: the disk was full or read-only.",
    "variantbus_log_damaged_records": "Records that were found to fail their checksum, since the start.",
    "variantbus_log_removed_events_total": "Events that retention has removed.",
    "variantbus_events_published_total": "Logged events sent on the feed, by the first two tokens of the topic.",
    "variantbus_events_published_bytes_total": "Bytes of their bodies.",
    "variantbus_events_ephemeral_total": "Events sent on the feed that are not logged.",
    "variantbus_requests_total": "Requests answered, by method, with ok or the code of the error.",
    "variantbus_requests_dropped_total": "Requests that could not be answered.",
    "variantbus_connections_total": "Connections of keys, admitted or denied; where there are keys.",
    "variantbus_replies_dropped_total": "Replies that nobody took: the client has gone, or does not read.",
    "variantbus_consumer_lag_events": "Offsets between a publisher's head and what has been handed over of a prefix.",
    "variantbus_consumer_silence_seconds": "Time since anything was heard of a publisher.",
    "variantbus_consumer_ready": "1 while all subscriptions at a publisher are active.",
    "variantbus_consumer_delivered_total": "Logged events handed over.",
    "variantbus_consumer_gaps_total": "How often events were missing and had to be fetched; so does every catching up.",
    "variantbus_consumer_refetched_total": "Events that came by fetching, not by the feed.",
    "variantbus_consumer_malformed_total": "Messages of the feed that were dropped as they break the protocol.",
    "variantbus_consumer_reconnects_total": "Connections made anew because the publisher was silent.",
    "variantbus_consumer_notices_total": "What a publisher could not give: truncated, rewound or damaged.",
    "variantbus_jobs": "Jobs of the runner that are queued or running.",
    "variantbus_jobs_unassigned": "Planned jobs for which no runner has been chosen yet.",
    "variantbus_events_routed_total": "What became of the events of runners.",
    "variantbus_events_waiting": "Events that wait because the learning service cannot write.",
    "variantbus_runner_up": "1 while a runner answers the learning service.",
    "variantbus_runner_unfollowed": "1 for a runner that has unended jobs but is not followed by the learning service.",
}
STALE_SECONDS: Final = 30.0  # services try every second to write what waits; a failure of long ago left nothing behind
KINDS_LIMIT: Final = 100  # kinds of topics that are counted apart; the rest are "other"
TOPICS_LIMIT: Final = 10_000  # whose kind is remembered


class Sample(Struct, frozen=True, kw_only=True):
    """One value, with the labels that tell it from others of its name."""

    labels: Labels
    value: Number


class Metric(Struct, frozen=True, kw_only=True):
    """All values of one name."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: list[Sample]


class MetricsReply(Struct, frozen=True, kw_only=True):
    """Answer to `metrics`."""

    service: str
    version: str
    metrics: list[Metric]


class Metrics:
    """Where the parts of a service say what they have counted."""

    def __init__(self) -> None:
        """Start with none."""
        self._providers: list[Provider] = []

    def add(self, provider: Provider) -> None:
        """Have a function called for its points whenever somebody asks."""
        self._providers.append(provider)

    def collect(self) -> list[Metric]:
        """Give all that is known now, in the order of `HELP`."""
        samples: dict[str, list[Sample]] = {name: [] for name in HELP}
        for provider in self._providers:
            for name, labels, value in provider():
                samples[name].append(Sample(labels=labels, value=value))
        return [
            Metric(name=name, kind="counter" if name.endswith("_total") else "gauge", help=HELP[name], samples=found)
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
        """Count what was just sent: the hot path."""
        known, entry_of = self._by_topic.get, self._entry
        for record in records:
            entry = known(record.topic) or entry_of(record.topic)
            entry[0] += 1
            entry[1] += len(record.body)

    def points(self, events: str, size: str | None = None) -> Iterator[Point]:
        """Give the numbers of events, and of bytes, under these names."""
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
    """Tell of the process: what runs, since when, and what it uses. What the system does not tell is left out."""
    started = time.monotonic()
    info = {
        "version": version,
        "protocol": str(wire.PROTOCOL),
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


def log_points(log: Log) -> Iterator[Point]:
    """Tell of a log: its ends, its size, and the room around it."""
    yield "variantbus_log_info", {"epoch": str(log.epoch)}, 1
    yield "variantbus_log_head_offset", {}, log.head
    first = log.first
    yield "variantbus_log_first_offset", {}, first
    for record in log.fetch("", first - 1, limit=1).records:
        yield "variantbus_log_oldest_event_age_seconds", {}, max(0.0, time.time() - record.time_ns / 1e9)
    for file, suffix in (("db", ""), ("wal", "-wal")):
        with suppress(OSError):
            yield "variantbus_log_size_bytes", {"file": file}, Path(f"{log.path}{suffix}").stat().st_size
    with suppress(OSError):
        yield "variantbus_log_free_bytes", {}, shutil.disk_usage(log.path.parent).free
    well = log.failed_at is None or time.monotonic() - log.failed_at > STALE_SECONDS
    yield "variantbus_log_writable", {}, int(well)
    yield "variantbus_log_write_failures_total", {}, log.write_failures
    for reason, count in log.removed.items():
        yield "variantbus_log_removed_events_total", {"reason": reason}, count
