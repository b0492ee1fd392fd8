"""The metrics of a log."""

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from bus.eventlog.log import Log
from bus.telemetry.metrics import Point

HELP: Final = {
    "variantbus_log_info": "Always 1; the label is the epoch of the log.",
    "variantbus_log_head_offset": "Offset of the newest event.",
    "variantbus_log_first_offset": "Offset of the oldest event that is kept.",
    "variantbus_log_oldest_event_age_seconds": "Age of the oldest event that is kept.",
    "variantbus_log_size_bytes": "Size of the database file (db), and of what waits to be merged into it (wal).",
    "variantbus_database_bytes": "What the database file holds: events (log), all else (state), unused pages (free).",
    "variantbus_log_free_bytes": "Room on the disk of the database.",
    "variantbus_log_writable": "0 after a transaction or the head could not be written, until it is or nobody tries.",
    "variantbus_log_write_failures_total": "Transactions that could not be written: the disk was full or read-only.",
    "variantbus_log_damaged_records": "Records that were found to be damaged or missing, since the start.",
    "variantbus_log_damaged_rows": "Rows of state that were damaged and are not restored.",
    "variantbus_log_removed_events_total": "Events that retention has removed.",
}


def log_points(log: Log) -> Iterator[Point]:
    """Yield the points of a log: its ends, its size, and the room around it."""
    yield "variantbus_log_info", {"epoch": str(log.epoch)}, 1
    yield "variantbus_log_head_offset", {}, log.head
    first = log.first
    yield "variantbus_log_first_offset", {}, first
    for record in log.fetch("", first - 1, limit=1).records:
        yield "variantbus_log_oldest_event_age_seconds", {}, max(0.0, time.time() - record.time_ns / 1e9)
    for file, suffix in (("db", ""), ("wal", "-wal")):
        with suppress(OSError):
            yield "variantbus_log_size_bytes", {"file": file}, Path(f"{log.path}{suffix}").stat().st_size
    used, free = log.space
    for part, size in (("log", log.size), ("state", max(0, used - log.size)), ("free", free)):
        yield "variantbus_database_bytes", {"part": part}, size
    with suppress(OSError):
        yield "variantbus_log_free_bytes", {}, shutil.disk_usage(log.path.parent).free
    yield "variantbus_log_writable", {}, int(log.writable)
    yield "variantbus_log_write_failures_total", {}, log.write_failures
    yield "variantbus_log_damaged_records", {}, log.damaged
    for table, count in Counter(row.table for row in log.damaged_rows()).items():
        yield "variantbus_log_damaged_rows", {"table": table}, count
    for reason, count in log.removed.items():
        yield "variantbus_log_removed_events_total", {"reason": reason}, count
