"""`variantbus history`: the ratings of all experiments."""

from datetime import datetime

import click

from bus.console.options import keys_option, learning_option
from bus.console.process import user_errors
from bus.console.table import Column, Table
from bus.contracts.archive import HistoryReply
from bus.contracts.fields import VariantValue
from bus.transport.keys import Keys
from learning_service.recommendation.labels import labels, shortened
from variantbus.cli.output import VALUE_SHOWN, json_option, json_text, print_table
from variantbus.client.records import history_of
from variantbus.reports.text import count_text, value_text

EXTREME_SHOWN = 30  # characters of the best and the worst value
ORIGIN_SHOWN = 60
BARS = "▁▂▃▄▅▆▇█"


@click.command()
@click.option("--variable", metavar="NAME", help="Only experiments that varied this.")
@click.option("--pipeline", metavar="NAME", help="Only experiments on this pipeline.")
@json_option
@learning_option
@keys_option
def history(*, variable: str | None, pipeline: str | None, as_json: bool, learning: str, keys: Keys | None) -> None:
    """Show all experiments so far: how each value was rated, and the trend."""
    with user_errors():
        reply = history_of(learning, keys, variable=variable, pipeline=pipeline)
        if as_json:
            click.echo(json_text(reply))
            return
        mean = "" if reply.mean is None else f", {reply.mean:.2f} stars on average"
        ratings = count_text(reply.ratings, "rating", "ratings")
        experiments = count_text(len(reply.experiments), "experiment", "experiments")
        click.echo(f"{experiments}, {count_text(reply.images, 'file', 'files')}, {ratings}{mean}")
        if reply.experiments:
            click.echo()
            print_table(values_table(reply))
            click.echo()
            print_table(experiments_table(reply))


def values_table(reply: HistoryReply) -> Table:
    """Draw one row for each value, with the distribution of its stars from 1 to 5."""
    numbers = ("experiments", "files", "ratings", "stars", "1…5", "s/job")
    texts = (Column("variable", wraps=True), Column("value", wraps=True))
    table = Table(*texts, *(Column(heading, right=True) for heading in numbers))
    values = labels([value_text(one.value) for one in reply.values], VALUE_SHOWN)
    for one, value in zip(reply.values, values, strict=True):
        table.add(
            one.variable,
            value,
            str(one.experiments),
            str(one.images),
            str(sum(one.stars)),
            _number(one.mean),
            bars(one.stars),
            _number(one.seconds),
        )
    return table


def experiments_table(reply: HistoryReply) -> Table:
    """Draw one row for each experiment, oldest first, so that the trend is visible."""
    texts = (Column("experiment", wraps=True), Column("variable", wraps=True))
    numbers = (Column("ratings", right=True), Column("stars", right=True))
    extremes = (Column("best", wraps=True), Column("worst", wraps=True))
    table = Table("created", *texts, *numbers, *extremes, Column("made from", wraps=True))
    names = labels([one.name for one in reply.experiments], VALUE_SHOWN)
    for one, name in zip(reply.experiments, names, strict=True):
        table.add(
            datetime.fromtimestamp(one.created_at).astimezone().strftime("%Y-%m-%d"),
            name,
            one.variable,
            str(one.ratings),
            _number(one.mean),
            _extreme(one.best, one.best_mean),
            _extreme(one.worst, one.worst_mean),
            shortened(one.origin, ORIGIN_SHOWN),
        )
    return table


def bars(counts: tuple[int, ...]) -> str:
    """Return a distribution as bars, one character for each count; a count above zero always has a bar."""
    most = max(counts)
    if not most:
        return ""
    return "".join(BARS[max(1, round(count / most * (len(BARS) - 1)))] if count else BARS[0] for count in counts)


def _extreme(value: VariantValue | None, mean: float | None) -> str:
    return "" if value is None or mean is None else f"{shortened(value_text(value), EXTREME_SHOWN)} ({mean:.1f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
