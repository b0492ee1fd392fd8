"""`variantbus apply`: write the recommended value into a file, or print it as a ready-to-run job."""

from pathlib import Path

import click

from bus.console.options import data_dir_option, keys_option, learning_option
from bus.console.printable import harmless, printable
from bus.console.process import EXIT_REFUSED, confirm, fail, user_errors
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config, VariantValue
from bus.protocol.validation import InvalidInputError
from bus.transport.keys import Keys
from learning_service.experiments.settings import value_settings
from variantbus.cli.file_changes import History, read_text
from variantbus.cli.ids import optional_experiment_argument
from variantbus.cli.patching import difference, patched
from variantbus.client.experiments import ask_recommendation, shown
from variantbus.client.records import job_of


@click.command()
@optional_experiment_argument
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="TOML or JSON file to change.")
@click.option("--key", "places", multiple=True, metavar="NAME=PLACE", help="Where it belongs: a.b.c; repeatable.")
@click.option(
    "--undo", "undone", type=click.Path(path_type=Path), metavar="FILE", help="Restore FILE as it was before."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
@learning_option
@keys_option
def apply(  # noqa: PLR0913 - one parameter an option
    experiment_id: str,
    *,
    target: Path | None,
    places: tuple[str, ...],
    undone: Path | None,
    yes: bool,
    data_dir: Path,
    learning: str,
    keys: Keys | None,
) -> None:
    """Apply the recommendation for ID: print the ready-to-run job, or write the value into a file.

    Shows the difference and asks before anything is written.
    """
    with user_errors():
        history = History(data_dir.absolute() / "applied")
        if bool(experiment_id) == bool(undone) or (undone and (target or places)):
            raise InvalidInputError("give an ID, or --undo with a FILE and nothing else")
        if undone:
            _undo(history, undone.resolve(), yes=yes)
            return
        if target is None:
            click.echo(job_of(learning, experiment_id, keys), nl=False)
            return
        view = shown(learning, experiment_id, keys)
        made = ask_recommendation(learning, experiment_id, keys)
        value = made.value
        if value is None:
            fail(harmless(made.sentence), EXIT_REFUSED)
        chosen, left_out = _applicable(view.definition, value)
        if not chosen:
            fail(
                f"{', '.join(left_out)}: differs between blocks, so there is nothing to write into a file", EXIT_REFUSED
            )
        path = target.resolve()
        before = read_text(path)
        try:
            after = patched(before, path.suffix.lower(), chosen, _places(places, list(chosen)))
        except InvalidInputError as error:
            raise InvalidInputError(f"{target}: {error}") from None
        click.echo(harmless(made.sentence), err=True)
        if left_out:
            click.echo(f"{', '.join(left_out)}: differs between blocks, and is not written", err=True)
        if _agreed(before, after, path, yes=yes):
            history.write(path, before, after, experiment_id)
            click.echo(f"applied; `variantbus apply --undo {target}` takes it back", err=True)


def _applicable(definition: ExperimentDefinition, value: VariantValue) -> tuple[Config, list[str]]:
    """Return the settings of a value, and the names of those texts that it is a part of and that each block has."""
    own = {name for block in definition.blocks for name in block.config}
    settings = value_settings(definition, value)
    return {name: part for name, part in settings.items() if name not in own}, sorted(own & settings.keys())


def _undo(history: History, path: Path, *, yes: bool) -> None:
    kept, record = history.newest(path)
    if _agreed(read_text(path), record.before, path, yes=yes):
        history.undo(kept, record)
        click.echo(f"{path} is what it was before {record.experiment_id}", err=True)


def _agreed(before: str, after: str, path: Path, *, yes: bool) -> bool:
    """Show the difference and ask for confirmation; return False if nothing changes."""
    changes = difference(before, after, path.name)
    if not changes:
        click.echo(f"{path} has it already", err=True)
        return False
    click.echo(printable_lines(changes))
    if not yes:
        confirm("Write it?")
    return True


def printable_lines(text: str) -> str:
    """Return the lines without characters that could control a terminal."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _places(texts: tuple[str, ...], names: list[str]) -> dict[str, str]:
    """Read `NAME=PLACE`; with a single name, the place alone is enough."""
    places = {}
    for text in texts:
        name, sign, place = text.partition("=")
        if not sign and len(names) == 1:
            name, place = names[0], text
        if name not in names or not all(place.split(".")):
            raise InvalidInputError(f"--key: {text!r}; write {names[0]}=PLACE, such as {names[0]}=defaults.{names[0]}")
        places[name] = place
    return places
