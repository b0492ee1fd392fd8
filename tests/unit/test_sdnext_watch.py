"""Whether the job that runs on an SD.Next is ours, and why one has made no picture."""

import json
from typing import Any

import pytest

from pipeline_runner.pipelines.http_client import Reply
from pipeline_runner.pipelines.sdnext.failures import INTERRUPTED, fault_of, why_no_picture
from pipeline_runner.pipelines.sdnext.watch import HIGHEST, Look, Watch, read_look

OWN, THEIRS, PAGE = ("b", "api-txt"), ("a", "api-txt"), ("p", "process")


def entry(job: tuple[str, str], op: str = "begin") -> dict[str, Any]:
    """Return a line of the history."""
    return {"id": job[0], "job": job[1], "op": op, "timestamp": 5.0, "duration": None, "outputs": []}


def look(
    *history: dict[str, Any], interrupted: bool = False, page: str = "", queued: int = 0, fraction: float = 0.5
) -> Look:
    """Return what is seen."""
    state = {"interrupted": interrupted, "skipped": False, "sampling_step": 2, "sampling_steps": 4}
    found = read_look({"progress": fraction, "state": state}, {"current": page, "queued": queued}, list(history))
    assert found is not None
    return found


def watching(before: Look | None, *later: Look, stage: str = "txt2img") -> Watch:
    """Follow a job."""
    watch = Watch(stage)
    watch.start(before)
    for one in later:
        watch.update(one)
    return watch


def test_the_first_job_that_begins_at_an_idle_server_is_ours() -> None:
    """Whatever parts it begins and ends on its way; earlier ones that have ended are nobody's."""
    before = look(entry(THEIRS), entry(THEIRS, "end"))
    watch = watching(before, look(entry(THEIRS), entry(THEIRS, "end"), entry(OWN), entry(PAGE), entry(PAGE, "end")))

    assert (watch.own, watch.mine, watch.began, watch.fraction) == ("b", True, 5.0, 0.5)
    watch.update(look(entry(OWN), fraction=0.2))
    assert watch.fraction == 0.5
    watch.update(look(entry(OWN), fraction=1.0))
    assert watch.fraction == HIGHEST
    watch.update(look(entry(OWN), entry(OWN, "end")))
    assert not watch.mine


def test_a_job_that_ended_with_an_error_has_no_end_in_the_history() -> None:
    """But the one that begins after it shows that it is over."""
    failed, later = entry(("f", "api-txt")), [entry(THEIRS), entry(THEIRS, "end")]

    assert watching(look(failed, *later), look(failed, *later, entry(OWN))).mine
    assert not watching(look(*later, failed), look(*later, failed, entry(OWN))).mine


@pytest.mark.parametrize(
    "before",
    [
        None,
        look(entry(THEIRS)),
        look(page="task(1)"),
        look(queued=1),
        Look(page_busy=False, halted=False, fraction=0, step=None, steps=None, history=None),
    ],
)
def test_nothing_is_ours_where_the_server_was_not_surely_idle(before: Look | None) -> None:
    """A job of somebody else would be interrupted."""
    watch = watching(before, look(entry(THEIRS), entry(OWN), interrupted=True))

    assert (watch.own, watch.mine, watch.halted) == ("", False, False)


def test_a_job_of_another_kind_is_not_ours() -> None:
    """Somebody has sent it in between."""
    assert not watching(look(), look(entry(OWN)), stage="img2img").mine
    assert watching(look(), look(entry(("c", "api-img"))), stage="img2img").mine
    assert not watching(look(), look(entry(OWN)), stage="upscale").mine


def test_an_interruption_counts_while_no_other_job_has_begun() -> None:
    """The server keeps the mark until then."""
    assert watching(look(), look(entry(OWN), interrupted=True)).halted
    assert watching(look(), look(entry(OWN)), look(entry(OWN), entry(OWN, "end"), interrupted=True)).halted
    assert not watching(look(interrupted=True), look(entry(OWN))).halted
    assert not watching(look(), look(entry(OWN)), look(entry(OWN), entry(THEIRS), interrupted=True)).halted
    assert not watching(look(), look(interrupted=True)).halted


