"""What publishers, the learning service and the runner tell of themselves, and the page that Prometheus reads."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from bus.eventlog.log import STALE_SECONDS
from bus.protocol.control import ControlError, Metric, MetricsReply, Sample
from bus.subscriber.sync import Start, Subscriber
from bus.telemetry.prometheus import exposition
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import ServiceThread
from tests.support.helpers import PATIENCE, REPLY_SECONDS, Service, collect, wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    TOO_MUCH,
    HeldPipeline,
    Services,
    address_of,
    create,
    fill_up,
    make_room,
    query,
    wait_for,
)
from tests.support.metrics import ALL_HELP
from variantbus.cli.main import main
from variantbus.reports.health import Readings

ROOT: Final = Path(__file__).parents[2]
Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]


def metrics_of(address: str) -> list[Metric]:
    """Ask a service."""
    return request(address, "metrics", {}, MetricsReply, REPLY_SECONDS).metrics


def reading(address: str, name: str, **labels: str) -> Any:
    """Ask a service for one number; 0 where it has not counted yet."""
    return Readings(metrics_of(address)).get(name, **labels) or 0


def test_every_metric_is_explained_in_the_documentation() -> None:
    """docs/operations.md lists each name, and none that does not exist."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `((?:variantbus|process)_\w+)", page, re.MULTILINE)

    assert sorted(listed) == sorted([*ALL_HELP, "variantbus_up"])


def test_a_publisher_counts_what_it_sends_and_answers(serve: Serve, tmp_path: Path) -> None:
    """Events and bytes by kind, requests by method and outcome; what others make up gets no label of its own."""
    service = serve(tmp_path / "log.db")
    service.append(("a.x.1.", 1), ("a.x.2.", 2), ("b.", 3))
    for method in ("info", "info", "made-up", "made-up-too"):
        try:
            request(service.address, method, {}, dict[str, Any], REPLY_SECONDS)
        except ControlError as error:
            assert error.code == "unknown_method"  # noqa: PT017 - the others must not raise

    found = Readings(metrics_of(service.address))

    assert found.get("variantbus_events_published_total", topic="a.x") == 2
    assert found.get("variantbus_events_published_total", topic="b") == 1
    assert found.get("variantbus_events_published_bytes_total", topic="b") == len(_body(service, 3))
    assert found.get("variantbus_requests_total", method="info", code="ok") == 2
    assert found.get("variantbus_requests_total", method="unknown", code="unknown_method") == 2
    assert (found.get("variantbus_log_head_offset"), found.get("variantbus_log_first_offset")) == (3, 1)
    assert found.get("variantbus_log_writable") == 1
    assert 0 <= (found.get("variantbus_log_oldest_event_age_seconds") or -1) < 600
    for name in ("variantbus_log_size_bytes", "variantbus_log_free_bytes", "process_open_fds", "process_max_fds"):
        assert (found.get(name) or 0) > 0
    parts = {labels["part"]: size for labels, size in found.all("variantbus_database_bytes")}
    ((used, free),) = [service.call(lambda: service.log.space)]
    assert sum(parts.values()) == used + free
    assert parts["log"] == service.call(lambda: service.log.size)
    ((labels, _),) = found.all("variantbus_log_info")
    assert labels == {"epoch": str(service.log.epoch)}


def test_a_failure_to_write_of_long_ago_is_no_alarm(serve: Serve, tmp_path: Path) -> None:
    """What waits is tried every second; a single request that was refused on a full disk leaves nothing behind."""
    service = serve(tmp_path / "log.db")
    for seconds, expected in ((1, 0), (STALE_SECONDS + 1, 1)):
        service.log._failed_at = time.monotonic() - seconds
        assert reading(service.address, "variantbus_log_writable") == expected


def _body(service: Service, offset: int) -> bytes:
    (record,) = service.call(lambda: service.log.fetch("", offset - 1)).records
    return record.body


def test_a_damaged_record_is_counted_once_however_often_it_is_read(serve: Serve, tmp_path: Path) -> None:
    """The number is that of records."""
    service = serve(tmp_path / "log.db")
    service.append(("a.", 1), ("a.", 2), ("a.", 3))
    service.call(lambda: service.log._db.execute('UPDATE log SET crc = crc + 1 WHERE "offset" = 2'))
    for _ in range(3):
        request(service.address, "fetch", {}, dict[str, Any], REPLY_SECONDS)

    assert reading(service.address, "variantbus_log_damaged_records") == 1


def test_a_subscriber_tells_its_gaps_and_its_lag(serve: Serve, subscribe: Subscribe, tmp_path: Path) -> None:
    """What was there before it came is a gap that it fetched; then it is not behind."""
    service = serve(tmp_path / "log.db")
    service.append(*(("a.", number) for number in range(20)))
    subscriber = subscribe([service.address], ["a"], start=Start.BEGINNING)
    collect(subscriber, 20)
    service.append(("a.", 21))
    collect(subscriber, 1)

    found = {name: value for name, _, value in subscriber.points()}

    assert found["variantbus_consumer_lag_events"] == 0
    assert found["variantbus_consumer_ready"] == 1
    assert found["variantbus_consumer_delivered_total"] == 21
    assert found["variantbus_consumer_refetched_total"] == 20
    assert found["variantbus_consumer_gaps_total"] == 1
    assert found["variantbus_consumer_silence_seconds"] < PATIENCE
    assert found["variantbus_consumer_reconnects_total"] == found["variantbus_consumer_malformed_total"] == 0


