"""The browser of this machine, without a screen."""

import shutil
from typing import Final

from playwright.sync_api import Browser, Playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


def path_of_browser() -> str | None:
    """Return the path of Chromium, None if there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """Start it.

    Raises:
        FileNotFoundError: there is none.
    """
    path = path_of_browser()
    if path is None:
        raise FileNotFoundError("needs chromium; on Debian: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
