"""`variantbus experiment adopt`: an experiment of a folder of pictures that are there already."""

import sys
from collections import Counter
from pathlib import Path
from typing import Final

import click
from msgspec import Struct

from bus.console.options import keys_option, learning_option, runner_option
from bus.console.printable import printable
from bus.console.process import user_errors
from bus.console.table import Column, Table
from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.values import brief, written
from bus.protocol.validation import InvalidInputError
from bus.transport.client import NoAnswerError
from bus.transport.keys import Keys
from pipeline_runner.metadata.values import value_of
from variantbus.adoption.planning import Plan, Present, plan
from variantbus.adoption.scanning import Ignored, Scan, scan
from variantbus.adoption.sending import Services, adopted_id
from variantbus.adoption.varying import Varying
from variantbus.cli.output import json_option, json_text, print_table
from variantbus.reports.text import count_text

VALUES_SHOWN: Final = 8
VALUE_SHOWN: Final = 40  # characters
CONSTANTS_SHOWN: Final = 12


class ValueCount(Struct, frozen=True, kw_only=True):
    """A value, and how many pictures of the folder have it."""

    value: Scalar
    pictures: int


class Setting(Struct, frozen=True, kw_only=True):
    """A setting with several values; `also` are those that vary only together with it."""

    name: str
    values: list[ValueCount]
    also: tuple[str, ...] = ()


class Adopted(Struct, frozen=True, kw_only=True):
    """What became, or would become, of a folder."""

    experiment_id: str
    name: str
    pipeline: str
    variables: list[Setting]
    prompts: Setting | None
    not_compared: list[Setting]
    values: list[VariantValue]
    same_seeds: bool
    pictures: int
    adopted: int
    known: int
    ignored: list[Ignored]
    dry_run: bool


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", help="Of the experiment (default: that of the folder); another one makes a new experiment.")
@click.option("--by", multiple=True, metavar="NAME", help="Compare by this setting, of several that vary; repeatable.")
@click.option(
    "--where", "conditions", multiple=True, metavar="NAME=VALUE", help="Only pictures with this value; repeatable."
)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be compared, and what would be left out.")
@json_option
@learning_option
@runner_option
@keys_option
def adopt(  # noqa: PLR0913 - the options of a command
    folder: Path,
    *,
    name: str | None,
    by: tuple[str, ...],
    conditions: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    learning: str,
    runner: str,
    keys: Keys | None,
) -> None:
    """Make an experiment of the pictures in FOLDER and the folders in it; print its id.

    The settings come from the pictures themselves: those of AUTOMATIC1111 and its relatives, ComfyUI, InvokeAI,
    NovelAI, SwarmUI and Fooocus are read. What varies becomes the variables, and prompts that vary become blocks.
    FOLDER stays as it is; the runner gets copies. Adopt it again to add what is new in it.
    """
    with user_errors():
        where = dict(map(_condition, conditions))
        found = scan(folder)
        place = folder.resolve()
        title = (name or place.name or "pictures").encode("utf-8", "replace").decode()[:200]
        services = Services(learning, runner, keys)
        experiment_id, present = _before(services, title, place, is_needed=not dry_run)
        try:
            made = plan(found.found, title, by=by, where=where, present=present)
        except InvalidInputError as error:
            raise InvalidInputError(f"{folder}: {error}") from None
        told = _told(experiment_id, found, made, dry_run=dry_run)
        if dry_run:
            if as_json:
                click.echo(json_text(told))
            else:
                _show(told, made)
            return
        if made.placed:
            _send(services, experiment_id, made)
        if as_json:
            click.echo(json_text(told))
            return
        click.echo(experiment_id)
        click.echo(_summary(told), err=True)


def _before(services: Services, title: str, place: Path, *, is_needed: bool) -> tuple[str, Present | None]:
    """Return the id, and what was adopted before; without a service that can be shown as if nothing was."""
    try:
        return services.find(title, place)
    except NoAnswerError:
        if is_needed:
            raise
        return adopted_id(title, place, 0), None


