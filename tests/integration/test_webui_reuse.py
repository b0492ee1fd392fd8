"""Reuse at a web UI whose settings anybody changes at any moment: never a picture that other settings have made."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from pipeline_runner.pipelines.webui import settings
from tests.servers.webui import FakeWebui
from tests.servers.webui_settings import MODEL
from tests.support.helpers import wait_until
from tests.support.webui_jobs import CONFIG, run
from tests.support.webui_runner import WebuiRunner

CLIP_SKIP: Final = "CLIP_stop_at_last_layers"
OTHER: Final = "photo/real.safetensors"


@pytest.fixture
def server(fake_webui: Callable[..., FakeWebui]) -> FakeWebui:
    """Return a fake web UI."""
    return fake_webui()


@pytest.fixture
def runner(tmp_path: Path, server: FakeWebui, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebuiRunner]:
    """Yield a runner that has read the lists of the server once, and does not read them again."""
    monkeypatch.setattr("pipeline_runner.pipelines.poller.POLL_SECONDS", 0.02)
    one = WebuiRunner(tmp_path, server)
    yield one
    server.release()
    one.runner.stop()


def during(server: FakeWebui, runner: WebuiRunner, name: str, **changes: object) -> None:
    """Start a job, and wait until it stands still before its last step."""
    server.hold()
    runner.start(name, **changes)
    wait_until(lambda: server.worker.state.sampling_steps, what="the job at the server")


def polled(server: FakeWebui) -> None:
    """Wait until the runner has looked at the settings twice more."""
    count = len(server.requests)
    wait_until(
        lambda: sum(one.path.endswith("/options") for one in server.requests[count:]) > 1,
        what="two polls of the settings",
    )


@pytest.mark.fault(item="F120")
def test_a_result_is_reused_while_the_settings_are_the_same(runner: WebuiRunner, server: FakeWebui) -> None:
    """Also after a setting was changed and changed back, and by a job that names what is loaded or not."""
    first = runner.reused("a")
    named = runner.reused("b", model=OTHER, clip_skip=2)

    assert (first, named, runner.reused("c"), runner.reused("d", model=OTHER, clip_skip=2)) == (None, None, "a", "b")
    server.settings.change({CLIP_SKIP: 3})
    server.settings.change({CLIP_SKIP: 1})
    assert runner.reused("e") == "a"


@pytest.mark.fault(item="F120")
@pytest.mark.parametrize("change", [{MODEL: OTHER}, {CLIP_SKIP: 2}, {"sd_vae": "kl-f8.ckpt"}, {"randn_source": "CPU"}])
def test_a_setting_that_was_just_changed_counts_at_once(
    runner: WebuiRunner, server: FakeWebui, change: dict[str, Any]
) -> None:
    """The lists of half a minute ago would give the old model's picture."""
    before = runner.run("a")
    server.settings.change(change)
    after = runner.run("b")

    assert after.reused_from is None
    assert after.images[0].sha256 != before.images[0].sha256
    assert runner.reused("c") == "b"


@pytest.mark.fault(item="F120")
@pytest.mark.parametrize("change", [{MODEL: OTHER}, {CLIP_SKIP: 2}, {"sd_vae": "kl-f8.ckpt"}, {"randn_source": "CPU"}])
def test_a_picture_made_while_a_setting_was_changed_is_nobody_elses(
    runner: WebuiRunner, server: FakeWebui, change: dict[str, Any]
) -> None:
    """It was changed after our look and before the job, and changed back before our next look."""
    other = server.other_job()
    runner.start("a")
    wait_until(server.sent, what="our job behind somebody's")
    before = {name: server.options[name] for name in change}
    server.settings.change(change)
    server.hold()
    other.finish()
    wait_until(lambda: server.worker.state.sampling_steps == 4, what="our job")
    server.settings.change(before)
    server.release()
    wrong = runner.ended("a")

    right = runner.run("b")
    assert right.reused_from is None
    assert right.images[0].sha256 != wrong.images[0].sha256
    assert runner.reused("c") == "b"


@pytest.mark.fault(item="F120")
def test_a_setting_that_nobody_reports_is_seen_while_the_job_runs(runner: WebuiRunner, server: FakeWebui) -> None:
    """It is changed and changed back, and no text of the picture tells it."""
    during(server, runner, "a")
    server.options["samples_format"] = "jpg"
    polled(server)
    server.options["samples_format"] = "png"
    server.release()
    runner.ended("a")

    assert runner.reused("b") is None


@pytest.mark.fault(item="F120")
def test_the_settings_of_a_job_that_runs_are_nobody_elses(runner: WebuiRunner, server: FakeWebui) -> None:
    """The server shows those of our own job to whoever asks, also to the runner's refresh."""
    during(server, runner, "a", clip_skip=2)
    assert server.options[CLIP_SKIP] == 2
    assert runner.pipeline.refresh() == ""
    server.release()
    skipped = runner.ended("a")

    plain = runner.run("b")
    assert plain.reused_from is None
    assert plain.images[0].sha256 != skipped.images[0].sha256
    assert (runner.reused("c"), runner.reused("d", clip_skip=2)) == ("b", "a")


@pytest.mark.fault(item="F120")
def test_while_somebody_elses_job_runs_nothing_is_reused(runner: WebuiRunner, server: FakeWebui) -> None:
    """Its settings are those that the server shows."""
    runner.run("a")
    other = server.other_job(override={CLIP_SKIP: 2})
    runner.start("b")
    wait_until(lambda: len(server.sent()) == 2, what="our second job, behind somebody's")
    other.finish()

    assert runner.ended("b").reused_from is None
    assert runner.reused("c") in ("a", "b")


