"""Applying events: restarts, a full disk, events that cannot be applied, and those that are refused."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from bus.config.limits import Limits
from bus.contracts.messages import JobResult, VariantStatus, decode_body
from bus.eventlog.errors import BodyTooLargeError, LogError
from bus.eventlog.log import Log
from bus.protocol.frames import Record
from learning_service.experiments.variants import Variant
from learning_service.storage.store import SQL as STORE_SQL
from learning_service.storage.store import LearningStore
from learning_service.storage.variant_rows import loaded, variant_rows
from tests.support.checker import grow
from tests.support.factories import EXPERIMENT, JobScript, badly, context, image, messages, planned_jobs, well
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    ALL,
    SMALL,
    Services,
    create,
    fill_up,
    make_room,
    outcomes,
    query,
    rejections,
    show,
    statuses,
    wait_for,
)


def test_a_service_goes_on_where_the_last_one_stopped(services: Services) -> None:
    """What happened while it was down is caught up, and nothing is applied twice."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=2))
    wait_until(lambda: len(runner.jobs) == 4, what="the jobs")
    runner.finish("exp-1.0.0.0", well("a"))
    wait_until(lambda: show(learning).totals.completed == 1, what="the first end")
    learning.stop()
    runner.finish("exp-1.0.1.0", well("b"))
    runner.finish("exp-1.1.0.0", badly())

    learning = services.learning(runner.address)
    runner.finish("exp-1.1.1.0", well("c"))
    wait_for(learning, "partial")

    view = show(learning)
    assert [(one.status, one.completed, one.failed, len(one.images)) for one in view.variants] == [
        ("completed", 2, 0, 2),
        ("partial", 1, 1, 1),
    ]
    for index in (0, 1):
        revisions = [one.revision for one in statuses(learning, f"variant.status.exp-1.{index}.")]
        assert grow(revisions)


def test_state_position_and_messages_are_written_in_one_transaction(services: Services) -> None:
    """Whenever anything of an event is on disk, all of it is: the position, the counts and the status."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    learning.call(lambda: setattr(learning.log, "limits", Limits(waiting_events=5)))
    create(learning, replace(SMALL, jobs_per_variant=20))
    wait_until(lambda: len(runner.jobs) == 40, what="the jobs")
    seen: list[tuple[int, int, int]] = []

    def look(_records: list[Record]) -> None:
        states = [loaded(*both) for both in learning.log.query(STORE_SQL["select_variants"], (EXPERIMENT,))]
        ended = sum(list(state.jobs.values()).count("ended") for state in states)
        position = 'SELECT coalesce(max("offset"), 0) FROM positions'
        newest = messages(learning.log.latest("variant.status.", 10)[0])
        told = sum(message.completed for message in newest if isinstance(message, VariantStatus))
        seen.append((ended, learning.log.query(position)[0][0], told))

    learning.call(lambda: learning.log.on_commit(look))
    for name in list(runner.jobs):
        runner.finish(name)
    wait_for(learning, "completed")

    assert seen[-1] == (40, 40, 40)
    assert all(ended == position == told for ended, position, told in seen)


@pytest.mark.fault(item="F11")
def test_a_full_disk_holds_events_back_until_there_is_room(services: Services) -> None:
    """Nothing is lost or counted twice, the service lives on and still answers."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=100))
    wait_until(lambda: len(runner.jobs) == 200, what="the jobs")
    fill_up(learning)

    for name in list(runner.jobs):
        runner.finish(name, well(*(f"{name} {number:064}" for number in range(5))))
    wait_until(lambda: learning.call(lambda: learning.service._consumer._blocked), what="the full disk")
    assert show(learning).totals.completed < 200
    make_room(learning)
    ended = wait_for(learning, "completed")

    assert [(one.completed, len(one.images)) for one in ended.variants] == [(100, 500)] * 2
    assert rejections(learning) == []


def test_an_event_that_makes_the_transaction_fail_is_rejected_alone(services: Services) -> None:
    """The others of its batch are applied, and it is published as rejected, with its place in the runner's log."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=3))
    wait_until(lambda: len(runner.jobs) == 6, what="the jobs")
    half, other = (
        tuple(replace(image(f"{name}{number}"), path="x" * 1200) for number in range(450)) for name in ("a", "b")
    )

    def script(index: int, repeat: int) -> JobScript:
        return JobScript(runner.jobs[f"exp-1.{index}.{repeat}.0"].learning_context)

    runner.publish(
        script(0, 0).completed(JobResult(success=True, images=half)),
        script(0, 1).completed(JobResult(success=True, images=other)),  # the status would be over the limit
        script(0, 2).completed(well("fine")),
        script(1, 0).completed(well("fine, too")),
    )
    wait_until(lambda: show(learning).variants[1].completed == 1, what="the last event")

    assert show(learning).variants[0].completed == 2
    (rejected,) = rejections(learning)
    assert (rejected.reason, rejected.topic, rejected.offset) == ("handler_error", "job.completed.exp-1.0.", 2)
    assert rejected.detail.startswith("BodyTooLargeError: ")


@pytest.mark.fault(item="B30")
def test_refused_events_are_published_with_their_place_and_reason(services: Services) -> None:
    """Whoever looks for a lost job finds why it was not counted."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: len(runner.jobs) == 2, what="the jobs")

    runner.publish(
        JobScript(context(experiment="exp-10"), "stranger").completed(),
        JobScript(context(7)).completed(),
        JobScript(context(0, 9.0)).completed(),
        JobScript(None).completed(),
        JobScript(context(0, 2.0)).completed(),
    )
    runner.service.call(lambda: _publish_garbage(runner.service.log))
    wait_until(lambda: len(rejections(learning)) == 4, what="the rejections")

    found = [(one.reason, one.topic, one.offset, one.job_id) for one in rejections(learning)]
    assert found == [
        ("unknown_experiment", "job.completed.exp-10.0.", 1, "stranger"),
        ("index_out_of_range", "job.completed.exp-1.7.", 2, "exp-1.7.0.0"),
        ("value_differs", "job.completed.exp-1.0.", 3, "exp-1.0.0.0"),
        ("malformed", "job.completed.exp-1.1.", 6, None),
    ]
    assert show(learning).totals.completed == 1
    counts = outcomes(learning)
    assert counts["ignored no_learning_context"] == 1
    assert counts["rejected malformed"] == 1