def test_a_mark_after_the_answer_is_of_a_job_that_could_not_be_followed() -> None:
    """Half of a picture would be taken for a result."""
    ended = [entry(THEIRS), entry(THEIRS, "end"), entry(OWN), entry(OWN, "end")]
    unfollowed = watching(look(entry(THEIRS)))
    unfollowed.finish(look(*ended, interrupted=True))
    assert (unfollowed.own, unfollowed.halted, unfollowed.began) == ("", True, 5.0)
    old = watching(None)
    old.finish(Look(page_busy=False, halted=False, fraction=0, step=None, steps=None, history=None))
    assert (old.halted, old.began) == (False, None)
    followed = watching(look(), look(entry(OWN)))
    followed.finish(look(entry(OWN), entry(OWN, "end")))
    assert (followed.own, followed.halted, followed.began) == ("b", False, 5.0)


@pytest.mark.parametrize("progress", [None, [], {}, {"state": 3}])
def test_what_tells_no_state(progress: Any) -> None:
    """A server that starts, or a proxy."""
    assert read_look(progress, {}, []) is None


def test_odd_answers_tell_less() -> None:
    """An id may be a number, and lines of another form are skipped."""
    found = read_look({"state": {"sampling_step": 0}}, None, [3, {"id": None}, entry(("x", "api-txt"), "output")])
    assert found == Look(page_busy=False, halted=False, fraction=0.0, step=None, steps=None, history=())
    number = read_look({"state": {}}, {}, [{**entry(OWN), "id": 12, "timestamp": None}])
    assert number is not None
    assert number.history is not None
    assert (number.history[0].name, number.history[0].at) == ("12", None)
    bare = read_look({"state": {}}, {}, None)
    assert bare is not None
    assert bare.history is None


def refusal(status: int, body: Any) -> tuple[str, str]:
    """Return kind and text of a refusal."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fault = fault_of(Reply(status, data), "http://there")
    return fault.kind, fault.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, {"error": "HTTPException", "detail": "Sampler not found"}, "invalid_request", "says: Sampler not found"),
        (404, {"detail": "Not Found"}, "unreachable", "is no SD.Next, or has not started yet: it answered 404"),
        (502, b"<html>", "unreachable", "is no SD.Next"),
        (401, {"error": "HTTPException", "detail": "Unauthorized"}, "unreachable", "VARIANTBUS_SDNEXT_AUTH_FILE"),
        (429, {"error": "HTTPException", "detail": "rate limit exceeded"}, "busy", "rate limit"),
        (500, {"error": "OutOfMemoryError", "detail": "", "errors": "CUDA"}, "oom", "OutOfMemoryError: CUDA"),
        (500, {"error": "KeyError", "errors": "'x'"}, "server_error", "KeyError: 'x'"),
        (500, "a text alone", "server_error", "a text alone"),
        (500, {}, "server_error", "status 500"),
        (422, {"detail": [{"loc": ["body", "steps"], "msg": "no int"}, 3]}, "invalid_request", "steps: no int; 3"),
        (422, {"detail": [{"msg": "odd"}]}, "invalid_request", "odd"),
    ],
)
def test_a_refusal_has_a_kind_and_the_servers_words(status: int, body: Any, kind: str, words: str) -> None:
    """In each of its forms."""
    found, text = refusal(status, body)

    assert found == kind
    assert words in text


def line(created: float, level: str, message: str) -> str:
    """Return a line of the log."""
    return f'{{ "asctime":"now", "created":{created:f}, "level":"{level}", "module":"m", "msg":"{message}" }}'


LOG = [
    3,
    "no line",
    line(1, "ERROR", "Processing: OutOfMemoryError"),
    line(6, "INFO", "out of memory in a prompt"),
    line(7, "ERROR", "Processing: C:\\path\nValueError"),
]


def test_the_log_says_why_there_is_no_picture() -> None:
    """Since the job began; an error marks it as interrupted, as a person does."""
    error = why_no_picture(LOG, 5.0, halted=True)
    assert error.kind == "server_error"
    assert error.message.endswith("its log says: Processing: C:\\path ValueError")
    memory = why_no_picture([*LOG, line(8, "CRITICAL", "OutOfMemoryError")], 5.0, halted=True)
    assert (memory.kind, memory.message.endswith("OutOfMemoryError")) == ("oom", True)


def test_without_an_error_somebody_has_interrupted_it() -> None:
    """Or nobody knows."""
    assert why_no_picture(LOG, 9.0, halted=True).message == INTERRUPTED
    for log, began, halted in ((None, 5.0, True), (LOG, None, True), (LOG, 9.0, False)):
        assert why_no_picture(log, began, halted=halted).kind == "server_error"
