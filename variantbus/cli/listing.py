"""`variantbus experiment list`."""

from datetime import datetime

import click
from rich.text import Text

from bus.console.options import keys_option, learning_option
from bus.console.process import user_errors
from bus.console.table import Column, Table
from bus.contracts.messages import ExperimentStatus
from bus.transport.keys import Keys
from learning_service.recommendation.labels import labels
from variantbus.cli.output import (
    VALUE_SHOWN,
    first_of,
    json_option,
    json_text,
    limit_option,
    note_more,
    page_for,
    print_table,
)
from variantbus.cli.view import counts_text, style_of
from variantbus.client.experiments import listed


@click.command("list")
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
            name, variable, *rest = (Column(one, wraps=True) for one in ("name", "variable", "jobs", "created"))
            table = Table("id", name, variable, "status", *rest)
            for one, label in zip(found, labels([one.experiment_name for one in found], VALUE_SHOWN), strict=True):
                table.add(*_row(one, label))
            print_table(table)
            if not found:
                click.echo(_none_text(search, archived=archived), err=True)
        note_more(limit, is_more=is_more)


def _none_text(search: str, *, archived: bool) -> str:
    """Return why a list is empty, and where else to look: an experiment that was put away seems lost otherwise."""
    if archived:
        return "no archived experiment has all these words" if search else "no experiment is archived"
    if search:
        return "no experiment has all these words; `--archived` searches those that are archived"
    return "no experiment yet, or all are archived (`--archived`); `variantbus experiment run FILE` plans one"


def _row(one: ExperimentStatus, name: str) -> list[str | Text]:
    created = datetime.fromtimestamp(one.created_at).astimezone().strftime("%Y-%m-%d %H:%M")
    jobs = counts_text(one.totals.completed, one.totals.failed, one.totals.cancelled, one.totals.jobs)
    status = Text(one.status, style=style_of(one.status))
    return [one.experiment_id, name, one.definition.variable_name, status, jobs, created]