class Loose(Struct, tag_field="type", tag="job.completed"):
    """A completion as it should not be."""

    learning_context: dict[str, Any]


def _publish_garbage(log: Log) -> None:
    """Publish a completion whose index is a fraction, as a runner in another language might."""
    with log.transaction() as tx:
        tx.append("job.completed.exp-1.1.", Loose({"variant_index": 0.5}))


def test_a_late_event_is_kept_for_the_history(services: Services, tmp_path: Path) -> None:
    """Its body is stored, and the variant stays as it is."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: len(runner.jobs) == 2, what="the jobs")
    learning.stop()
    log = Log(tmp_path / "learning.db")
    store = LearningStore(log)
    with log.transaction() as tx:
        ended = Variant(index=0, value=2.0, jobs=planned_jobs(), status="failed", failed=1)
        store.write_variants(tx, variant_rows({(EXPERIMENT, 0): ended}))
    log.close()

    learning = services.learning(runner.address)
    runner.finish(ALL[0])
    wait_until(lambda: query(learning, "SELECT variant_index FROM late_events") == [(0,)], what="the late event")

    assert (show(learning).variants[0].status, show(learning).variants[0].completed) == ("failed", 0)
    (kept,) = query(learning, "SELECT body FROM late_events")
    assert decode_body(kept[0]) == JobScript(context()).completed()


def test_more_events_than_can_wait_for_a_full_disk_are_read_again(services: Services) -> None:
    """Memory stays bounded, and when there is room nothing is missing and nothing counted twice."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    learning.call(lambda: setattr(learning.log, "limits", Limits(waiting_events=5)))
    create(learning, replace(SMALL, jobs_per_variant=20))
    wait_until(lambda: len(runner.jobs) == 40, what="the jobs")
    learning.call(lambda: learning.log._db.execute("PRAGMA query_only = ON"))
    first, *others = runner.jobs
    runner.finish(first)
    wait_until(lambda: learning.call(lambda: learning.service._consumer._blocked), what="the first failure")
    for name in others:
        runner.finish(name)
    wait_until(lambda: learning.call(lambda: learning.service._consumer._overflown), what="the overflow")
    assert learning.call(lambda: len(learning.service._consumer._waiting)) == 5

    learning.call(lambda: learning.log._db.execute("PRAGMA query_only = OFF"))

    assert wait_for(learning, "completed").totals.completed == 40


def test_a_damaged_record_of_a_runner_is_published_as_rejected(services: Services) -> None:
    """Whatever it said is not counted, and that is said."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    learning.stop()
    runner.finish(ALL[0])
    runner.finish(ALL[1])
    runner.views.clear()  # nor does the runner know any more how they ended; see test_learning_reconciler.py
    runner.service.call(lambda: runner.service.log._db.execute('UPDATE log SET crc = crc + 1 WHERE "offset" = 1'))

    learning = services.learning(runner.address)

    wait_until(lambda: show(learning).totals.completed == 1, what="the event that is whole")
    wait_until(lambda: [(one.reason, one.offset) for one in rejections(learning)] == [("damaged_record", 1)])
    learning.call(lambda: learning.service._consumer.reject_damaged(runner.address, 1))
    assert len(rejections(learning)) == 1, "once, though each prefix that is followed is told"


def failing(error: Exception) -> Callable[..., None]:
    """Return a function that fails so."""

    def fail(*_: object) -> None:
        raise error

    return fail


def test_an_end_that_was_asked_for_and_cannot_be_applied_is_rejected(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not end the service, and is published with the error."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    monkeypatch.setattr(learning.service._store, "write_variants", failing(BodyTooLargeError("too large")))

    learning.call(lambda: learning.service._consumer.apply_local(runner.end_of(ALL[0])))

    (rejected,) = rejections(learning)
    assert (rejected.reason, rejected.offset) == ("handler_error", 0)
    assert show(learning).totals.completed == 0


def test_a_failing_disk_is_no_fault_of_an_event(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service ends instead of rejecting an event that is good; nothing of it is counted."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_until(lambda: sorted(runner.jobs) == ALL, what="the jobs")
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    monkeypatch.setattr(learning.service._store, "write_variants", failing(failure))

    with pytest.raises(LogError):
        learning.call(lambda: learning.service._consumer.apply_local(runner.end_of(ALL[0])))

    assert rejections(learning) == []
    assert show(learning).totals.completed == 0
