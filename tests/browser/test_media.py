"""Videos, sounds, animations, texts and models in a real browser: shown in the grid, played, rated and compared."""

import re
from collections.abc import Mapping

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells, deployment
from tests.support.experiment_files import submit
from tests.support.recordings import animation, model, sound, tone, video

__all__ = ["deployment"]
PLAYED = """player => new Promise((done) => {
  const look = () => player.currentTime > 0.05 && done();
  player.addEventListener("timeupdate", look);
  look();
})"""


def made(deployment: Deployment, files: Mapping[str, Mapping[str, bytes]]) -> str:
    """Run a program that gives these files, one set for each value; return the id of the experiment."""
    folder = deployment.workspace.folder / "made"
    for value, contents in files.items():
        (folder / value).mkdir(parents=True)
        for name, data in contents.items():
            (folder / value / name).write_bytes(data)
    text = f"""
name = "Made"
pipeline = "command"
stage = "run"
jobs_per_variant = 1
[variable]
name = "kind"
values = {list(files)}
[config]
command = ["cp", "-r", "{folder}/{{kind}}/.", "{{output_dir}}"]
"""
    return submit(deployment.workspace, text)


def has_played(player: Locator) -> None:
    """Wait until a player has come some way."""
    expect(player).to_be_visible(timeout=WAIT)
    player.evaluate("player => player.play()")
    player.evaluate(PLAYED)


def test_each_kind_of_result_is_shown_and_played(page: Page, deployment: Deployment) -> None:
    """A frame or a waveform in the cell; the video, the sound, the animation, the text or the model in full."""
    name = made(
        deployment,
        {
            "webm": {"a.webm": video()},
            "wav": {"a.wav": tone()},
            "opus": {"a.ogg": sound("ogg", "libopus")},
            "webp": {"a.webp": animation(), "log.txt": b"made it"},
            "gif": {"a.gif": animation("GIF")},
            "text": {"a.txt": b"<script>alert(1)</script> a tale"},
            "model": {"a.glb": model()},
            "batch": {f"{at}.gif": animation("GIF", shade=20 * at) for at in (1, 2, 3)},
        },
    )
    deployment.open(page, f"e/{name}/grid")
    expect(cells(page, "completed")).to_have_count(8, timeout=WAIT)
    expect(page.locator(".cell img")).to_have_count(6, timeout=WAIT)
    marks = page.locator(".cell .length")
    expect(marks).to_have_text(["▶ 0:01", "▶ 0:01", "▶ 0:01", "▶ 0.3 s", "▶ 0.3 s", "3 results · ▶ 0.3 s"])
    expect(page.locator(".cell .word")).to_have_text(["text\na.txt", "model\na.glb"])

    cells(page, "completed").first.click()
    viewer = page.locator(".viewer")
    has_played(viewer.locator("video"))
    viewer.locator("video").evaluate("player => { player.currentTime = 0.9 }")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
        has_played(viewer.locator("audio"))
    page.keyboard.press("ArrowRight")
    expect(viewer.locator("aside summary")).to_have_text("1 more file")
    for _ in range(2):
        expect(viewer.locator(".stage img")).to_have_js_property("naturalWidth", 64, timeout=WAIT)
        page.keyboard.press("ArrowRight")
    expect(viewer.locator(".files pre")).to_have_text("<script>alert(1)</script> a tale", timeout=WAIT)
    page.keyboard.press("ArrowRight")
    expect(viewer.locator(".stage a[download]")).to_have_text("Save a.glb")
    page.keyboard.press("ArrowRight")
    first = viewer.locator(".stage img").get_attribute("src")
    expect(viewer.locator(".parts")).to_contain_text("1 of 3")
    page.keyboard.press("PageDown")
    expect(viewer.locator(".parts")).to_contain_text("2 of 3")
    assert viewer.locator(".stage img").get_attribute("src") != first


def test_videos_are_rated_and_two_play_as_one(page: Page, deployment: Deployment) -> None:
    """Stars do not start the video anew; of a pair, a click plays, and a button or a key chooses."""
    name = made(deployment, {"dark": {"a.webm": video(shade=90)}, "light": {"a.webm": video(shade=220)}})
    deployment.open(page, f"e/{name}/rate")
    video_shown = page.locator(".rating .stage video")
    has_played(video_shown)
    page.keyboard.press("4")
    expect(page.locator(".rating .facts")).to_have_text("1 of 2 rated", timeout=WAIT)
    has_played(video_shown)

    page.get_by_text("two at a time").click()
    players = page.locator(".rating .stage video")
    expect(players).to_have_count(2, timeout=WAIT)
    has_played(players.first)
    players.first.evaluate("player => player.pause()")
    expect(players.nth(1)).to_have_js_property("paused", value=True, timeout=WAIT)
    players.first.evaluate("player => player.play()")
    expect(players.nth(1)).to_have_js_property("paused", value=False, timeout=WAIT)
    page.get_by_role("button", name="left is better").click()
    expect(page.locator(".rating .facts")).to_have_text("1 answer", timeout=WAIT)

    deployment.open(page, f"e/{name}/grid")
    cells(page, "completed").first.click()
    expect(page.locator(".viewer .stage video")).to_be_visible(timeout=WAIT)
    page.keyboard.press("c")
    expect(page.locator(".viewer .stage.beside video")).to_have_count(2, timeout=WAIT)


@pytest.mark.parametrize("what", ["sound", "text"])
def test_sounds_and_texts_are_compared(page: Page, deployment: Deployment, what: str) -> None:
    """Of two sounds only one is heard."""
    files = {"one": b"a tale of one", "two": b"a tale of two"}
    if what == "sound":
        files = {"one": tone(440), "two": tone(660)}
    suffix = ".wav" if what == "sound" else ".txt"
    name = made(deployment, {value: {f"a{suffix}": data} for value, data in files.items()})
    deployment.open(page, f"e/{name}/rate")
    page.get_by_text("two at a time").click()
    if what == "sound":
        players = page.locator(".rating .stage audio")
        expect(players).to_have_count(2, timeout=WAIT)
        has_played(players.first)
        has_played(players.nth(1))
        expect(players.first).to_have_js_property("paused", value=True)
    else:
        expect(page.locator(".rating .stage pre")).to_have_text([re.compile("a tale of")] * 2, timeout=WAIT)
    page.keyboard.press("t")
    expect(page.locator(".rating .facts")).to_have_text("1 answer", timeout=WAIT)
