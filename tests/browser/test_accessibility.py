"""Every view before a checker of accessibility: light, dark, and on a phone."""

from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.exhibition import VIEWS, WAIT, Exhibition
from tests.support.workspace import Workspace

PIXELS: Final = 32
LOOKS: Final = {"light": (1280, 800), "dark": (1280, 800), "phone": (360, 740)}


def broken(found: dict[str, Any]) -> list[str]:
    """Return what is wrong, with the elements, in lines."""
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_no_view_shuts_anybody_out(browser: Browser, workspace: Workspace) -> None:
    """No violation of the rules that a program can check, in any view."""
    exhibition = Exhibition(workspace, PIXELS)
    exhibition.fill()
    wrong = []
    for look, (width, height) in LOOKS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if look == "dark" else "light"
        )
        context.set_default_timeout(WAIT)
        page = context.new_page()
        for view in VIEWS:
            view.open(page, exhibition)
            wrong += [f"{view.name}, {look}: {one}" for one in broken(Axe().run(page).response)]
            wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
            wrong += [f"{view.name}, {look}: the page is {wide} px too wide"] if wide > 0 else []
        context.close()
    assert not wrong, "\n".join(wrong)
