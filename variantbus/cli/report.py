"""`variantbus experiment report`."""

from pathlib import Path

import click

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.process import user_errors
from bus.contracts.media import is_picture
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys
from variantbus.cli.file_changes import replace_text
from variantbus.cli.ids import experiment_argument
from variantbus.client.experiments import ask_recommendation
from variantbus.client.outputs import fetch_beginning, fetch_picture
from variantbus.client.records import export_of
from variantbus.reports.html import report_html


@click.command()
@experiment_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write (default: ID.html here).")
@learning_option
@runner_option
@keys_option
def report(experiment_id: str, *, output: Path | None, learning: str, runner: str, keys: Keys | None) -> None:
    """Write one HTML file to pass on: the answer, a plot, all numbers, all pictures. It loads nothing else."""
    with user_errors():
        target = output or Path(f"{experiment_id}.html")
        if target.suffix.lower() != ".html" or not target.parent.is_dir():
            raise InvalidInputError(f"--output: {target} must end in .html, in a folder that exists")
        exported = export_of(learning, experiment_id, keys)
        made = ask_recommendation(learning, experiment_id, keys)
        text = report_html(
            exported,
            made,
            lambda image: fetch_picture(runner, image.sha256, keys, whole=is_picture(image)),
            lambda image: fetch_beginning(runner, image.sha256, keys),
        )
        replace_text(target, text)
        click.echo(str(target))
