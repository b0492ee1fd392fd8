"""The list of experiments, the way to one and back, and addresses that lead nowhere."""

import re
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment
from tests.support.experiment_files import program, submit
from tests.support.helpers import wait_until
from tests.support.many_experiments import fill
from tests.support.workspace import COMMAND_SECONDS, Workspace, view_of

MANY: Final = 1000
MOST_ROWS: Final = 40  # in the page
SCROLLED: Final = "() => document.querySelector('#view').scrollTop"
SECOND: Final = """
name = "Second sweep"
objective = "prompt_match"
jobs_per_variant = 2
seed = 1234
[variable]
name = "cfg_scale"
values = [1, 1.5, 3]
[config]
prompt = "a blue star"
steps = 12
sampler_name = "euler"
width = 128
height = 128
"""
LOST: Final = {
    "#/e/%E0%A4%A": "There is no such page",
    "#/nowhere": "There is no such page",
    "#/e/x/nowhere": "There is no such page",
    "#/e/nobody/answer": "There is no such experiment",
}


def open_list(page: Page, deployment: Deployment, place: str = "") -> None:
    """Show the list, and wait for its rows."""
    deployment.open(page, place)
    expect(page.locator(".card .chip").first).to_be_visible(timeout=WAIT)


@pytest.mark.fault(item="F105")
def test_of_many_experiments_only_those_in_sight_exist_and_back_returns_to_them(
    page: Page, workspace: Workspace
) -> None:
    """Scrolling, a search, a state and an order; all of it is in the address, and kept over Back and a reload."""
    fill(workspace.folder / "data", MANY)
    deployment = Deployment(workspace)
    open_list(page, deployment)
    cards, names = page.locator(".list .card"), page.locator(".list .card .name")
    expect(names.first).to_have_text("Sweep 999")
    assert cards.count() < MOST_ROWS

    page.locator("#view").evaluate("view => view.scrollTo(0, view.scrollHeight / 2)")
    expect(page.get_by_role("link", name="Sweep 499", exact=True)).to_be_visible(timeout=WAIT)
    assert cards.count() < MOST_ROWS
    before = page.evaluate(SCROLLED)
    page.get_by_role("link", name="Sweep 499", exact=True).click()
    expect(page.locator("h1")).to_have_text("Sweep 499", timeout=WAIT)
    assert page.evaluate(SCROLLED) == 0
    page.go_back()
    expect(page.get_by_role("link", name="Sweep 499", exact=True)).to_be_visible(timeout=WAIT)
    wait_until(lambda: abs(page.evaluate(SCROLLED) - before) < 2, what="the place")
    page.reload()
    expect(page.get_by_role("link", name="Sweep 499", exact=True)).to_be_visible(timeout=WAIT)
    page.locator("#view").evaluate("view => view.scrollTo(0, view.scrollHeight)")
    expect(names.last).to_have_text("Sweep 0", timeout=WAIT)

    page.get_by_label("Search experiments").fill("SWEEP no12 ")
    expect(cards).to_have_count(11, timeout=WAIT)
    page.get_by_label("Order").select_option("name")
    expect(names.nth(1)).to_have_text("Sweep 120", timeout=WAIT)
    names.nth(1).press("ArrowDown")
    expect(names.nth(2)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Sweep 121", timeout=WAIT)
    page.go_back()
    expect(page).to_have_url(f"{deployment.url}/#/?search=SWEEP+no12&sort=name")
    expect(page.get_by_label("Search experiments")).to_have_value("SWEEP no12")
    expect(names.nth(1)).to_have_text("Sweep 120", timeout=WAIT)

    page.get_by_role("link", name="Experiments").click()
    expect(page.get_by_label("Search experiments")).to_have_value("")
    page.get_by_label("State").select_option("failed")
    expect(names).to_have_text(["Sweep 500"], timeout=WAIT)
    page.get_by_label("State").select_option("")
    submit(workspace, program(values=1, jobs=1, script="true"))
    expect(names.first).to_have_text("Program", timeout=WAIT)


def test_every_address_has_a_sentence_and_titles_follow(page: Page, workspace: Workspace) -> None:
    """What leads nowhere leads on; a new name is the title's too; the skip link stays in the page."""
    deployment = Deployment(workspace)
    name = submit(workspace, program(values=2, jobs=1))
    for address, sentence in LOST.items():
        page.goto("about:blank")
        page.goto(f"{deployment.url}/{address}")
        expect(page.locator("h1")).to_have_text(sentence, timeout=WAIT)
        expect(page).to_have_title(re.compile("Not found"))
        page.get_by_role("link", name="See all experiments").click()
        expect(page).to_have_title(re.compile("^Experiments"))

    deployment.open(page, f"e/{name}/grid")
    expect(page).to_have_title(re.compile("^Program"), timeout=WAIT)
    page.locator(".ran summary").click()
    expect(page.get_by_role("region", name="All settings")).to_contain_text("level (varies)")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.locator("#view").evaluate("one => one.scrollWidth <= one.clientWidth")
    assert Axe().run(page).response["violations"] == []
    page.set_viewport_size({"width": 1400, "height": 900})
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Rename")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Name", exact=True).fill("Another name")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Another name", timeout=WAIT)
    expect(page).to_have_title(re.compile("^Another name"))
    page.get_by_role("link", name="Run again with changes").click()
    expect(page).to_have_url(f"{deployment.url}/#/new?from={name}")
    expect(page).to_have_title(re.compile("^New experiment"))

    for scheme in ("light", "dark"):
        page.locator("#theme").click()
        expect(page.locator("#theme")).to_have_attribute("aria-label", f"Colours: {scheme}")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == scheme
    page.reload()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    page.locator("#theme").click()
    expect(page.locator("#theme")).to_have_attribute("aria-label", "Colours: as the system says")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{deployment.url}/#/new?from={name}")
    expect(page.locator("#view")).to_be_focused()