def _send(services: Services, experiment_id: str, made: Plan) -> None:
    view = services.begin(experiment_id, made)
    count, shows = len(made.placed), sys.stderr.isatty()

    def report(done: int) -> None:
        if shows:
            click.echo(f"\r{done} of {count} pictures", err=True, nl=False)

    try:
        services.send(experiment_id, made, report)
    finally:
        if shows:
            click.echo(err=True)
    services.wait(experiment_id, view.totals.completed + count)


def _condition(text: str) -> tuple[str, Scalar]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidInputError(f"--where: {text!r}; write NAME=VALUE, such as --where model=sdxl")
    return name.strip(), value_of(value)


def _told(experiment_id: str, found: Scan, made: Plan, *, dry_run: bool) -> Adopted:
    chosen = made.chosen
    return Adopted(
        experiment_id=experiment_id,
        name=made.definition.name,
        pipeline=made.definition.pipeline,
        variables=[_setting(axis) for axis in chosen.axes],
        prompts=_setting(chosen.prompts) if chosen.prompts else None,
        not_compared=[_setting(one) for one in chosen.apart],
        values=made.values,
        same_seeds=made.are_paired,
        pictures=len(found.found),
        adopted=len(made.placed),
        known=made.known,
        ignored=[*found.ignored, *made.ignored],
        dry_run=dry_run,
    )


def _setting(one: Varying) -> Setting:
    values = [ValueCount(value=value, pictures=count) for value, count in one.values]
    return Setting(name=one.name, values=values, also=one.also)


def _show(told: Adopted, made: Plan) -> None:
    """Print the plan for people."""
    table = Table("compared", Column("values (pictures)", wraps=True))
    for one in told.variables:
        table.add(one.name, _values(one))
    if told.prompts:
        table.add(f"{told.prompts.name} (blocks)", _values(told.prompts))
    print_table(table)
    constants = [f"{name} {_short(value)}" for name, value in made.definition.config.items()]
    if constants:
        more = " …" if len(constants) > CONSTANTS_SHOWN else ""
        click.echo(f"the same in all: {', '.join(constants[:CONSTANTS_SHOWN])}{more}")
    click.echo(_summary(told))
    click.echo(f"id: {told.experiment_id}")


def _summary(told: Adopted) -> str:
    """Return what was, or would be, adopted and left out, in lines."""
    would = "would be " if told.dry_run else ""
    values, pictures = count_text(len(told.values), "value", "values"), count_text(told.adopted, "picture", "pictures")
    lines = [f"{pictures} {would}adopted, under {values} of {' and '.join(one.name for one in told.variables)}"]
    if told.known:
        lines.append(f"{told.known} adopted before")
    if not told.same_seeds and told.adopted:
        lines.append("different seeds under each value, so that it takes more pictures to tell values apart")
    lines += [f"not told apart: {one.name} ({len(one.values)} values), which varies, too" for one in told.not_compared]
    reasons = Counter(one.reason for one in told.ignored)
    lines += [f"{count} left out: {reason}" for reason, count in reasons.most_common()]
    return "\n".join(lines)


def _values(one: Setting) -> str:
    listed = [f"{_short(value.value)} ({value.pictures})" for value in one.values[:VALUES_SHOWN]]
    if len(one.values) > VALUES_SHOWN:
        listed.append(f"and {len(one.values) - VALUES_SHOWN} more")
    also = f"; with it {', '.join(one.also)}" if one.also else ""
    return ", ".join(listed) + also


def _short(value: object) -> str:
    text = written(value) if isinstance(value, bool | int | float | str) else str(value)
    text = printable(text).replace("\n", " ")
    return text if len(text) <= VALUE_SHOWN else f"{brief(text)[: VALUE_SHOWN - 1]}…"
