"""What a SwarmUI does wrong, and what becomes of the job; and that nobody else's job is ended with ours."""

from pathlib import Path

import pytest

from pipeline_runner.pipelines.swarmui import generation
from tests.servers.swarmui import FakeSwarmui
from tests.servers.swarmui_jobs import INTERRUPTED, NO_BACKENDS, OUT_OF_MEMORY
from tests.support.comfyui_jobs import error_of
from tests.support.helpers import wait_until
from tests.support.swarmui_jobs import CONFIG, files, new_pipeline, pipeline_of, run, start


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("loading", "Backends are still loading on the server..."),
        ("empty", "No backends present."),
        ("all_disabled", "All backends are disabled."),
        ("idle", "All backends are idle."),
    ],
)
def test_a_server_whose_backends_are_not_ready_is_waited_for(
    tmp_path: Path, swarmui: FakeSwarmui, state: str, message: str
) -> None:
    """It lists no sampler until then; what was read before stays."""
    swarmui.behaviour.state, swarmui.behaviour.state_message = state, message
    pipeline = new_pipeline(tmp_path, swarmui)

    assert pipeline.refresh() == f"swarmui: {swarmui.url} cannot make pictures now: {message}"
    assert message in pipeline.stages()["txt2img"].unavailable
    swarmui.behaviour.state = "errored"  # another one works
    assert pipeline.refresh() == ""
    swarmui.behaviour.state = state
    assert pipeline.refresh() != ""
    assert "sampler_name" in pipeline.stages()["txt2img"].variables


