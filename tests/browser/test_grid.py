"""The grid of pictures: what is in sight, what the keys do, how it is arranged, and what it is saved as."""

import io
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_dashboard_in_a_browser import LARGE, WAIT, Deployment, cells, deployment, ratings
from tests.support.experiment_files import gate, open_gate, program, submit
from tests.support.helpers import wait_until
from tests.support.workspace import view_of, wait_for_jobs

__all__ = ["deployment"]
SIZES: Final = {"phone": (360, 740), "large": (3840, 2160)}
SWEEP: Final = """
name = "Sweep"
pipeline = "embedded"
seed = 7
jobs_per_variant = 2
[variable]
name = "cfg_scale"
values = [1, 2, 4]
[config]
prompt = "a blue star"
steps = 2
width = 32
height = 32
"""
SEARCH: Final = """
name = "Search"
pipeline = "embedded"
mode = "adaptive"
budget = 6
objective = "prompt_match"
[variable]
name = "cfg_scale"
start = 0
stop = 8
step = 1
[config]
prompt = "a blue star"
steps = 2
width = 32
height = 32
"""


def shown(page: Page, deployment: Deployment, text: str, jobs: int) -> str:
    """Run an experiment, show its pictures, and return its id."""
    experiment_id = submit(deployment.workspace, text)
    wait_for_jobs(deployment.learning, experiment_id, jobs)
    deployment.open(page, f"e/{experiment_id}/grid")
    expect(cells(page, "completed").first).to_be_visible(timeout=WAIT)
    return experiment_id


def heads(page: Page) -> Locator:
    """Return the values above the columns."""
    return page.locator(".columns .heading .name")


def focused(page: Page) -> str:
    """Return the key of the cell, or the words of the heading, that has the focus."""
    return str(page.evaluate("() => document.activeElement.dataset.key ?? document.activeElement.innerText"))


def are_rated(deployment: Deployment, experiment_id: str, stars: list[int]) -> bool:
    """Return whether these stars hold, and no others."""
    return [one.stars for one in ratings(deployment.learning, experiment_id)] == stars


@pytest.mark.parametrize("size", SIZES)
def test_the_grid_scrolls_inside_itself(page: Page, deployment: Deployment, size: str) -> None:
    """On a phone and on a large screen: headings stay, the page does not grow, and only what is in sight exists."""
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    shown(page, deployment, LARGE, 1)
    grid = page.get_by_role("grid")
    expect(grid).to_have_attribute("aria-colcount", "101")
    expect(grid).to_have_attribute("aria-rowcount", "21")
    grid.evaluate("grid => grid.scrollTo(grid.scrollWidth / 2, grid.scrollHeight / 2)")
    expect(page.locator(".cell[data-key='50.10']")).to_be_visible()

    found = page.evaluate("""() => {
      const grid = document.querySelector(".grid").getBoundingClientRect();
      const cell = document.querySelector(".cell").offsetWidth;
      const box = (one) => one.getBoundingClientRect();
      const all = (selector) => [...document.querySelectorAll(selector)];
      const tops = all(".columns .heading").map((one) => box(one).top - grid.top);
      const lefts = all(".rows .heading").map((one) => box(one).left - grid.left);
      const view = document.querySelector("main");
      return {
        tops, lefts, cells: document.querySelectorAll(".cell").length,
        most: (Math.ceil(grid.width / cell) + 4) * (Math.ceil(grid.height / cell) + 4),
        grown: [document.documentElement, view].map((one) => one.scrollHeight - one.clientHeight),
        inside: grid.bottom <= innerHeight && grid.right <= innerWidth,
      };
    }""")
    assert all(0 <= top <= 2 for top in found["tops"]), found
    assert all(0 <= left <= 2 for left in found["lefts"]), found
    assert found["cells"] <= found["most"]
    assert found["grown"] == [0, 0]
    assert found["inside"]


def test_the_keyboard_walks_rates_and_arranges(page: Page, deployment: Deployment) -> None:
    """One Tab stop; arrows, Home, End; stars on a cell; a heading is moved and hidden, which a reload keeps."""
    experiment_id = shown(page, deployment, SWEEP, 6)
    assert page.locator(".grid [tabindex='0']").count() == 1
    page.locator(".grid [tabindex='0']").focus()
    walk = {
        "ArrowRight": "1.0",
        "ArrowDown": "1.1",
        "End": "2.1",
        "Control+Home": "0.0",
        "PageDown": "0.1",
        "Control+End": "2.1",
    }
    for key, place in walk.items():
        page.keyboard.press(key)
        assert focused(page) == place, key
    assert page.locator(".grid [tabindex='0']").count() == 1

    for key, told, stars in (("4", "★★★★☆", 4), ("2", "★★☆☆☆", 2), ("u", "★★★★☆", 4), ("x", "★☆☆☆☆", 1)):
        page.keyboard.press(key)
        expect(page.locator(".cell[data-key='2.1'] .stars")).to_have_text(told)
        wait_until(partial(are_rated, deployment, experiment_id, [stars]), what=f"the stars of {key}")
    expect(page.locator(".columns .heading").nth(2)).to_contain_text("★ 1.0", timeout=WAIT)
    page.keyboard.press("Enter")
    expect(page.locator(".viewer")).to_be_visible()
    expect(page).to_have_url(f"{deployment.url}/#/e/{experiment_id}/grid/2.1")
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_have_count(0)
    assert focused(page) == "2.1"

    page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("ArrowUp")
    assert focused(page).startswith("4")
    page.keyboard.press("Alt+ArrowLeft")
    expect(heads(page)).to_have_text(["1", "4", "2"])
    assert focused(page).startswith("4")
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="4").get_by_role("button", name="Hide this value").click()
    expect(heads(page)).to_have_text(["1", "2"])
    page.reload()
    expect(heads(page)).to_have_text(["1", "2"], timeout=WAIT)
    page.get_by_role("button", name="Show all (1 hidden)").click()
    expect(heads(page)).to_have_text(["1", "4", "2"])
    page.locator(".columns .heading").first.drag_to(page.locator(".columns .heading").nth(2))
    expect(heads(page)).to_have_text(["4", "2", "1"])
    expect(page.locator(".headmenu")).to_have_count(0)
    page.get_by_label("Order").select_option("plan")
    expect(heads(page)).to_have_text(["1", "2", "4"])


