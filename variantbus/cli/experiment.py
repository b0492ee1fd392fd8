"""`variantbus experiment …` and `variantbus watch`."""

from datetime import datetime
from itertools import chain
from pathlib import Path

import click
from PIL import Image
from rich.table import Table
from rich.text import Text

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.process import EXIT_REFUSED, fail, user_errors
from bus.console.tail import printable
from bus.contracts.experiments import (
    ExperimentCancelParams,
    ExperimentParams,
    ExperimentView,
)
from bus.contracts.jobs import PipelinesReply
from bus.contracts.messages import ExperimentStatus, ImageRef
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.archive import export, import_
from variantbus.cli.files import read_experiment
from variantbus.cli.follow import follow
from variantbus.cli.output import first_of, json_option, json_text, limit_option, note_more, page_for, print_table
from variantbus.cli.pictures import read_picture
from variantbus.cli.put_away import archive, delete, unarchive
from variantbus.cli.report import report
from variantbus.cli.revise import extend, rename, retry, set_, stop
from variantbus.cli.view import ENDED, ExperimentScreen, counts_text, last_line, screen_of, style_of
from variantbus.cli.waiting import reason_now
from variantbus.client.experiments import create, export_of, listed
from variantbus.client.outputs import fetch_picture
from variantbus.reports.export import Exported
from variantbus.reports.sheet import SheetError, contact_sheet
from variantbus.reports.text import count_text


@click.group()
def experiment() -> None:
    """Plan, watch and manage experiments."""


@experiment.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--follow", "follows", is_flag=True, help="Show it live until it ends: status 4 if a job failed.")
@json_option
@learning_option
@runner_option
@keys_option
def run(file: Path, *, follows: bool, as_json: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Plan the experiment of FILE and run its jobs; print its id."""
    with user_errors():
        view = create(learning, read_experiment(file), keys)
        if not follows:
            click.echo(json_text(view) if as_json else view.experiment_id)
            return
        click.echo(view.experiment_id, err=True)
        _follow_to_the_end(learning, runner, view.experiment_id, json_lines=as_json, keys=keys)


@experiment.command("list")
@click.option(
    "--search",
    default="",
    metavar="WORDS",
    help="Only those with all these words in their id, name, variables, values, prompt, other settings, or state.",
)
@click.option("--archived", is_flag=True, help="Only those that are archived, which are not listed otherwise.")
@limit_option
@json_option
@learning_option
@keys_option
def list_(*, search: str, archived: bool, limit: int, as_json: bool, learning: str, keys: Keys | None) -> None:
    """List experiments, newest first."""
    with user_errors():
        pages = listed(learning, keys, search=search, page=page_for(limit), archived=archived)
        found, is_more = first_of(pages, limit)
        if as_json:
            click.echo(json_text(found))
        else:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for heading in ("id", "name", "variable", "status", "jobs", "created"):
                table.add_column(heading, overflow="fold", no_wrap=heading == "id")
            for one in found:
                table.add_row(*_row(one))
            print_table(table)
            if not found:
                click.echo(_none_text(search, archived=archived), err=True)
        note_more(limit, is_more=is_more)


@experiment.command()
@click.argument("experiment_id", metavar="ID")
@json_option
@learning_option
@runner_option
@keys_option
def show(experiment_id: str, *, as_json: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Show an experiment with all its variants."""
    with user_errors():
        view = _show(learning, experiment_id, keys)
        if as_json:
            click.echo(json_text(view))
            return
        screen = screen_of(view)
        if not screen.has_ended:
            screen.waits_for = reason_now(runner, screen.pipeline, keys)
        print_table(screen.render())
        if view.recommendation:
            click.echo(f"\n{printable(view.recommendation.sentence)}")


@experiment.command()
@click.argument("experiment_id", metavar="ID")
@click.option("--finish-running", is_flag=True, help="Let running jobs finish.")
@learning_option
@keys_option
def cancel(experiment_id: str, *, finish_running: bool, learning: str, keys: Keys | None) -> None:
    """Cancel the jobs of an experiment that have not ended."""
    with user_errors():
        params = ExperimentCancelParams(experiment_id=experiment_id, finish_running=finish_running)
        request(learning, "experiment.cancel", params, ExperimentView, keys=keys)
        click.echo(f"cancelling {experiment_id}", err=True)


@experiment.command()
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


for command in (extend, retry, stop, rename, set_, export, import_, report, archive, unarchive, delete):
    experiment.add_command(command)


@click.command()
@click.argument("experiment_id", metavar="[ID]", default="")
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a line.")
@learning_option
@runner_option
@keys_option
def watch(experiment_id: str, *, json_lines: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Show a running experiment live: ID, or the newest one. Ends with it, as `experiment run --follow` does."""
    with user_errors():
        if experiment_id:
            _show(learning, experiment_id, keys)  # an unknown one would be awaited without end
        followed = experiment_id or _newest(learning, keys)
        _follow_to_the_end(learning, runner, followed, json_lines=json_lines, keys=keys)


def end_with(screen: ExperimentScreen) -> None:
    """Exit as the experiment ended: with status 4 if a job failed. The reasons were shown with the variants."""
    failed = sum(variant.failed for variant in screen.variants.values())
    if failed:
        fail(f"{failed} jobs failed" if failed > 1 else "a job failed", EXIT_REFUSED)


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


def outputs_of(runner: str, keys: Keys | None = None) -> Path:
    """Return the folder of the pictures, from the runner on this machine."""
    return Path(request(runner, "pipelines", {}, PipelinesReply, keys=keys).outputs)


def _show(learning: str, experiment_id: str, keys: Keys | None) -> ExperimentView:
    return request(
        learning, "experiment.show", ExperimentParams(experiment_id=experiment_id), ExperimentView, keys=keys
    )


def _follow_to_the_end(learning: str, runner: str, experiment_id: str, *, json_lines: bool, keys: Keys | None) -> None:
    """Show an experiment until it has ended, print how to see its pictures, and exit as it ended."""
    screen = follow(learning, runner, experiment_id, json_lines=json_lines, keys=keys)
    if screen.has_pictures and not json_lines:
        click.echo(f"pictures: variantbus experiment sheet {experiment_id}", err=True)
    end_with(screen)


def _newest(learning: str, keys: Keys | None) -> str:
    """Return the newest experiment that has not ended, else the newest one."""
    newest = ""
    for one in chain.from_iterable(listed(learning, keys, page=100, archived=False)):
        if one.status not in ENDED:
            return one.experiment_id
        newest = newest or one.experiment_id
    if not newest:
        raise ControlError("not_found", "there is no experiment yet; start one with `variantbus experiment run FILE`")
    return newest


def _none_text(search: str, *, archived: bool) -> str:
    """Return why a list is empty, and where else to look: an experiment that was put away seems lost otherwise."""
    if archived:
        return "no archived experiment has all these words" if search else "no experiment is archived"
    if search:
        return "no experiment has all these words; `--archived` searches those that are archived"
    return "no experiment yet, or all are archived (`--archived`); `variantbus experiment run FILE` plans one"


def _row(one: ExperimentStatus) -> list[str | Text]:
    created = datetime.fromtimestamp(one.created_at).astimezone().strftime("%Y-%m-%d %H:%M")
    jobs = counts_text(one.totals.completed, one.totals.failed, one.totals.cancelled, one.totals.jobs)
    status = Text(one.status, style=style_of(one.status))
    name = Text(last_line(one.experiment_name))
    return [one.experiment_id, name, Text(one.definition.variable_name), status, jobs, created]