def test_a_server_that_is_away(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """One sentence: where it was looked for, and what to do."""
    swarmui.stop()
    pipeline = new_pipeline(tmp_path, swarmui)

    assert pipeline.refresh().startswith(f"swarmui: {swarmui.url} cannot be reached")
    assert "VARIANTBUS_SWARMUI_URL" in pipeline.stages()["img2img"].unavailable


@pytest.mark.parametrize(
    ("route", "status", "body", "text"),
    [
        ("GetNewSession", 200, b"<html>", "is no SwarmUI"),
        ("GetNewSession", 502, b"<html>", "answered 502"),
        ("GetNewSession", 200, b"{}", "is no SwarmUI: it answered 200"),
        ("GetNewSession", 500, b'{"a": 1}', "is no SwarmUI: it answered 500"),
        ("GetNewSession", 200, b'{"session_id": 3}', "gives no session"),
        ("GetCurrentStatus", 200, b'{"status": {}}', "says nothing of its backends"),
        ("ListT2IParams", 200, b'{"list": []}', "lists what it offers in an unknown form"),
    ],
)
def test_another_server_is_told(
    tmp_path: Path, swarmui: FakeSwarmui, route: str, status: int, body: bytes, text: str
) -> None:
    """A proxy's page, or another program at the port."""
    swarmui.canned[route] = (status, body)

    assert text in new_pipeline(tmp_path, swarmui).refresh()


def test_an_account_without_the_right_is_told(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Its jobs would all fail."""
    swarmui.forbidden.add("ListT2IParams")

    assert "give its role the right" in new_pipeline(tmp_path, swarmui).refresh()


@pytest.mark.fault(item="F180")
def test_a_server_that_was_started_again_gives_another_session(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """For the lists and for the next job; nobody hears of it."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.sessions.clear()
    assert run(pipeline).success
    swarmui.sessions.clear()
    assert pipeline.refresh() == ""
    assert run(pipeline, {**CONFIG, "seed": 8}).success


@pytest.mark.fault(item="F180")
def test_a_server_that_is_killed_in_the_middle_of_a_job(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """The job waits until it is back, and runs again then, in a new session."""
    swarmui.behaviour.keeps_sessions = False
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    job = start(pipeline)
    wait_until(lambda: swarmui.engine.begun, what="the job at the server")
    swarmui.stop()

    assert error_of(job.result)[0] == "unreachable"
    assert error_of(run(pipeline))[0] == "unreachable"
    swarmui.start()
    assert run(pipeline).success


@pytest.mark.fault(item="F180")
@pytest.mark.parametrize("after", ["status", "gen_progress"])
def test_a_connection_that_is_cut_ends_the_job_at_the_server(tmp_path: Path, swarmui: FakeSwarmui, after: str) -> None:
    """It would go on there, for nobody, and the next attempt would wait behind it."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    swarmui.behaviour.cut_after = after

    assert error_of(run(pipeline))[0] == "unreachable"
    wait_until(lambda: not any(one.claims for one in swarmui.sessions.values()), what="the end of the job there")
    assert swarmui.engine.made == []
    swarmui.release()
    assert run(pipeline).success


def test_a_picture_that_came_before_the_cut_is_kept(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """It is whole."""
    swarmui.behaviour.cut_after = "image"

    assert run(pipeline_of(tmp_path, swarmui)).success


@pytest.mark.fault(item="F180")
def test_a_server_that_cannot_be_told_of_the_end_is_told_later(
    tmp_path: Path, swarmui: FakeSwarmui, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the next job, so that it does not wait behind one that nobody wants."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    swarmui.behaviour.cut_after = "gen_progress"
    swarmui.canned["InterruptAll"] = (502, b"<html>")
    assert error_of(run(pipeline))[0] == "unreachable"
    assert error_of(run(pipeline)) == ("unreachable", f"{swarmui.url} cannot be told to end an earlier job")

    del swarmui.canned["InterruptAll"]
    monkeypatch.setattr(generation, "LEAVE_SECONDS", 0.1)
    swarmui.behaviour.cut_after = ""
    job = start(pipeline)
    wait_until(lambda: swarmui.engine.begun == 2, what="the job in its place")
    swarmui.release()
    assert job.result.success
    assert len(swarmui.engine.made) == 1


@pytest.mark.fault(item="F180")
def test_a_cancelled_job_is_interrupted_and_that_of_another_is_not(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Each session is ended alone."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    theirs = swarmui.job_of_another()
    ours = start(pipeline)
    wait_until(swarmui.sent, what="our job in the queue")
    ours.cancel()

    assert ours.result.cancelled
    assert theirs.is_alive()
    swarmui.release()
    theirs.join(60)
    assert [params["prompt"] for params in swarmui.engine.made] == ["theirs"]
    assert [call.body["other_sessions"] for call in swarmui.calls if call.route == "InterruptAll"] == [False]


def test_a_cancelled_job_that_runs_is_interrupted(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """And the backend is free at once; a job that was cancelled before is never sent."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    job = start(pipeline)
    wait_until(lambda: swarmui.engine.begun, what="the job at the server")
    job.cancel()
    assert job.result.cancelled
    assert run(pipeline, cancelled=lambda: True).cancelled
    assert len(swarmui.sent()) == 1
    swarmui.release()
    assert run(pipeline).success


def test_a_server_that_does_not_end_the_job_is_left(
    tmp_path: Path, swarmui: FakeSwarmui, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that loads a model hears an interruption only then."""
    monkeypatch.setattr(generation, "LEAVE_SECONDS", 0.2)
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    swarmui.canned["InterruptAll"] = (200, b'{"success": true}')
    job = start(pipeline)
    wait_until(lambda: swarmui.engine.begun, what="the job at the server")
    job.cancel()

    assert job.result.cancelled
    assert files(tmp_path) == []


def test_a_job_that_takes_too_long_is_interrupted(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """`timeout_seconds` counts the server's queue too."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    result = run(pipeline, {**CONFIG, "timeout_seconds": 0.2})

    assert error_of(result) == ("timeout", generation.TIMED_OUT)
    assert "InterruptAll" in swarmui.routes()


def test_a_job_that_somebody_interrupts_has_failed(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """While it runs, and while it waits: then the server ends it without a word."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.behaviour.errors.append(INTERRUPTED)
    assert error_of(run(pipeline))[0] == "interrupted"

    swarmui.hold()
    theirs = swarmui.job_of_another()
    ours = start(pipeline)
    wait_until(lambda: any(one.claims for one in swarmui.sessions.values() if one.user == "local"), what="our job")
    page = swarmui.session_of()
    swarmui.answer("InterruptAll", {"session_id": page.name, "other_sessions": True}, "")
    assert error_of(ours.result)[0] == "interrupted"
    swarmui.release()
    theirs.join(60)


def test_a_server_that_goes_down_without_a_word_interrupts_nothing(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Its backends are not ready any more, so the job waits for it."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.hold()
    theirs = swarmui.job_of_another()
    ours = start(pipeline)
    wait_until(lambda: any(one.claims for one in swarmui.sessions.values() if one.user == "local"), what="our job")
    swarmui.behaviour.state = "disabled"
    page = swarmui.session_of()
    swarmui.answer("InterruptAll", {"session_id": page.name, "other_sessions": True}, "")
    assert error_of(ours.result)[0] == "unreachable"
    swarmui.release()
    theirs.join(60)


def test_memory_that_runs_out_is_freed_once(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Then the job runs again; the second time it has failed, with what to do."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.behaviour.errors.append(OUT_OF_MEMORY)
    assert run(pipeline).success
    assert swarmui.engine.freed == 1

    swarmui.behaviour.errors.extend([OUT_OF_MEMORY, OUT_OF_MEMORY])
    kind, text = error_of(run(pipeline))
    assert kind == "oom"
    assert "take a smaller width" in text
    swarmui.behaviour.errors.extend([OUT_OF_MEMORY, "ComfyUI execution error: NaN"])
    assert error_of(run(pipeline)) == ("server_error", "the server says: ComfyUI execution error: NaN")


def test_an_account_that_may_not_free_memory_tries_once_more(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Somebody else may have freed some."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.forbidden.add("FreeBackendMemory")
    swarmui.behaviour.errors.append(OUT_OF_MEMORY)

    assert run(pipeline).success


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (NO_BACKENDS, "unreachable"),
        ("Timeout! All backends are occupied with other tasks.", "busy"),
        ("Something went wrong while generating images.", "server_error"),
    ],
)
def test_each_refusal_has_its_kind(tmp_path: Path, swarmui: FakeSwarmui, words: str, kind: str) -> None:
    """By the server's words, which come with no status."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.behaviour.errors.append(words)

    assert error_of(run(pipeline)) == (kind, f"the server says: {words}")
    assert "InterruptAll" not in swarmui.routes(), "it has ended by itself"


def test_a_picture_that_is_none(tmp_path: Path, swarmui: FakeSwarmui) -> None:
    """Broken, a video, refused by an extension, or gone before it was fetched."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.behaviour.data = "data:image/png;base64,aGFsZiBhIHBpY3R1cmU="
    kind, text = error_of(run(pipeline))
    assert (kind, "no whole PNG" in text) == ("server_error", True)
    swarmui.behaviour.data = "data:video/mp4;base64,AAAA"
    assert error_of(run(pipeline))[0] == "invalid_request"
    swarmui.behaviour.data = ""
    swarmui.behaviour.discards = True
    assert error_of(run(pipeline)) == ("server_error", generation.REFUSED)
    swarmui.behaviour.discards = False
    swarmui.behaviour.keeps_files = swarmui.behaviour.forgets_files = True
    kind, text = error_of(run(pipeline))
    assert (kind, "has not got its picture" in text) == ("server_error", True)
    assert files(tmp_path) == []


@pytest.mark.parametrize(("status", "kind"), [(502, "unreachable"), (401, "unreachable"), (500, "server_error")])
def test_a_proxy_that_lets_no_websocket_through(tmp_path: Path, swarmui: FakeSwarmui, status: int, kind: str) -> None:
    """The job waits, or says what answered."""
    pipeline = pipeline_of(tmp_path, swarmui)
    swarmui.canned["GenerateText2ImageWS"] = (status, b"<html>")

    assert error_of(run(pipeline)) == (
        kind,
        f"{swarmui.url.replace('http', 'ws')}/API/GenerateText2ImageWS answered {status}, and is no websocket",
    )