def test_from_an_empty_list_to_rows_that_are_put_away(page: Page, workspace: Workspace) -> None:
    """The example runs at a click; rows tell what leads and what waits; several are archived and deleted at once."""
    deployment = Deployment(workspace)
    deployment.open(page)
    page.get_by_role("button", name="Run an example").click()
    expect(page.locator("h1")).to_have_text("CFG sweep", timeout=WAIT)
    second = submit(workspace, SECOND, "second.toml")
    other = submit(workspace, program(values=2, jobs=2))
    for one in (second, other):  # only what has ended can be deleted
        wait_until(lambda one=one: view_of(deployment.learning, one).status == "completed", COMMAND_SECONDS, what=one)  # type: ignore[misc]
    page.get_by_role("link", name="Experiments").click()
    example = page.locator(".card", has_text="CFG sweep")
    expect(example.locator(".leader")).to_have_text(re.compile(r"cfg_scale 1\.5\s*\d+ %"), timeout=WAIT)
    expect(example.locator(".strip img")).to_have_count(6, timeout=WAIT)
    row = page.locator(".card", has_text="Program")
    row.get_by_role("link", name="4 wait for your stars").click()
    expect(page).to_have_url(f"{deployment.url}/#/e/{other}/rate")
    page.go_back()

    compare_two(page, deployment)

    row.get_by_role("button", name="More for Program").click()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(row).to_have_count(0, timeout=WAIT)
    page.get_by_label("Archived").check()
    expect(page).to_have_url(f"{deployment.url}/#/?archived=1")
    page.get_by_role("checkbox", name="Select Program").check()
    page.get_by_role("button", name="Take out of the archive").click()
    expect(page.locator(".empty")).to_have_text("No experiment is archived.", timeout=WAIT)
    page.get_by_label("Archived").uncheck()
    for name in ("Program", "CFG sweep", "Second sweep"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Delete …").last.click()
    dialog = page.get_by_role("alertdialog", name="Delete 3 experiments?")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.locator(".welcome")).to_be_visible(timeout=WAIT)
    assert violations(page) == []


def compare_two(page: Page, deployment: Deployment) -> None:
    """Two experiments that vary the same stand on one scale, with what differs; one that is not there says so."""
    for name in ("CFG sweep", "Second sweep"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    assert violations(page) == []
    page.get_by_role("button", name="Compare").click()
    expect(page.locator(".peers .finding")).to_have_count(2, timeout=WAIT)
    expect(page).to_have_title(re.compile("^CFG sweep, Second sweep"))
    expect(page.locator(".winners .interval")).to_have_count(2)
    expect(page.locator(".over .form")).to_have_count(8 + 3)
    differs = page.locator(".settings tbody th")
    expect(differs).to_have_text(["cfg_scale (varies)", "seeds", "origin"])
    page.get_by_role("button", name=re.compile(r"Show \d+ more that are the same")).click()
    expect(page.locator(".settings tbody tr.same th").first).to_have_text("prompt")
    expect(page.locator(".best-of img")).to_have_count(2)
    assert violations(page) == []
    page.get_by_role("link", name="Leave Second sweep out").click()
    page.get_by_role("link", name="the list").click()
    page.goto(f"{deployment.url}/#/compare/nobody/else")
    expect(page.get_by_text("There is no such experiment")).to_have_count(2, timeout=WAIT)
    page.get_by_role("link", name="Experiments").click()


def violations(page: Page) -> list[str]:
    """Return what is in the way of people who cannot see the page, or use no mouse."""
    return [str(one["id"]) for one in Axe().run(page).response["violations"]]
