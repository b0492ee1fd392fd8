"""`variantbus experiment delete`, `archive` and `unarchive`."""

from typing import Final

import click

from bus.console.options import keys_option, learning_option
from bus.console.printable import printable
from bus.console.process import confirm, user_errors
from bus.contracts.experiments import DeletedReply, ExperimentParams, ExperimentView
from bus.protocol.control import ControlError
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.ids import experiments_argument
from variantbus.cli.view import ENDED
from variantbus.client.experiments import shown
from variantbus.reports.text import count_text

DELETE_SECONDS: Final = 120.0  # for one experiment: the answer comes when nothing is left of it


@click.command()
@experiments_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@learning_option
@keys_option
def delete(experiment_ids: tuple[str, ...], *, yes: bool, learning: str, keys: Keys | None) -> None:
    """Delete experiments for good: jobs, ratings, and results that belong to no other experiment.

    Nothing is deleted if one of them is unknown or has not ended. `experiment export` keeps a copy that can be imported
    again, without the files.
    """
    with user_errors():
        names = experiment_ids
        views = [_ended(learning, name, keys, "nothing was deleted") for name in names]
        if not yes:
            for view in views:
                results = count_text(len(_pictures(view)), "result", "results")
                click.echo(f"{view.experiment_id}: {printable(view.experiment_name)}, {results}", err=True)
            confirm(f"Delete {count_text(len(views), 'experiment', 'experiments')} for good?")
        for name in names:
            params = ExperimentParams(experiment_id=name)
            request(learning, "experiment.delete", params, DeletedReply, DELETE_SECONDS, keys=keys)
            click.echo(f"deleted {name}", err=True)


@click.command()
@experiments_argument
@learning_option
@keys_option
def archive(experiment_ids: tuple[str, ...], *, learning: str, keys: Keys | None) -> None:
    """Put experiments away: they stay whole, but are listed only by `experiment list --archived`.

    Nothing is put away if one of them is unknown or has not ended.
    """
    with user_errors():
        for name in experiment_ids:
            _ended(learning, name, keys, "nothing was archived")
        _put_away("experiment.archive", "archived", experiment_ids, learning, keys)


@click.command()
@experiments_argument
@learning_option
@keys_option
def unarchive(experiment_ids: tuple[str, ...], *, learning: str, keys: Keys | None) -> None:
    """Take experiments out of the archive: all that are named, or none if one of them is unknown."""
    with user_errors():
        for name in experiment_ids:
            shown(learning, name, keys)
        _put_away("experiment.unarchive", "unarchived", experiment_ids, learning, keys)


def _put_away(method: str, done: str, experiment_ids: tuple[str, ...], learning: str, keys: Keys | None) -> None:
    for name in experiment_ids:
        request(learning, method, ExperimentParams(experiment_id=name), ExperimentView, keys=keys)
        click.echo(f"{done} {name}", err=True)


def _ended(learning: str, experiment_id: str, keys: Keys | None, undone: str) -> ExperimentView:
    """Return an experiment that has ended; the service would refuse one that has not, but after others were changed."""
    view = shown(learning, experiment_id, keys)
    if view.status not in ENDED:
        advice = f"cancel it first with `variantbus experiment cancel {experiment_id}`, or wait for its end"
        raise ControlError("conflict", f"{experiment_id} has not ended: {view.status}; {undone}; {advice}")
    return view


def _pictures(view: ExperimentView) -> set[str]:
    return {image.sha256 for variant in view.variants for image in variant.images}
