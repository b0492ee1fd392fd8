"""An experiment that somebody sees by a link: live, with its pictures and its answer, and nothing to change."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, cells
from tests.support.experiment_files import gate, open_gate, program, submit
from tests.support.workspace import Workspace


def test_an_experiment_is_shared_and_no_more(browser: Browser, page: Page, workspace: Workspace) -> None:
    """The link is made and revoked in a dialog; who has it sees jobs end and the answer, and cannot change anything."""
    deployment = Deployment(workspace)
    experiment_id = submit(workspace, program(values=2, jobs=2, script=gate(workspace, 1)))
    deployment.open(page, f"e/{experiment_id}/grid")
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog", name="Share this experiment")
    expect(dialog).to_contain_text("an address of this machine alone")
    dialog.get_by_label("Valid for").select_option("a day")
    dialog.get_by_role("button", name="Make a link").click()
    field = dialog.get_by_label("The link, shown only this once")
    expect(field).to_have_value(re.compile(r"http://127\.0\.0\.1:\d+/share/[\w-]{43}"), timeout=WAIT)
    expect(dialog.get_by_role("listitem")).to_have_count(1)
    assert Axe().run(page).response["violations"] == []

    context = browser.new_context(viewport={"width": 360, "height": 740})
    context.set_default_timeout(WAIT)
    other = context.new_page()
    asked: list[str] = []
    broken: list[str] = []
    other.on("request", lambda request: asked.append(request.url.removeprefix(deployment.url)))
    other.on("pageerror", lambda error: broken.append(str(error)))
    other.goto(field.input_value())
    expect(other.locator("#live")).to_have_text("live")
    expect(other.locator("h1")).to_have_text("Program")
    expect(cells(other, "completed")).to_have_count(2)
    open_gate(workspace)
    expect(cells(other, "completed")).to_have_count(4)
    for name in ("Share", "Extend", "Cancel", "Retry failed", "Rename"):
        expect(other.get_by_role("button", name=name)).to_have_count(0)
    expect(other.get_by_role("link", name="System")).to_have_count(0)
    assert other.evaluate("document.querySelector('main').scrollWidth <= 360")
    assert Axe().run(other).response["violations"] == []
    cells(other, "completed").first.click()
    viewer = other.get_by_role("dialog", name="Picture")
    expect(viewer).to_contain_text("result.txt")
    other.keyboard.press("5")
    for name in ("Reject", "Undo"):
        expect(viewer.get_by_role("button", name=name)).to_have_count(0)
    expect(viewer.get_by_label("Note")).to_have_count(0)
    expect(viewer.locator(".said")).to_be_empty()
    assert Axe().run(other).response["violations"] == []
    other.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    other.get_by_role("link", name="Answer").click()
    expect(other.locator(".verdict")).to_be_visible()
    expect(other.locator(".verdict button, .verdict a.button")).to_have_count(0)
    assert Axe().run(other).response["violations"] == []
    assert not [path for path in asked if not path.startswith(("/share/", "/static/"))]

    dialog.get_by_role("button", name=re.compile("Revoke the link")).click()
    expect(dialog.get_by_role("listitem")).to_have_count(0)
    expect(other.locator("body")).to_contain_text("This link is no longer valid", timeout=WAIT)
    assert broken == []
    context.close()