def test_cells_are_coloured_and_say_their_state_in_little_room(page: Page, deployment: Deployment) -> None:
    """By a metric, with what the colours mean; the recommended value has its chance; symbols where words do not fit."""
    shown(page, deployment, SWEEP.replace("jobs_per", 'objective = "prompt_match"\njobs_per'), 6)
    best = page.locator(".columns .heading.best")
    expect(best).to_contain_text("%", timeout=WAIT)
    page.get_by_label("Colour by").select_option("prompt_match")
    expect(page.locator(".cell.scored")).to_have_count(6)
    shares = page.locator(".cell").evaluate_all(
        "cells => cells.map((one) => parseInt(one.style.getPropertyValue('--score')))"
    )
    assert (min(shares), max(shares)) == (0, 100)
    expect(page.locator(".legend")).to_be_visible()

    stars = page.locator(".cell[data-key='1.0']")
    stars.hover()
    stars.get_by_title("3 of 5 stars").click()
    expect(stars.locator(".stars")).to_have_text("★★★☆☆")
    expect(page.locator(".viewer")).to_have_count(0)
    size = page.get_by_label("Size of pictures")
    size.fill("40")
    expect(page.locator(".cell.small .stars")).to_have_text("★3")
    page.get_by_role("button", name="Fit").click()
    wide = page.evaluate("() => { const g = document.querySelector('.grid'); return g.scrollWidth - g.clientWidth }")
    assert wide == 0
    assert page.locator(".cell").first.evaluate("cell => cell.offsetWidth") > 300


def test_a_cancel_asks_and_what_never_ran_does_not_read_planned(page: Page, deployment: Deployment) -> None:
    """The question names the jobs; a search that has ended says what it has not tried."""
    workspace = deployment.workspace
    experiment_id = submit(workspace, program(values=4, jobs=2, script=gate(workspace, 1)))
    deployment.open(page, f"e/{experiment_id}/grid")
    expect(cells(page, "completed")).to_have_count(4, timeout=WAIT)
    # the page has the ends from the runner, and what is left from the learning service, which hears of ends after it
    expect(page.locator(".head .facts")).to_contain_text("4 of 8 jobs", timeout=WAIT)
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("alertdialog", name="Cancel 4 jobs?")
    dialog.get_by_role("button", name="Let them run").click()
    assert view_of(deployment.learning, experiment_id).totals.cancelled == 0
    page.get_by_role("button", name="Cancel").click()
    dialog.get_by_role("button", name="Cancel 4 jobs").click()
    expect(cells(page, "cancelled")).to_have_count(4, timeout=WAIT)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    open_gate(workspace)

    search = shown(page, deployment, SEARCH, 6)
    wait_until(lambda: view_of(deployment.learning, search).status == "completed", what="the end of the search")
    expect(page.locator(".head .chip")).to_have_text("completed", timeout=WAIT)
    expect(cells(page, "untried").first).to_have_text("untried")
    expect(cells(page, "planned")).to_have_count(0)


def test_the_pictures_are_saved_as_they_are_arranged(page: Page, deployment: Deployment) -> None:
    """One picture without what is hidden; an animation with a frame for each value."""
    experiment_id = shown(page, deployment, SWEEP, 6)
    page.locator(".columns .heading").nth(1).click()
    page.get_by_role("button", name="Hide this value").click()

    def saved(form: str) -> Image.Image:
        page.get_by_role("button", name="Save", exact=True).click()
        dialog = page.get_by_role("dialog", name="Save the pictures")
        dialog.get_by_label(form).check()
        with page.expect_download() as download:
            dialog.get_by_role("button", name="Save", exact=True).click()
        assert download.value.suggested_filename == f"{experiment_id}.{form.lower()}"
        expect(dialog).to_have_count(0)
        return Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))

    sheet, animation = saved("PNG"), saved("GIF")

    assert sheet.format == "PNG"
    assert sheet.width > 2 * 320
    assert getattr(animation, "n_frames", 1) == 2
    page.route("**/api/sheet", lambda route: route.fulfill(status=503, json={"error": "the runner does not answer"}))
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_have_text("the runner does not answer")
