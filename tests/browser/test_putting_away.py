"""Archiving and deleting as a person does it, with a second page that looks on."""

import os

from playwright.sync_api import Page, expect

from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment
from tests.support.experiment_files import program, submit
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, Workspace, view_of


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the page, if a person wants to look at it."""
    if folder := os.environ.get("VARIANTBUS_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_an_experiment_is_archived_and_deleted_and_every_page_drops_it(workspace: Workspace, page: Page) -> None:
    """By keyboard and mouse; the answer that is focused first keeps it."""
    deployment = Deployment(workspace)
    name = submit(workspace, program(values=2, jobs=1))
    wait_until(lambda: view_of(deployment.learning, name).status == "completed", COMMAND_SECONDS, what="the end")
    other = page.context.new_page()
    deployment.open(other, f"e/{name}/grid")
    expect(other.locator("h1")).to_have_text("Program", timeout=WAIT)
    deployment.open(page, f"e/{name}/grid")

    page.locator(".head").get_by_role("button", name="More").click()
    page.locator(".menu").get_by_role("button", name="Archive").click()
    expect(page.locator(".facts")).to_contain_text("archived", timeout=WAIT)
    shoot(page, "archived")
    deployment.open(page)
    expect(page.locator(".welcome")).to_be_visible(timeout=WAIT)
    page.get_by_role("link", name="See what is archived").click()
    expect(page.locator(".card")).to_have_count(1, timeout=WAIT)
    shoot(page, "list")
    page.locator(".card .name").click()
    page.locator(".head").get_by_role("button", name="More").click()
    page.locator(".menu").get_by_role("button", name="Delete …").click()
    dialog = page.get_by_role("alertdialog", name="Delete Program?")
    expect(dialog).to_contain_text("2 results are deleted for good")
    shoot(page, "dialog")
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert view_of(deployment.learning, name).status == "completed", "it was kept"

    page.locator(".head").get_by_role("button", name="More").click()
    page.locator(".menu").get_by_role("button", name="Delete …").click()
    dialog.get_by_role("button", name="Delete for good").click()

    for one in (page, other):  # at first what goes after four seconds
        expect(one.locator(".said")).to_contain_text("Program was deleted", timeout=WAIT)
    for one in (page, other):
        expect(one).to_have_url(f"{deployment.url}/#/", timeout=WAIT)
        expect(one.locator(".card")).to_have_count(0)
