"""Which runner is given which jobs, and for which one it refuses a request."""

from collections.abc import Iterable

import pytest

from bus.contracts.jobs import PipelinesReply
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.control import ControlError
from learning_service.dispatch.links import BATCH, TRIES, RunnerLink, has_lost, kinds_taken, offered_together, share_out
from learning_service.experiments.plan import PlannedJob
from learning_service.storage.confirmations import LogMark
from learning_service.storage.job_rows import JobRow, job_kind
from learning_service.storage.store import RunnerPipelines
from tests.support.learning_services import lane

KNOWN = StageSpec(variables={"cfg_scale": VariableSpec(kind="float")})
AWAY = StageSpec(unavailable="nobody answers")


def link(pipelines: RunnerPipelines, rooms: dict[str, int] | None = None, *, queue: int = 0) -> RunnerLink:
    """Return a runner that has told what it offers."""
    one = RunnerLink("tcp://a:1", pipelines)
    lanes = {name: lane(room) for name, room in (rooms or {}).items()}
    one.note_queue(PipelinesReply(pipelines=pipelines, outputs="/", queued=queue, running=0, lanes=lanes))
    return one


def rows(kind: str, numbers: Iterable[int]) -> list[JobRow]:
    """Return jobs of a kind."""
    return [JobRow(number, f"job-{number}", "exp-1", kind, 0, None, PlannedJob(0, number)) for number in numbers]


def numbers_of(jobs: Iterable[JobRow]) -> list[int]:
    """Return which jobs these are."""
    return [row.number for row in jobs]


def test_what_has_no_room_or_no_server_is_blocked_and_nothing_else() -> None:
    """A negative room is none; an older runner that tells of no room has it."""
    offered = {
        "webui": {"txt2img": AWAY, "img2img": KNOWN},
        "full": {"run": KNOWN},
        "odd": {"run": KNOWN},
        "free": {"run": KNOWN},
    }

    assert link(offered, {"full": 0, "odd": -7, "nobody": 3}).blocked == {"webui/txt2img", "full/run", "odd/run"}
    assert link(offered).blocked == {"webui/txt2img"}
    assert [link(offered).offers(kind) for kind in ("webui/txt2img", "webui/upscale")] == [True, False]


def test_a_runner_can_be_given_what_it_has_room_for_on_top_of_what_it_was_given() -> None:
    """The stages of a pipeline share their room; what it does not offer any more counts for nothing."""
    one = link({"a": {"x": KNOWN, "y": KNOWN}, "b": {"x": KNOWN}}, {"a": 5, "b": 1})

    left = one.remaining([*rows("a/x", [1, 2]), *rows("a/y", [3]), *rows("b/x", [4, 5]), *rows("gone/x", [6])])

    assert (left["a"], left["b"]) == (2, -1)
    assert kinds_taken({one: left}) == {"a/x", "a/y"}
    assert kinds_taken({one: one.remaining(rows("b/x", range(BATCH)))}) == set()


def test_a_request_has_no_more_jobs_of_a_pipeline_than_there_is_room_for() -> None:
    """A job whose pipeline is not offered any more is in it, for the runner to refuse."""
    one = link({"a": {"x": KNOWN, "y": KNOWN}, "b": {"x": KNOWN}}, {"a": 2, "gone": 0})
    waiting = [*rows("a/x", [1]), *rows("b/x", [2]), *rows("a/y", [3]), *rows("a/x", [4]), *rows("gone/x", [5])]

    assert numbers_of(one.fitting(waiting)) == [1, 2, 3, 5]


def test_jobs_are_shared_out_to_the_shortest_queue_that_takes_them() -> None:
    """Neither a full runner nor one without the server gets any, however short its queue; what nobody takes waits."""
    away = link({"webui": {"txt2img": AWAY}})
    full = link({"webui": {"txt2img": KNOWN}}, {"webui": 2}, queue=1)
    long = link({"webui": {"txt2img": KNOWN}}, {"webui": 3}, queue=2)
    remaining = {one: one.remaining([]) for one in (away, full, long)}

    chosen = share_out([*rows("webui/txt2img", range(1, 8)), *rows("other/x", [8])], remaining)

    assert {one: numbers_of(mine) for one, mine in chosen.items()} == {full: [1, 2], long: [3, 4, 5]}
    assert (full.load, long.load) == (3, 5)


