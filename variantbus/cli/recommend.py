"""`variantbus recommend`: which value is best, and how sure that is."""

import sys
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from bus.console.options import keys_option, learning_option
from bus.console.printable import harmless
from bus.console.process import EXIT_REFUSED, user_errors
from bus.console.table import Column, Table
from bus.contracts.messages import RecommendationUpdated, ValueEstimate
from bus.contracts.values import is_same
from bus.transport.keys import Keys
from learning_service.recommendation.labels import labels
from variantbus.cli.ids import experiment_argument
from variantbus.cli.output import VALUE_SHOWN, json_option, json_text, print_table
from variantbus.cli.view import search_line
from variantbus.client.experiments import ask_recommendation, shown
from variantbus.reports.importance import Level, levels_of
from variantbus.reports.plot import order_of, scale_of
from variantbus.reports.text import number_text, percent, value_text
from variantbus.reports.why import band_text, why_lines

JUDGING: Final = {
    "stars": "rate {} IMAGE STARS",
    "preference": "compare {}",
}  # what people decide, and by which command


@click.command()
@experiment_argument
@click.option("--why", is_flag=True, help="Draw the intervals, and say what is ruled out and what is tried next.")
@json_option
@learning_option
@keys_option
def recommend(experiment_id: str, *, why: bool, as_json: bool, learning: str, keys: Keys | None) -> None:
    """Show which value of an experiment is best, how certain that is, and what would make it more certain.

    Status 4: there is no answer, or something is in the way of a better one, which is told.
    """
    if why and as_json:
        raise click.UsageError("--why: this is for people, and --json has all numbers; give one of them")
    with user_errors():
        made = ask_recommendation(learning, experiment_id, keys)
        if as_json:
            content = msgspec.to_builtins(made)
            del content["type"]
            click.echo(json_text(content))
        else:
            _print(made, why=why)
        if why:
            for line in (*why_lines(made), search_line(shown(learning, experiment_id, keys))):
                click.echo(harmless(line), nl=bool(line))
        if made.value is None or made.problem:
            sys.exit(EXIT_REFUSED)


def _print(made: RecommendationUpdated, *, why: bool) -> None:
    click.echo(harmless(made.sentence))
    if any(one.n for one in made.estimates):
        click.echo()
        print_table(estimates_table(made, has_bands=why))
        if why and (levels := levels_of(made)):
            click.echo()
            print_table(levels_table(made, levels))
    elif not made.problem and (judge := JUDGING.get(made.objective)):
        click.echo(
            f"judge its results by `variantbus {judge.format(made.experiment_id)}`, or on the dashboard", err=True
        )


def estimates_table(made: RecommendationUpdated, *, has_bands: bool = False) -> Table:
    """Draw a row for each value, numbers by size; the recommended one is bold. With `has_bands` intervals are drawn."""
    numbers = [Column(heading, right=True) for heading in (made.objective, "90 % between", "n", "best")]
    known = [number for one in made.estimates for number in (one.low, one.high) if number is not None]
    scale = scale_of(known, made.objective)
    band = [f"{number_text(scale.ticks[0])} … {number_text(scale.ticks[-1])}"] if has_bands else []
    table = Table(Column("value", wraps=True), *band, *numbers)
    names = labels([value_text(one.value) for one in made.estimates], VALUE_SHOWN)
    for place in order_of(made.estimates):
        one, name = made.estimates[place], names[place]
        chosen = made.value is not None and is_same(one.value, made.value)
        drawn = [band_text(one, scale)] if has_bands else []
        table.add(name, *drawn, *_cells(one), style="bold" if chosen else "")
    return table


def levels_table(made: RecommendationUpdated, levels: Sequence[Level]) -> Table:
    """Draw a row for each value of each variable: its mean over all values of the others."""
    scale = scale_of([end for one in levels for end in (one.estimate.low, one.estimate.high)], made.objective)
    heading = f"{number_text(scale.ticks[0])} … {number_text(scale.ticks[-1])}"
    table = Table(
        "variable", "matters", "value", heading, Column("on average", right=True), Column("90 % between", right=True)
    )
    for one in levels:
        mean, low, high = (number_text(number) for number in (one.estimate.mean, one.estimate.low, one.estimate.high))
        table.add(one.name, one.share, one.value, band_text(one.estimate, scale), mean, f"{low} … {high}")
    return table


def _cells(one: ValueEstimate) -> list[str]:
    mean, low, high = (number_text(number) for number in (one.mean, one.low, one.high))
    return [mean, f"{low} … {high}" if low and high else "", str(one.n), percent(one.p_best)]
