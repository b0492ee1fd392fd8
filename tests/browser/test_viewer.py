"""A picture in full: at an address of its own, rated by keys and fingers, compared with any other one, and retried."""

import itertools
import json
import re
import time
import tomllib

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from bus.contracts.feedback import RatingListReply
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, deployment
from tests.support.experiment_files import program, submit
from tests.support.helpers import wait_until
from tests.support.workspace import view_of, wait_for_jobs

__all__ = ["deployment"]
GRID = """
name = "Guidance"
jobs_per_variant = 2
seed = 7
[variable]
name = "cfg_scale"
values = [0, 1, 2, 4]
[config]
prompt = "a blue star"
steps = 1
width = 32
height = 32
"""


def made(deployment: Deployment) -> str:
    """Run an experiment of four values and two seeds; return its id."""
    name = submit(deployment.workspace, GRID)
    wait_for_jobs(deployment.learning, name, 8)
    return name


def viewer(page: Page) -> Locator:
    """Return the viewer, if it is open."""
    return page.locator("dialog.viewer")


def is_at(page: Page, place: str) -> None:
    """Wait until this stands behind the experiment in the address, which the browser tells of later than of a click."""
    expect(page).to_have_url(re.compile(re.escape(f"/grid{place}") + "$"))


def test_each_picture_has_an_address(page: Page, deployment: Deployment) -> None:
    """A link opens it from cold, moving keeps one entry of the history; Back, Forward and Escape do what they say."""
    name = made(deployment)
    deployment.open(page, f"e/{name}/grid/2.1")
    expect(viewer(page).locator("h2")).to_have_text("cfg_scale 2", timeout=WAIT)
    expect(page).to_have_title(re.compile("cfg_scale 2, seed 8 . Guidance"))
    page.keyboard.press("Escape")
    expect(viewer(page)).to_have_count(0)
    is_at(page, "")
    expect(page.locator(".cell[data-key='2.1']")).to_be_focused()

    page.locator(".cell[data-key='1.0']").click()
    expect(viewer(page).locator("h2")).to_have_text("cfg_scale 1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(viewer(page).locator(".about")).to_contain_text("seed 8")
    is_at(page, "/2.1")
    page.go_back()
    expect(viewer(page)).to_have_count(0)
    expect(page.locator(".cell[data-key='2.1']")).to_be_focused()
    page.go_forward()
    expect(viewer(page).locator("h2")).to_have_text("cfg_scale 2")
    viewer(page).get_by_role("option", name="4").click()
    is_at(page, "/3.1")
    viewer(page).get_by_role("button", name="Close").click()
    expect(viewer(page)).to_have_count(0)
    is_at(page, "")

    page.goto(page.url.split("#")[0] + f"#/e/{name}/grid/77.0")
    expect(viewer(page)).to_contain_text("There is no picture 77.0 in this experiment.", timeout=WAIT)
    page.get_by_role("button", name="To the grid").click()
    expect(viewer(page)).to_have_count(0)


def test_stars_keep_their_note_and_no_key_is_lost(page: Page, deployment: Deployment) -> None:
    """The note is kept, seen and edited where stars change; keys wait while a request is on its way, in their order."""
    name = made(deployment)

    def ratings() -> list[tuple[int | None, str]]:
        reply = deployment.learning.ask("rating.list", {"experiment_id": name}, RatingListReply)
        return [(one.stars, one.note) for one in reply.ratings]

    deployment.open(page, f"e/{name}/grid/1.0")
    note = viewer(page).get_by_label("Note")
    expect(note).to_be_enabled(timeout=WAIT)
    page.keyboard.press("n")
    page.keyboard.type("too pale")
    page.keyboard.press("Enter")
    page.keyboard.press("3")
    wait_until(lambda: ratings() == [(3, "too pale")], what="stars with their note")
    page.keyboard.press("5")
    wait_until(lambda: ratings() == [(5, "too pale")], what="other stars with the same note")
    expect(note).to_have_value("too pale")
    note.fill("fine")
    page.keyboard.press("Escape")
    expect(note).to_have_value("too pale")
    expect(viewer(page)).to_have_count(1)
    note.fill("fine, after all")
    page.keyboard.press("Enter")
    wait_until(lambda: ratings() == [(5, "fine, after all")], what="another note with the same stars")

    held: list[Route] = []
    page.route("**/rate", lambda route: held.append(route))  # noqa: PLW0108  # it is marked by Playwright
    for key in ("1", "2", "ArrowRight", "4"):
        page.keyboard.press(key)
    expect(viewer(page).locator(".five [aria-pressed=true]")).to_have_attribute("aria-label", "4 stars")
    expect(viewer(page).get_by_text("3 on the way")).to_be_visible()

    def are_all_kept() -> bool:
        page.evaluate("0")  # Playwright tells of a request only while it is asked something
        while held:
            held.pop(0).continue_()
        return sorted(one for one in ratings() if one[0] is not None) == [(2, "fine, after all"), (4, "")]

    wait_until(are_all_kept, what="all stars")


def test_a_picture_that_does_not_load_says_so_and_comes_again(page: Page, deployment: Deployment) -> None:
    """Nobody gives stars to what is not seen; the pictures around are loaded ahead."""
    name = made(deployment)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/images/" in request.url else None)
    page.route(re.compile("/images/"), lambda route: route.abort())
    deployment.open(page, f"e/{name}/grid/1.0")
    unseen = viewer(page).locator(".stage .unseen")
    expect(unseen).to_contain_text("The picture is not there:", timeout=WAIT)
    page.keyboard.press("5")
    expect(viewer(page).locator(".said")).to_contain_text("There is no picture here to rate.")
    page.unroute(re.compile("/images/"))
    asked.clear()
    unseen.get_by_role("button", name="Try again").click()
    expect(viewer(page).locator(".stage img")).to_have_js_property("naturalWidth", 32, timeout=WAIT)
    expect(unseen).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(viewer(page).locator("h2")).to_have_text("cfg_scale 2")

    def are_asked() -> bool:
        page.evaluate("0")  # Playwright tells of a request only while it is asked something
        return len({url for url in asked if "thumbnail" not in url}) >= 4

    wait_until(are_asked, what="the neighbours")


def test_two_are_compared_and_their_settings_copied(page: Page, deployment: Deployment) -> None:
    """With any other one; the divider is dragged in the picture; settings are copied, and what differs is marked."""
    name = made(deployment)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    deployment.open(page, f"e/{name}/grid/1.0?with=3.1")
    about, aside = viewer(page).locator(".about"), viewer(page).locator("aside")
    expect(about).to_contain_text("cfg_scale 1 beside 4", timeout=WAIT)
    expect(aside.locator(".differs dt")).to_have_text(["seed", "cfg_scale"])
    page.get_by_label("Compared with").select_option("0")
    expect(about).to_contain_text("cfg_scale 1 beside 0")
    page.get_by_label("Seed of the second picture").select_option("0")
    expect(aside.locator(".differs dt")).to_have_text(["cfg_scale"])
    is_at(page, "/1.0?with=0.0")
    page.keyboard.press("ArrowDown")
    is_at(page, "/1.1?with=0.1")

    divider, stage = viewer(page).get_by_role("slider"), viewer(page).locator(".stage")
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40)
    page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "25")
    divider.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "27")
    is_at(page, "/1.1?with=0.1")

    viewer(page).get_by_role("button", name="Flip").click()
    expect(stage.locator(".caption:visible")).to_have_text("cfg_scale 0")
    page.keyboard.press(" ")  # the button that was clicked is not pressed again
    expect(stage.locator(".caption:visible")).to_have_text("cfg_scale 1")

    aside.get_by_role("button", name="TOML").click()
    expect(viewer(page).locator(".said")).to_contain_text("All settings: copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert tomllib.loads(copied)["config"] == {
        "prompt": "a blue star", "steps": 1, "width": 32, "height": 32, "seed": 8, "cfg_scale": 1
    }  # fmt: skip
    aside.get_by_role("button", name="JSON").click()
    wait_until(lambda: page.evaluate("() => navigator.clipboard.readText()")[0] == "{", what="the JSON")
    assert json.loads(page.evaluate("() => navigator.clipboard.readText()"))["config"]["seed"] == 8
    assert Axe().run(page).response["violations"] == []