@pytest.mark.parametrize("order", [1, -1])
def test_a_stage_that_one_runner_can_check_is_offered_whatever_the_others_say(order: int) -> None:
    """One without the server would otherwise keep everybody from planning."""
    links = [link({"webui": {"txt2img": AWAY}}), link({"webui": {"txt2img": KNOWN, "img2img": AWAY}})]

    assert offered_together(links[::order]) == {"webui": {"txt2img": KNOWN, "img2img": AWAY}}


def test_the_job_that_an_error_names_is_to_blame_and_those_before_it_go_first() -> None:
    """No smaller request is needed to find it."""
    one, jobs = link({}), rows("a/x", range(1, 9))

    assert one.find_refused(ControlError("invalid_request", "", {"job": "5"}), jobs) == jobs[5]
    assert one.batch == 5
    assert one.find_refused(ControlError("invalid_request", "", {"job": "0"}), jobs) == jobs[0]
    assert one.batch == BATCH


@pytest.mark.parametrize("told", [None, "", "8", "-1", "07", "²", "x", "9" * 5000])
def test_where_no_job_is_named_smaller_requests_find_it(told: str | None) -> None:
    """Also where what is named makes no sense."""
    one, jobs = link({}), rows("a/x", range(1, 9))
    error = ControlError("too_large", "", {} if told is None else {"job": told})

    sizes = []
    while len(jobs) > 1:
        assert one.find_refused(error, jobs) is None
        jobs = jobs[: one.batch]
        sizes.append(len(jobs))

    assert sizes == [4, 2, 1]
    assert one.find_refused(error, jobs) == jobs[0]
    assert one.batch == 1


def test_a_job_at_which_the_runner_fails_is_given_up_after_some_tries_in_a_row() -> None:
    """Another job begins a new count."""
    one = link({})
    first, second = rows("a/x", [1, 2])

    assert [one.gives_up(first) for _ in range(TRIES - 1)] == [False] * (TRIES - 1)
    assert not one.gives_up(second)
    assert [one.gives_up(first) for _ in range(TRIES)] == [False] * (TRIES - 1) + [True]


@pytest.mark.parametrize(
    ("confirmed", "now", "lost"),
    [
        (None, LogMark(7, 0), True),  # by whom it was confirmed is not known
        (LogMark(7, 20), LogMark(7, 20), False),
        (LogMark(7, 20), LogMark(7, 21), False),
        (LogMark(7, 20), LogMark(7, 19), True),  # an older backup
        (LogMark(7, 20), LogMark(8, 0), True),  # a new folder
        (LogMark(7, 20), LogMark(8, 30), True),  # rows may have been dropped
    ],
)
def test_what_a_runner_confirmed_is_in_one_log_up_to_one_offset(
    confirmed: LogMark | None, now: LogMark, lost: bool
) -> None:
    """Another log, or the same one with an earlier end, may not have it."""
    assert has_lost(confirmed, now) == lost


def test_a_runner_runs_as_many_jobs_at_once_as_it_tells_and_one_of_those_that_run_alone() -> None:
    """An older one that tells nothing runs one; one that is silent, or has no server for them, none."""
    offered = {"webui": {"txt2img": AWAY}, "free": {"run": KNOWN}}
    one = link(offered)
    kind = job_kind("free", "run")
    assert one.at_once(kind, alone=False) == 0
    one.alive = True
    assert one.at_once(kind, alone=False) == 1
    lanes = {"free": lane(9, 4)}
    one.note_queue(PipelinesReply(pipelines=offered, outputs="/", queued=0, running=0, lanes=lanes))
    assert [one.at_once(kind, alone=alone) for alone in (False, True)] == [4, 1]
    assert one.at_once(job_kind("webui", "txt2img"), alone=False) == 0
