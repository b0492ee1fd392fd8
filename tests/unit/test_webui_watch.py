"""Which job runs at the web UI, and what may be said of its progress."""

import json
import math
from typing import Any

import pytest

from pipeline_runner.pipelines.http_client import Reply
from pipeline_runner.pipelines.webui.watch import ServerState, Watch, left_behind, server_state


def running(timestamp: str = "2", *, fraction: float = 0.5, halted: bool = False, task: Any = "unknown") -> ServerState:
    """Return the state of a job that runs."""
    return ServerState(busy=True, timestamp=timestamp, fraction=fraction, halted=halted, task=task)


IDLE = ServerState(timestamp="1")


def watched(*sights: ServerState, idle_before: bool = True) -> Watch:
    """Look several times."""
    watch = Watch(idle_before=idle_before)
    for state in sights:
        watch.update(state)
    return watch


@pytest.mark.parametrize(
    ("sights", "idle_before", "mine"),
    [
        ([running(task="active")], False, True),
        ([running(task="waiting")], True, False),
        ([ServerState(timestamp="2", task="active")], True, False),
        ([running()], True, True),
        ([running()], False, False),
        ([IDLE, running()], True, True),
        ([running("2"), running("3")], True, False),
        ([running("2"), IDLE], True, False),
        ([running("2"), running("2")], False, False),
        ([], True, False),
    ],
)
def test_our_job_is_known_by_its_task_or_as_the_first_after_idleness(
    sights: list[ServerState], idle_before: bool, mine: bool
) -> None:
    """In doubt it is somebody else's, which must not be interrupted."""
    assert watched(*sights, idle_before=idle_before).mine == mine


def test_progress_never_falls_and_never_says_that_it_is_done() -> None:
    """The server drops to 0 at the end; what others do is not ours."""
    watch = watched(running(fraction=0.4))
    seen = []
    for state in (running(fraction=0.2), running(fraction=1.0), IDLE, running("9", fraction=0.5)):
        watch.update(state)
        seen.append(watch.fraction)

    assert seen == [0.4, 0.99, 0.99, 0.99]


def test_an_interrupted_job_is_known_by_its_timestamp() -> None:
    """The marks stay until the next job begins: those of the job before are not ours."""
    watch = watched(ServerState(timestamp="1", halted=True), running("2"), running("2", halted=True), running("3"))

    assert watch.was_halted("2")
    assert watch.was_halted("1")
    assert not watch.was_halted("3")


def test_without_a_timestamp_in_the_answer_the_job_that_was_ours_counts() -> None:
    """Upscaling reports nothing of its run; what was never seen was not interrupted."""
    assert watched(running("2", halted=True)).was_halted("")
    assert not watched(IDLE).was_halted("")
    assert not watched(ServerState(timestamp="", halted=True)).was_halted("")


def reply(body: Any, status: int = 200) -> Reply:
    """Return an answer as it comes."""
    return Reply(status, json.dumps(body).encode())


STATE = {"job_count": 1, "job_timestamp": "5", "sampling_step": 3, "sampling_steps": 20}


def test_both_answers_make_one_state() -> None:
    """The progress of our own task counts before that of whatever runs."""
    state = server_state(
        reply({"progress": 0.2, "state": STATE}), reply({"active": True, "queued": False, "progress": 0.3})
    )

    assert state == ServerState(busy=True, timestamp="5", fraction=0.3, step=3, steps=20, task="active")


@pytest.mark.parametrize(("told", "step"), [(2**64, None), (10**400, None), (3.0, 3), (2.5, None), (True, None)])
def test_a_step_that_no_message_can_hold_is_none(told: float, step: int | None) -> None:
    """Progress is a hint, and must not cost the job."""
    state = server_state(reply({"progress": told, "state": {**STATE, "sampling_step": told}}), None)

    assert state is not None
    assert state.step == step
    assert math.isfinite(state.fraction)


@pytest.mark.parametrize(
    ("state", "busy", "halted"),
    [
        ({"job_count": 0}, False, False),
        ({"job_count": -1}, True, False),
        ({"job_count": 1, "interrupted": True}, True, True),
        ({"job_count": 1, "skipped": True}, True, True),
    ],
)
def test_the_state_tells_whether_something_runs(state: dict[str, Any], busy: bool, halted: bool) -> None:
    """It is busy from the moment when it prepares."""
    found = server_state(reply({"progress": None, "state": state}), None)

    assert found is not None
    assert (found.busy, found.halted, found.task) == (busy, halted, "unknown")


@pytest.mark.parametrize("progress", [reply({}, 500), reply([]), reply({"state": None})])
def test_an_answer_that_says_nothing_is_no_state(progress: Reply) -> None:
    """Nothing is concluded from it."""
    assert server_state(progress, None) is None


@pytest.mark.parametrize("task", [reply({}, 500), reply([])])
def test_a_page_that_cannot_tell_of_tasks_is_as_none(task: Reply) -> None:
    """Then the other rule holds."""
    state = server_state(reply({"state": STATE, "progress": 0.1}), task)

    assert state is not None
    assert state.task == "unknown"


@pytest.mark.parametrize(
    ("told", "state", "found"),
    [
        ({"active": True, "queued": False}, running(), "running"),
        ({"active": False, "queued": True}, running(), "waiting"),
        ({"active": False, "queued": True}, IDLE, "waiting"),
        ({"active": False, "queued": False}, running(), "gone"),
        ({"active": True, "queued": False}, IDLE, "gone"),
        ({"active": True, "queued": False}, running()._replace(job="extras"), "gone"),
        ({"active": True, "queued": False}, None, "gone"),
        ([], running(), "gone"),
    ],
)
def test_a_task_whose_runner_was_killed(told: Any, state: ServerState | None, found: str) -> None:
    """One that has failed seems active for ever, and must not cost somebody else's job."""
    assert left_behind(Reply(200, json.dumps(told).encode()), state) == found


def test_without_the_page_nobody_knows_a_task() -> None:
    """Its path is not there."""
    assert left_behind(Reply(404, b'{"detail": "Not Found"}'), running()) == "gone"


def test_the_settings_are_kept_as_often_as_they_change_while_our_job_runs() -> None:
    """A server on which they change all the time is seen by the last of them."""
    sights = [running(task="waiting")._replace(settings={"a": 9})]
    sights += [running(task="active")._replace(settings={"a": number // 2}) for number in range(12)]
    sights += [running(task="active")]

    assert watched(*sights).settings == ({"a": 2}, {"a": 3}, {"a": 4}, {"a": 5})
