"""`variantbus experiment sheet`."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import click
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.process import EXIT_REFUSED, fail, user_errors
from bus.console.writing import written
from bus.contracts.media import is_picture
from bus.contracts.messages import ImageRef
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys
from variantbus.cli.ids import experiment_argument
from variantbus.client.outputs import fetch_picture
from variantbus.client.pictures import read_picture
from variantbus.client.records import export_of
from variantbus.reports.planes import Chosen
from variantbus.reports.sheet import Sheet, SheetError
from variantbus.reports.text import count_text

LETTERS: Final = 20  # that are named of those which no font has
MARK: Final = "variantbus sheet"  # the text of a page that names its experiment


@click.command()
@experiment_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The PNG to write (default: ID.png here).")
@click.option("--x", "across", default="", metavar="NAME", help="The variable across, of several (default: the first).")
@click.option("--y", "down", default="", metavar="NAME", help="The variable down, of several (default: the next one).")
@click.option(
    "--fix", multiple=True, metavar="NAME=VALUE", help="Show only this value of another variable; repeatable."
)
@learning_option
@runner_option
@keys_option
def sheet(  # noqa: PLR0913 - one parameter an option
    experiment_id: str,
    *,
    output: Path | None,
    across: str,
    down: str,
    fix: tuple[str, ...],
    learning: str,
    runner: str,
    keys: Keys | None,
) -> None:
    """Draw all pictures of an experiment into one PNG: one column for each value, one row for each seed.

    Of an experiment over several prompts, one row for each prompt and seed.
    Of several variables, the values of the first go across and those of the second down, on a page for each combination
    of the others. More pictures than one file can hold go into several; the path of each is printed.
    """
    with user_errors():
        target = output or Path(f"{experiment_id}.png")
        if target.suffix.lower() != ".png" or not target.parent.is_dir():
            raise InvalidInputError(f"--output: {target} must end in .png, in a folder that exists")
        try:
            drawn = Sheet(export_of(learning, experiment_id, keys), _chosen(across, down, fix))
            for path in write_sheet(drawn, runner, target, keys):
                click.echo(str(path))
        except SheetError as error:
            fail(str(error), EXIT_REFUSED)


def _chosen(across: str, down: str, fix: tuple[str, ...]) -> Chosen | None:
    """Return what a person wants to see, None where that is left to us."""
    fixed: dict[str, str] = {}
    for text in fix:
        name, sign, value = text.partition("=")
        if not sign or not name or name in fixed:
            raise InvalidInputError(f"--fix: {text!r}; write NAME=VALUE, once for each variable")
        fixed[name] = value
    return Chosen(across, down, fixed) if across or down or fixed else None


def write_sheet(drawn: Sheet, runner: str, target: Path, keys: Keys | None = None) -> list[Path]:
    """Draw the contact sheet from the runner's thumbnails; return its files, and say on stderr what is not on it.

    Raises:
        InvalidInputError: a file cannot be written.
    """
    missing = 0

    def load(image: ImageRef) -> Image.Image | None:
        nonlocal missing
        data = fetch_picture(runner, image.sha256, keys, whole=is_picture(image))
        picture = read_picture(data) if data is not None else None
        missing += picture is None
        return picture

    paths: list[Path] = []
    mark = PngInfo()
    mark.add_text(MARK, drawn.experiment_id)
    for number, page in enumerate(drawn.draw(load), 1):
        paths.append(_page_of(target, number))
        with written(paths[-1]) as file:
            page.save(file, "PNG", pnginfo=mark)
    for old in _further_pages(target, len(paths), drawn.experiment_id):
        old.unlink(missing_ok=True)
        click.echo(f"{old} was removed: it was a page of an earlier, longer sheet", err=True)
    for remark in remarks(drawn, missing):
        click.echo(remark, err=True)
    return paths


def _page_of(target: Path, number: int) -> Path:
    return target if number == 1 else target.with_stem(f"{target.stem}-{number}")


def _further_pages(target: Path, written_pages: int, experiment_id: str) -> Iterator[Path]:
    """Yield the files that an earlier sheet of the experiment has left behind its present last page; no other's."""
    for number in count(written_pages + 1):
        path = _page_of(target, number)
        try:
            with Image.open(path) as page:
                if page.format != "PNG" or page.info.get(MARK) != experiment_id:
                    return
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # not there, or no picture
            return
        yield path


def remarks(drawn: Sheet, missing: int) -> list[str]:
    """Return in sentences what the sheet does not show."""
    letters = "".join(sorted(drawn.fonts.missing))
    others, files = sum(grid.others for grid in drawn.grids), sum(grid.files for grid in drawn.grids)
    told = []
    if missing:
        text = count_text(missing, "picture could not be read", "pictures could not be read")
        told.append(f"{text}, empty cells stand for them; `variantbus verify` names the damaged ones")
    if others:
        same = "of the same value and seed"
        text = count_text(others, f"more picture {same} is", f"more pictures {same} are")
        told.append(f"{text} not drawn; the first of each is")
    if files:
        told.append(f"{count_text(files, 'result is no picture', 'results are no pictures')}, see `experiment show`")
    if letters:
        told.append(f"no font of this machine has {letters[:LETTERS]}; install one, such as fonts-noto-cjk for Chinese")
    return told
