"""`variantbus experiment run` and `variantbus watch`: an experiment from its plan to its end."""

from itertools import chain
from pathlib import Path

import click

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.process import EXIT_REFUSED, fail, user_errors
from bus.protocol.control import ControlError
from bus.transport.keys import Keys
from learning_service.experiments.plan import runs_alone
from variantbus.cli.files import read_experiment
from variantbus.cli.follow import follow
from variantbus.cli.ids import optional_experiment_argument
from variantbus.cli.output import json_option, json_text
from variantbus.cli.view import ALONE, ENDED, ExperimentScreen
from variantbus.client.experiments import listed
from variantbus.client.planning import create


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--follow", "follows", is_flag=True, help="Show it live until it ends: status 4 if a job failed.")
@json_option
@learning_option
@runner_option
@keys_option
def run(file: Path, *, follows: bool, as_json: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Plan the experiment of FILE and run its jobs; print its id, also with --follow."""
    with user_errors():
        view = create(learning, read_experiment(file), keys)
        if follows:
            click.echo(view.experiment_id, err=as_json)  # each line of --json is an object, which has the id
        else:
            click.echo(json_text(view) if as_json else view.experiment_id)
        if runs_alone(view.definition):
            click.echo(f"{ALONE}; with `exclusive = false` in the file others run beside it", err=True)
        if not follows:
            return
        _follow_to_the_end(learning, runner, view.experiment_id, json_lines=as_json, keys=keys)


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
