"""Whose turn it is where some jobs have to run alone."""

import pytest
from msgspec.structs import replace

from learning_service.experiments.plan import PlannedJob, job_request, runs_alone
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.turns import Turns, end_awaited
from tests.support.factories import definition


def job(name: str, *, priority: int = 0) -> NormalizedJobRecord:
    """Return a job; one whose name begins with x has to run alone."""
    return NormalizedJobRecord(
        job_id=name,
        pipeline="p",
        stage="run",
        config={},
        exclusive=name.startswith("x"),
        priority=priority,
        queued_at=float(name[1:] or 0),
    )


def chosen(turns: Turns, waiting: dict[str, str], running: str = "") -> str:
    """Return the names of the jobs that start; names are words, a queue is a line of them."""
    lanes = {lane: [job(name) for name in names.split()] for lane, names in waiting.items()}
    return " ".join(one.job_id for one in turns.choose(lanes, [job(name) for name in running.split()]))


@pytest.mark.fault(item="F154")
def test_without_such_jobs_all_start() -> None:
    """As many as there is room for."""
    assert chosen(Turns(), {"a": "j1 j2", "b": "j3"}, "j0") == "j1 j2 j3"
    assert chosen(Turns(), {}) == ""


@pytest.mark.fault(item="F154")
def test_such_a_job_runs_alone() -> None:
    """It waits until nothing runs, and nothing starts while it waits or runs."""
    turns = Turns()

    assert chosen(turns, {"a": "x1 j2", "b": "j3"}, "j0 j4") == ""
    assert chosen(turns, {"a": "x1 j2", "b": "j3"}) == "x1"
    assert chosen(turns, {"a": "j2", "b": "j3"}, "x1") == ""


@pytest.mark.fault(item="F154")
def test_jobs_before_it_in_its_queue_start_first() -> None:
    """The order of a queue stays."""
    assert chosen(Turns(), {"a": "j1 x2 j3"}) == "j1"


@pytest.mark.fault(item="F154")
def test_queues_take_turns() -> None:
    """A thousand such jobs keep no other queue waiting for more than one, and others keep them for one round."""
    turns = Turns()
    waiting = {"a": "x1 x2", "b": "j3 j4"}

    assert chosen(turns, waiting) == "x1"
    assert chosen(turns, {"a": "x2", "b": "j3 j4"}) == "j3 j4"
    assert chosen(turns, {"a": "x2", "b": "j5"}, "j4") == ""
    assert chosen(turns, {"a": "x2", "b": "j5"}) == "x2"
    assert chosen(turns, {"a": "x6"}) == "x6"  # nobody else wants a turn


@pytest.mark.fault(item="F154")
def test_of_several_the_one_of_the_higher_priority_is_first_then_the_older_one() -> None:
    """Whatever their queues."""
    turns = Turns()
    lanes = {"a": [job("x2")], "b": [job("x1")], "c": [job("x3", priority=1)]}

    assert [one.job_id for one in turns.choose(lanes, [])] == ["x3"]
    del lanes["c"]
    assert [one.job_id for one in turns.choose(lanes, [])] == ["x1"]


@pytest.mark.fault(item="F154")
def test_the_time_is_measured_alone_unless_told_otherwise() -> None:
    """The file decides; if it does not, the objective does."""
    timed = replace(definition(), objective="seconds")

    assert [runs_alone(one) for one in (definition(), timed, replace(timed, exclusive=False))] == [False, True, False]
    assert job_request("e", timed, 2.0, PlannedJob(0, 0)).exclusive
    assert job_request("e", replace(definition(), exclusive=True), 2.0, PlannedJob(0, 0)).exclusive
    assert not job_request("e", definition(), 2.0, PlannedJob(0, 0)).exclusive


@pytest.mark.fault(item="F154")
def test_who_waits_for_such_a_job_is_told_what_must_end_first() -> None:
    """That may be a job that hangs; nothing is said while the job runs that had to run alone, or before any does."""
    assert end_awaited([replace(job("j1"), started_at=2.0)]).startswith("the next job runs alone, so job j1 must end")
    both = [replace(job("j1"), started_at=2.0), replace(job("j2"), started_at=1.0)]
    assert "job j2 and 1 more must end first" in end_awaited(both)
    assert end_awaited([job("x1")]) == ""
    assert end_awaited([]) == ""