def test_only_the_job_that_is_seen_is_retried(page: Page, deployment: Deployment) -> None:
    """Or all failed ones of its value; what the runner knows of it stands beside it."""
    script = f"test -e {deployment.workspace.folder}/mended || {{ echo out of memory >&2; exit 3; }}"
    name = submit(deployment.workspace, program(values=2, jobs=2, script=script))
    deployment.open(page, f"e/{name}/grid/1.1")
    expect(viewer(page).locator(".stage")).to_contain_text("out of memory", timeout=WAIT)
    expect(viewer(page).locator("aside")).to_contain_text(deployment.runner.control, timeout=WAIT)
    expect(page.get_by_role("button", name="All 2 failed ones of this value")).to_be_visible(timeout=WAIT)
    deployment.workspace.write("mended", "")

    page.get_by_role("button", name="Run this job again").click()

    wait_until(lambda: view_of(deployment.learning, name).totals.completed == 1, what="the retried job")
    assert [one.failed for one in view_of(deployment.learning, name).variants] == [2, 1]
    expect(page.get_by_role("button", name="Run this job again")).to_be_hidden(timeout=WAIT)


def test_a_finger_rates_walks_and_zooms_on_a_phone(browser: Browser, deployment: Deployment) -> None:
    """Stars and arrows to press, swipes to the neighbours, two fingers to zoom; nothing is wider than the phone."""
    name = made(deployment)
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page = context.new_page()
    deployment.open(page, f"e/{name}/grid/1.0")
    stage, heading = viewer(page).locator(".stage"), viewer(page).locator("h2")
    expect(stage.locator("img")).to_have_js_property("naturalWidth", 32, timeout=WAIT)
    viewer(page).get_by_role("button", name="4 stars").tap()
    expect(viewer(page).locator(".five [aria-pressed=true]")).to_have_attribute("aria-label", "4 stars")
    viewer(page).get_by_role("button", name="The next picture").tap()
    expect(heading).to_have_text("cfg_scale 2")

    touch = context.new_cdp_session(page)

    moments = itertools.count(time.time(), 0.05)  # as quick as a swipe is, however busy the machine

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at, "timestamp": next(moments)})

    box = stage.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    for step, wanted in (((-120, 0), "cfg_scale 4"), ((120, 0), "cfg_scale 2")):
        fingers("touchStart", (x, y))
        fingers("touchMove", (x + step[0], y + step[1]))
        fingers("touchEnd")
        expect(heading).to_have_text(wanted)
    fingers("touchStart", (x, y))
    fingers("touchMove", (x, y - 100))
    fingers("touchEnd")
    expect(viewer(page).locator(".about")).to_contain_text("seed 8")
    fingers("touchStart", (x - 20, y), (x + 20, y))
    fingers("touchMove", (x - 60, y), (x + 60, y))
    fingers("touchEnd")
    expect(stage.locator("img")).to_have_attribute("style", re.compile(r"scale\(3\)"))
    expect(heading).to_have_text("cfg_scale 2")

    sizes = (
        viewer(page)
        .locator("header button, header a, header summary, .rate button")
        .evaluate_all(
            "all => all.filter((one) => one.offsetParent).map((one) => Math.min(one.offsetWidth, one.offsetHeight))"
        )
    )
    assert min(sizes) >= 40
    assert page.evaluate("() => document.querySelector('dialog.viewer').scrollWidth") <= 360
    assert Axe().run(page).response["violations"] == []
    context.close()
