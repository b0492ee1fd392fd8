"""`variantbus experiment run` and `clone`, and `variantbus watch`: an experiment from its plan to its end."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import click
import msgspec
from msgspec.structs import replace

from bus.console.options import data_dir_option, keys_option, learning_option, runner_option
from bus.console.process import EXIT_REFUSED, fail, user_errors
from bus.eventlog.files import is_locked
from bus.protocol.control import ControlError
from bus.transport.keys import Keys
from learning_service.experiments.plan import runs_alone
from variantbus.cli.follow import follow
from variantbus.cli.ids import experiment_argument, optional_experiment_argument
from variantbus.cli.output import json_option, json_text
from variantbus.cli.view import ALONE, ENDED, ExperimentScreen
from variantbus.client.experiments import listed, shown
from variantbus.client.planning import create
from variantbus.files.reading import ExperimentFile, experiment_of, origin_text, read_experiment
from variantbus.files.templates import changed, read_change
from variantbus.notify.targets import LOCK, check_targets, keep, kept

F = TypeVar("F", bound=Callable[..., Any])


class StartOptions(TypedDict):
    """The options of what starts an experiment, but for its changes."""

    follows: bool
    as_json: bool
    data_dir: Path
    learning: str
    runner: str
    keys: Keys | None


def _start_options(command: F) -> F:
    """Add the options of what starts an experiment."""
    for option in (
        keys_option,
        runner_option,
        learning_option,
        data_dir_option,
        json_option,
        click.option("--follow", "follows", is_flag=True, help="Show it live until it ends: status 4 if a job failed."),
        click.option(
            "--set",
            "changes",
            multiple=True,
            metavar="PLACE=VALUE",
            help="Change a setting, such as config.steps=30 or variable.values=1,2,3; repeatable.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_start_options
def run(file: Path, *, changes: tuple[str, ...], **options: Unpack[StartOptions]) -> None:
    """Plan the experiment of FILE and run its jobs; print its id, also with --follow."""
    with user_errors():
        _start(read_experiment(file, [read_change(text) for text in changes]), **options)


@click.command()
@experiment_argument
@_start_options
def clone(experiment_id: str, *, changes: tuple[str, ...], **options: Unpack[StartOptions]) -> None:
    """Plan the experiment ID once more, as a new one, perhaps with changes; print its id, also with --follow."""
    with user_errors():
        read = [read_change(text) for text in changes]
        definition = shown(options["learning"], experiment_id, options["keys"]).definition
        table = msgspec.to_builtins(replace(definition, origin=""))
        origin = origin_text(f"clone of {experiment_id}", read)
        file = experiment_of(Path(experiment_id), changed(table, read), origin)
        told = file.notify or kept(options["data_dir"].absolute(), experiment_id)
        _start(file._replace(notify=told), **options)


@click.command()
@optional_experiment_argument
@click.option("--json", "json_lines", is_flag=True, help="Print one JSON object a line.")
@learning_option
@runner_option
@keys_option
def watch(experiment_id: str, *, json_lines: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Show a running experiment live: ID, or the newest one. Ends with it, as `experiment run --follow` does."""
    with user_errors():
        followed = experiment_id or _newest(learning, keys)
        _follow_to_the_end(learning, runner, followed, json_lines=json_lines, keys=keys)


def _start(file: ExperimentFile, **options: Unpack[StartOptions]) -> None:
    learning, keys, as_json = options["learning"], options["keys"], options["as_json"]
    folder = options["data_dir"].absolute()
    if file.notify:
        check_targets(file.notify)
        view = create(learning, file.definition, keys, before=partial(keep, folder, file.notify))
    else:
        view = create(learning, file.definition, keys)
    if options["follows"]:
        click.echo(view.experiment_id, err=as_json)  # each line of --json is an object, which has the id
    else:
        click.echo(json_text(view) if as_json else view.experiment_id)
    if file.notify and not is_locked(folder / LOCK):
        click.echo("nobody is told yet: start `variantbus notify`, or `variantbus up`, which has it", err=True)
    if runs_alone(view.definition):
        click.echo(f"{ALONE}; with `exclusive = false` in the file others run beside it", err=True)
    if options["follows"]:
        _follow_to_the_end(learning, options["runner"], view.experiment_id, json_lines=as_json, keys=keys)


def end_with(screen: ExperimentScreen) -> None:
    """Exit as the experiment ended: with status 4 if a job failed. The reasons were shown with the variants."""
    failed = sum(variant.failed for variant in screen.variants.values())
    if failed:
        fail(f"{failed} jobs failed" if failed > 1 else "a job failed", EXIT_REFUSED)


def _follow_to_the_end(learning: str, runner: str, experiment_id: str, *, json_lines: bool, keys: Keys | None) -> None:
    """Show an experiment until it has ended, print how to see its pictures, and exit as it ended."""
    try:
        screen = follow(learning, runner, experiment_id, json_lines=json_lines, keys=keys)
    except KeyboardInterrupt:
        click.echo(f"the experiment continues; see `variantbus watch {experiment_id}`", err=True)
        raise
    if screen.has_pictures and not json_lines:
        click.echo(f"pictures: variantbus experiment sheet {experiment_id}", err=True)
    if screen.has_files and not json_lines:
        click.echo(f"results: variantbus experiment report {experiment_id}", err=True)
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
