"""A real browser before a real dashboard; skipped where there is none, but never in CI."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.acceptance.conftest import pytest_runtest_makereport, workspace
from tests.support.browsers import launch, path_of_browser
from tests.support.helpers import PATIENCE, TIME_FACTOR

__all__ = ["pytest_runtest_makereport", "workspace"]
# what a page must show has as long as anything else that must happen: Playwright's five seconds are not scaled
expect.set_options(timeout=PATIENCE * TIME_FACTOR * 1000)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Start the browser of this machine; for each test, as Playwright's event loop would be in the way of others."""
    if path_of_browser() is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium; .ci/run installs it")
        pytest.skip("needs chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a window; whatever goes wrong in a script of ours fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE * TIME_FACTOR * 1000)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("dialog", lambda dialog: broken.append(f"a dialog: {dialog.message}"))
    yield page
    context.close()
    assert broken == []
