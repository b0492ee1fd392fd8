"""`variantbus experiment show`."""

import click

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.printable import harmless
from bus.console.process import user_errors
from bus.transport.keys import Keys
from variantbus.cli.ids import experiment_argument
from variantbus.cli.output import json_option, json_text, print_table
from variantbus.cli.view import screen_of
from variantbus.cli.waiting import reason_now
from variantbus.client.experiments import shown


@click.command()
@experiment_argument
@json_option
@learning_option
@runner_option
@keys_option
def show(experiment_id: str, *, as_json: bool, learning: str, runner: str, keys: Keys | None) -> None:
    """Show an experiment with all its variants."""
    with user_errors():
        view = shown(learning, experiment_id, keys)
        if as_json:
            click.echo(json_text(view))
            return
        screen = screen_of(view)
        if not screen.has_ended:
            screen.waits_for = reason_now(runner, screen.pipeline, keys)
        print_table(screen.render())
        if view.recommendation:
            click.echo(f"\n{harmless(view.recommendation.sentence)}")
