"""`variantbus experiment sheet`."""

from pathlib import Path

import click
from PIL import Image

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.process import EXIT_REFUSED, fail, user_errors
from bus.contracts.messages import ImageRef
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys
from variantbus.cli.pictures import read_picture
from variantbus.client.outputs import fetch_picture
from variantbus.client.records import export_of
from variantbus.reports.export import Exported
from variantbus.reports.sheet import SheetError, contact_sheet
from variantbus.reports.text import count_text


@click.command()
@click.argument("experiment_id", metavar="ID")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The PNG to write (default: ID.png here).")
@learning_option
@runner_option
@keys_option
def sheet(experiment_id: str, *, output: Path | None, learning: str, runner: str, keys: Keys | None) -> None:
    """Draw all pictures of an experiment into one PNG: one column for each value, one row for each seed."""
    with user_errors():
        target = output or Path(f"{experiment_id}.png")
        if target.suffix.lower() != ".png" or not target.parent.is_dir():
            raise InvalidInputError(f"--output: {target} must end in .png, in a folder that exists")
        try:
            write_sheet(export_of(learning, experiment_id, keys), runner, target, keys)
        except SheetError as error:
            fail(str(error), EXIT_REFUSED)
        click.echo(str(target))


def write_sheet(exported: Exported, runner: str, target: Path, keys: Keys | None = None) -> None:
    """Draw the contact sheet from the runner's thumbnails, and write it; say on stderr how many pictures it lacks."""
    missing = 0

    def load(image: ImageRef) -> Image.Image | None:
        nonlocal missing
        data = fetch_picture(runner, image.sha256, keys)
        picture = read_picture(data) if data is not None else None
        missing += picture is None
        return picture

    contact_sheet(exported, load).save(target)
    if missing:
        text = count_text(missing, "picture could not be read", "pictures could not be read")
        click.echo(f"{text}, empty cells stand for them; `variantbus verify` names the damaged ones", err=True)