def routed(learning: ServiceThread[LearningService], outcome: str, reason: str = "") -> Any:
    """Ask how many events had an outcome."""
    return reading(address_of(learning), "variantbus_events_routed_total", outcome=outcome, reason=reason)


def test_a_batch_that_is_tried_again_is_counted_once(services: Services) -> None:
    """What became of an event counts when it is on disk."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=1))
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    query(learning, "CREATE TABLE room (bytes BLOB)")
    query(learning, TOO_MUCH.replace("jobs", "experiments"))  # so that it fails after everything has been routed
    fill_up(learning)
    runner.finish(ALL[0])
    failures = "variantbus_log_write_failures_total"
    wait_until(lambda: reading(address_of(learning), failures) >= 3, what="some tries")
    assert routed(learning, "applied") == 0
    assert reading(address_of(learning), "variantbus_events_waiting") == 1
    # the confirmation of the jobs may come only now, and can be written
    wait_until(lambda: reading(address_of(learning), "variantbus_log_writable") == 0, what="the alarm")

    make_room(learning)
    runner.finish(ALL[1])
    wait_for(learning, "completed")

    assert routed(learning, "applied") == 2
    assert reading(address_of(learning), "variantbus_log_writable") == 1


def test_the_learning_service_tells_of_its_runners(services: Services) -> None:
    """Which answer, what waits for one, how far each was read; and one that is not followed any more."""
    first, second = services.scripted(), services.scripted(pipelines=())
    learning = services.learning(first.address, second.address)
    create(learning)
    wait_until(lambda: sorted(first.jobs) == ALL, what="the jobs")
    first.finish(ALL[0])
    lag = "variantbus_consumer_lag_events"
    address = address_of(learning)
    wait_until(lambda: reading(address, "variantbus_events_routed_total", outcome="applied") == 1, what="the event")
    wait_until(lambda: len(Readings(metrics_of(address)).all(lag)) == 2, what="both heartbeats")
    up = "variantbus_runner_up"
    wait_until(lambda: [value for _, value in Readings(metrics_of(address)).all(up)] == [1, 1], what="both answers")

    found = Readings(metrics_of(address))
    assert found.get(lag, publisher=first.address, prefix="job.") == 0
    assert found.get("variantbus_jobs_unassigned") == 0
    assert found.all("variantbus_runner_unfollowed") == []
    learning.stop()

    learning = services.learning(second.address)
    found = Readings(metrics_of(address_of(learning)))
    assert found.all("variantbus_runner_unfollowed") == [({"runner": first.address}, 1)]


def test_a_runner_tells_its_queue(services: Services) -> None:
    """Queued and running; it knows no consumers, and tells none."""
    held = HeldPipeline()
    runner = services.runner(held)
    learning = services.learning(str(runner.service.publisher.control))
    create(learning)
    address = str(runner.service.publisher.control)
    wait_until(lambda: reading(address, "variantbus_jobs", state="running") == 1, what="a running job")

    assert reading(address, "variantbus_jobs", state="queued") == 1
    assert not any(metric.name.startswith("variantbus_consumer") for metric in metrics_of(address))
    held.released = True
    wait_for(learning, "completed")
    assert reading(address, "variantbus_events_published_total", topic="job.completed") == 2


def test_the_page_for_prometheus_is_read_by_its_own_parser(serve: Serve, tmp_path: Path) -> None:
    """Every value comes back under its name, type and labels, also with labels that need escapes."""
    service = serve(tmp_path / "log.db")
    service.append(("a.", 1))
    odd = Metric(
        name="variantbus_runner_up",
        kind="gauge",
        help=ALL_HELP["variantbus_runner_up"],
        samples=[Sample(labels={"runner": 'a "b"\\\nc'}, value=1)],
    )
    metrics = [*metrics_of(service.address), odd]

    page = exposition([({"service": "one"}, metrics), ({"service": "two"}, metrics)])

    families = {family.name: family for family in text_string_to_metric_families(page)}
    for metric in metrics:
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for own in ("one", "two"):
            found = [
                ({name: text for name, text in sample.labels.items() if name != "service"}, sample.value)
                for sample in family.samples
                if sample.labels["service"] == own
            ]
            assert found == [(sample.labels, sample.value) for sample in metric.samples]


def test_without_the_library_of_prometheus_check_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; text and JSON need it not."""
    monkeypatch.setitem(sys.modules, "bus.telemetry.prometheus", None)

    result = CliRunner().invoke(main, ["check", "--format", "prometheus", "--timeout", "0.01"])

    assert result.exit_code == 2
    assert result.stderr.startswith(
        "Error: --format: this needs the extra `metrics` (prometheus_client is not installed): "
    )
    assert result.stderr.endswith("[metrics]'\n")


def test_requests_that_cannot_be_answered_are_counted(serve: Serve, tmp_path: Path) -> None:
    """By what was wrong with them."""
    service = serve(tmp_path / "log.db")
    methods = service.publisher.methods
    service.call(lambda: [methods.accepts([b"1"]), methods.accepts([b"x" * 65, b"info", b""])])

    found = Readings(metrics_of(service.address))

    assert found.get("variantbus_requests_dropped_total", reason="frames") == 1
    assert found.get("variantbus_requests_dropped_total", reason="request_id") == 1
