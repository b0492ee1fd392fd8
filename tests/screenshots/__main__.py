"""Show every view to a browser in three sizes, light and dark, and keep what it draws."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browsers import launch
from tests.support.cluster_exhibition import VIEW as CLUSTER
from tests.support.cluster_exhibition import ClusterExhibition
from tests.support.exhibition import VIEWS, WAIT, Exhibition, Shown, View
from tests.support.workspace import ROOT, Workspace

FOLDER: Final = ROOT / "docs" / "screenshots"
SIZES: Final = {"phone": (360, 740), "": (1280, 800), "large": (2560, 1440)}
PIXELS: Final = 192  # of a picture's side
QUALITY: Final = 65  # of WebP, in which all of them take 5 MB
EMPTY: Final = View("empty", "", ".empty")


@click.command()
@click.option("--only", multiple=True, help="Name of a view; repeat it for several. Without it, all are shown.")
def main(only: tuple[str, ...]) -> None:
    """Write docs/screenshots: a file for each view, size and colour scheme."""
    FOLDER.mkdir(exist_ok=True)
    empty, views, cluster = (
        [one for one in some if not only or one.name in only] for some in ([EMPTY], VIEWS, [CLUSTER])
    )
    with sync_playwright() as playwright, contextlib.closing(launch(playwright)) as browser:
        if empty or views:
            with workspace() as processes:
                exhibition = Exhibition(processes, PIXELS)
                show(browser, exhibition, empty)
                if views:
                    exhibition.fill()
                show(browser, exhibition, views)
        if cluster:
            with workspace() as processes:
                show(browser, ClusterExhibition(processes), cluster)


@contextlib.contextmanager
def workspace() -> Iterator[Workspace]:
    """Have processes within the block."""
    with tempfile.TemporaryDirectory() as folder:
        processes = Workspace(Path(folder))
        try:
            yield processes
        finally:
            processes.close()


def show(browser: Browser, exhibition: Shown, views: list[View]) -> None:
    """Keep pictures of some views in all sizes and both colour schemes."""
    for size, (width, height) in SIZES.items():
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
            )
            context.set_default_timeout(WAIT)
            page = context.new_page()
            for view in views:
                view.open(page, exhibition)
                name = "-".join(part for part in (view.name, size, "dark" if scheme == "dark" else "") if part)
                keep(page, FOLDER / f"{name}.webp")
                click.echo(name)
            context.close()


def keep(page: Page, path: Path) -> None:
    """Write a picture of what the page shows, small enough for a repository."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").save(path, quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
