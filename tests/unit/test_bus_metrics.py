"""What is counted: names, kinds and bounds."""

import re

import msgspec
import pytest
from msgspec import Raw

from bus.protocol.control import Sample
from bus.protocol.frames import Record
from bus.telemetry import metrics
from bus.telemetry.metrics import Metrics, Traffic
from tests.support.metrics import ALL_HELP

UNITS = ("seconds", "bytes", "total", "info")
COUNTS = {  # gauges without a unit: numbers of things, offsets, and states
    "process_open_fds",
    "process_max_fds",
    "variantbus_log_head_offset",
    "variantbus_log_first_offset",
    "variantbus_log_writable",
    "variantbus_log_damaged_records",
    "variantbus_consumer_lag_events",
    "variantbus_consumer_ready",
    "variantbus_consumer_wrong_feed",
    "variantbus_jobs",
    "variantbus_jobs_unassigned",
    "variantbus_outputs_writable",
    "variantbus_events_waiting",
    "variantbus_runner_up",
    "variantbus_experiments_shared",
    "variantbus_experiments_to_purge",
    "variantbus_experiment_failures",
    "variantbus_log_damaged_rows",
    "variantbus_runner_unfollowed",
    "variantbus_runner_waiting",
    "variantbus_cluster_connected",
    "variantbus_cluster_tickets",
    "variantbus_cluster_ends_waiting",
    "variantbus_cluster_leads",
    "variantbus_cluster_consumer_redelivered",
    "variantbus_cluster_stream_head",
    "variantbus_cluster_consumer_pending",
    "variantbus_cluster_stream_copies",
    "variantbus_cluster_ends_head",
    "variantbus_cluster_consumer_running",
    "variantbus_cluster_stream_messages",
    "variantbus_cluster_replica_lag",
    "variantbus_cluster_runners",
    "variantbus_cluster_ends_position",
    "variantbus_ledger_sequence",
}


@pytest.mark.parametrize("name", ALL_HELP)
def test_names_follow_the_conventions_of_prometheus(name: str) -> None:
    """Base units at the end, `_total` for what only grows, and a sentence that explains it."""
    assert re.fullmatch(r"(variantbus|process)(_[a-z]+)+", name)
    assert name.endswith(UNITS) or name in COUNTS
    assert ALL_HELP[name].endswith(".")


def records(*topics: str, size: int = 3) -> list[Record]:
    """Make records of some topics."""
    return [Record(offset, topic, 1, Raw(b"x" * size)) for offset, topic in enumerate(topics, 1)]


def test_events_are_counted_by_the_first_two_tokens() -> None:
    """With their bytes; a topic of one token counts for itself."""
    traffic = Traffic()
    traffic.count_records(records("job.queued.exp-1.0.", "job.queued.exp-2.0.", "job.completed.", "alone."))
    traffic.count("job.queued.exp-1.0.", 10)

    points = list(traffic.points("events", "bytes"))

    assert {labels["topic"]: value for name, labels, value in points if name == "events"} == {
        "job.queued": 3,
        "job.completed": 1,
        "alone": 1,
    }
    assert {labels["topic"]: value for name, labels, value in points if name == "bytes"} == {
        "job.queued": 16,
        "job.completed": 3,
        "alone": 3,
    }


def test_many_topics_take_bounded_memory_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many kinds, the rest are counted together."""
    monkeypatch.setattr(metrics, "KINDS_LIMIT", 10)
    monkeypatch.setattr(metrics, "TOPICS_LIMIT", 20)
    traffic = Traffic()
    for number in range(100):
        traffic.count_records(records(f"sensor.{number}.x.", f"sensor.{number % 5}.y."))

    counts = {labels["topic"]: value for _, labels, value in traffic.points("events")}

    assert sum(counts.values()) == 200
    assert len(counts) == 11
    assert counts["sensor.0"] == 21
    assert len(traffic._by_topic) <= 20


def test_what_several_parts_tell_of_one_name_is_one_metric() -> None:
    """In the order of declaration; names tell counters from gauges; what nobody reports is left out."""
    gathered = Metrics()
    gathered.add(lambda: [("variantbus_requests_total", {"method": "info", "code": "ok"}, 2)], ALL_HELP)
    gathered.add(
        lambda: [("variantbus_jobs", {"state": "queued"}, 1), ("variantbus_jobs", {"state": "running"}, 0)], {}
    )
    gathered.add(lambda: [("variantbus_requests_total", {"method": "check", "code": "ok"}, 1)], {})

    requests, jobs = gathered.collect()

    assert (requests.name, requests.kind, jobs.name, jobs.kind) == (
        "variantbus_requests_total",
        "counter",
        "variantbus_jobs",
        "gauge",
    )
    assert [sample.value for sample in requests.samples] == [2, 1]
    assert jobs.samples == [Sample(labels={"state": "queued"}, value=1), Sample(labels={"state": "running"}, value=0)]
    assert msgspec.msgpack.encode(jobs)