@pytest.mark.fault(item="F120")
def test_somebodys_job_that_leaves_its_settings_behind_spoils_nothing(runner: WebuiRunner, server: FakeWebui) -> None:
    """It is sent with `override_settings_restore_afterwards` false, between our look and our job."""
    right = runner.run("a")
    other = server.other_job(override={CLIP_SKIP: 2}, restore=False)
    runner.start("b")
    wait_until(lambda: len(server.sent()) == 2, what="our second job, behind somebody's")
    other.finish()
    wrong = runner.ended("b")
    server.settings.change({CLIP_SKIP: 1})

    assert wrong.images[0].sha256 != right.images[0].sha256
    assert runner.reused("c") == "a"


@pytest.mark.fault(item="F120")
def test_a_model_whose_file_was_replaced_is_another_one(runner: WebuiRunner, server: FakeWebui) -> None:
    """The page lists it with its new hash after a refresh."""
    runner.run("a")
    server.settings.models["sd15.safetensors"] = "0123456789"
    server.options[MODEL] = server.settings.title("sd15.safetensors")

    assert runner.reused("b") is None


@pytest.mark.fault(item="F120")
def test_results_of_an_earlier_version_are_made_again(runner: WebuiRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be filed under settings that did not make them."""
    with monkeypatch.context() as patch:
        patch.setattr(settings, "VERSION", settings.VERSION - 1)
        assert (runner.reused("a"), runner.reused("b")) == (None, "a")

    assert runner.reused("c") is None


@pytest.mark.fault(item="F120")
def test_a_server_that_does_not_say_is_never_reused(runner: WebuiRunner, server: FakeWebui) -> None:
    """Neither its settings, nor what it has used."""
    server.canned["/sdapi/v1/progress"] = (500, b"{}")
    assert (runner.reused("a"), runner.reused("b")) == (None, None)
    server.canned = {"/sdapi/v1/options": (500, b"{}")}
    assert (runner.reused("c"), runner.reused("d")) == (None, None)


@pytest.mark.fault(item="F123")
def test_a_setting_that_our_job_leaves_behind_is_put_back(runner: WebuiRunner, server: FakeWebui) -> None:
    """The server restores only what somebody has saved once; later jobs have its own setting, and the right picture."""
    server.settings.unsaved = {CLIP_SKIP}
    runner.run("a")
    skipped = runner.run("b", clip_skip=2)

    assert server.options[CLIP_SKIP] == 1
    assert (runner.reused("c"), runner.reused("d", clip_skip=2)) == ("a", "b")
    assert skipped.effective["clip_skip"] == 2


@pytest.mark.fault(item="F123")
def test_a_failed_job_leaves_nothing_behind(runner: WebuiRunner, server: FakeWebui) -> None:
    """Nor does one whose settings could not be put back: it says so, and its result stands."""
    server.settings.unsaved = {CLIP_SKIP}
    pipeline = runner.pipeline
    server.fail(422, {"detail": "no"})
    assert run(pipeline, {**CONFIG, "clip_skip": 2}).error
    assert server.options[CLIP_SKIP] == 1
    server.settings.unsaved = {"sd_vae"}
    server.broken_posts.add("/sdapi/v1/options")

    assert run(pipeline, {**CONFIG, "vae": "kl-f8.ckpt"}).success
    assert server.options["sd_vae"] == "kl-f8.ckpt"


@pytest.mark.fault(item="F123")
def test_what_somebody_sets_meanwhile_is_not_put_back(runner: WebuiRunner, server: FakeWebui) -> None:
    """Only what is as our job had it, and was something else before."""
    server.settings.unsaved = {CLIP_SKIP}
    during(server, runner, "a", clip_skip=2)
    server.settings.change({CLIP_SKIP: 5, "sd_vae": "kl-f8.ckpt"})
    server.settings.unsaved = {CLIP_SKIP}
    server.release()
    runner.ended("a")

    assert (server.options[CLIP_SKIP], server.options["sd_vae"]) == (5, "kl-f8.ckpt")
    assert server.bodies("/sdapi/v1/options") == []


def test_loras_are_reused_with_their_strengths_in_their_order(runner: WebuiRunner) -> None:
    """The server adds them one after the other, and its picture names them so."""
    assert runner.reused("a", loras={"detail": 0.5, "ink-style": 1}) is None
    assert runner.reused("b", loras={"ink-style": 1, "detail": 0.5}) is None
    assert runner.reused("c", loras={"detail": 0.6, "ink-style": 1}) is None
    assert runner.reused("d", loras={"detail": 0.5, "ink-style": 1}) == "a"


def test_settings_that_are_passed_on_are_part_of_what_is_reused(runner: WebuiRunner, server: FakeWebui) -> None:
    """While such a job runs, the server shows its settings, which are no change by somebody else."""
    passed = {"override_settings": {"randn_source": "CPU"}}
    during(server, runner, "a", **passed)
    polled(server)
    server.release()
    assert runner.ended("a").reused_from is None
    assert runner.reused("b") is None
    assert runner.reused("c", **passed) == "a"


@pytest.mark.parametrize(
    "further", [{"style": "film"}, {"styles": ["film"]}, {"alwayson": {"adetailer": {"args": [True]}}}]
)
def test_what_is_behind_a_name_of_the_server_is_never_reused(runner: WebuiRunner, further: dict[str, Any]) -> None:
    """Somebody may have written another text into a style, or changed a script."""
    assert [runner.reused(name, **further) for name in ("a", "b")] == [None, None]
