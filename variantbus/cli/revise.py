"""`variantbus experiment cancel`, `extend`, `retry`, `stop`, `rename` and `set`: changes to a planned experiment."""

import re
import tomllib
from collections.abc import Sequence
from typing import Final

import click

from bus.console.indices import IndexSet
from bus.console.options import keys_option, learning_option
from bus.console.printable import harmless
from bus.console.process import user_errors
from bus.contracts.experiments import (
    ExperimentCancelParams,
    ExperimentParams,
    ExperimentView,
    ExtendParams,
    RenameParams,
    RetryParams,
    SetParams,
)
from bus.contracts.fields import Scalar
from bus.contracts.messages import SearchStatus
from bus.contracts.values import cited
from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError, near_miss
from bus.transport.client import request
from bus.transport.keys import Keys
from learning_service.experiments.plan import runs_alone
from variantbus.cli.ids import experiment_argument
from variantbus.client.experiments import ask_recommendation, shown

SETTABLE: Final = ("objective", "goal", "within")
_QUOTES: Final = "\"'"
_ITEM: Final = re.compile(r"""\s*(?P<item>"(?:[^"\\]|\\.)*"|'[^']*'|(?!["'])[^,]*)\s*(?P<more>,|\Z)""", re.DOTALL)


@click.command()
@experiment_argument
@click.option(
    "--values",
    "more",
    multiple=True,
    metavar="NAME=V,V…",
    help="More values of a variable; a text with a comma in quotes; repeatable.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 256), metavar="N", help="Seeds under every value, existing ones included."
)
@learning_option
@keys_option
def extend(experiment_id: str, *, more: tuple[str, ...], seeds: int | None, learning: str, keys: Keys | None) -> None:
    """Plan more values or seeds; existing results are kept."""
    with user_errors():
        if not more and seeds is None:
            raise InvalidInputError("nothing to plan: give --values, --seeds or both")
        values: dict[str, list[Scalar]] = {}
        for text in more:
            name, listed = parse_values(text)
            values.setdefault(name, []).extend(listed)
        before = shown(learning, experiment_id, keys)
        params = take(
            {"experiment_id": experiment_id, "values": values, "jobs_per_variant": seeds}, ExtendParams
        )  # which refuses what no message can hold
        after = _ask(learning, "experiment.extend", params, keys)
        jobs = after.totals.jobs - before.totals.jobs
        variants = after.totals.variants - before.totals.variants
        told = f"planned {_count(jobs, 'more job')}, for {_count(variants, 'more value')}"
        click.echo(told if after.search is None else extended_text(after.search, jobs), err=True)


@click.command()
@experiment_argument
@click.option("--variants", type=IndexSet(), default=(), help="Only those of these variants, such as 0-3,7.")
@learning_option
@keys_option
def retry(experiment_id: str, *, variants: tuple[int, ...], learning: str, keys: Keys | None) -> None:
    """Run the failed jobs once more."""
    with user_errors():
        params = take({"experiment_id": experiment_id, "variants": variants}, RetryParams)
        failed = shown(learning, experiment_id, keys).totals.failed
        left = _ask(learning, "experiment.retry", params, keys).totals.failed
        click.echo(f"retrying {_count(failed - left, 'job')}", err=True)


@click.command()
@experiment_argument
@click.option("--finish-running", is_flag=True, help="Let running jobs finish.")
@learning_option
@keys_option
def cancel(experiment_id: str, *, finish_running: bool, learning: str, keys: Keys | None) -> None:
    """Cancel the jobs of an experiment that have not ended."""
    with user_errors():
        params = ExperimentCancelParams(experiment_id=experiment_id, finish_running=finish_running)
        request(learning, "experiment.cancel", params, ExperimentView, keys=keys)
        click.echo(f"cancelling {experiment_id}", err=True)


@click.command()
@experiment_argument
@learning_option
@keys_option
def stop(experiment_id: str, *, learning: str, keys: Keys | None) -> None:
    """End the search of an adaptive experiment; planned jobs still run."""
    with user_errors():
        _ask(learning, "experiment.stop", ExperimentParams(experiment_id=experiment_id), keys)
        click.echo(f"{experiment_id} plans no more", err=True)


@click.command()
@experiment_argument
@click.argument("name")
@learning_option
@keys_option
def rename(experiment_id: str, *, name: str, learning: str, keys: Keys | None) -> None:
    """Change the name of an experiment; its id stays."""
    with user_errors():
        _ask(learning, "experiment.rename", RenameParams(experiment_id=experiment_id, name=name), keys)
        click.echo(f"{experiment_id} is named {name!r} now", err=True)


@click.command("set")
@experiment_argument
@click.argument("assignments", metavar="NAME=VALUE…", nargs=-1, required=True)
@learning_option
@keys_option
def set_(experiment_id: str, *, assignments: tuple[str, ...], learning: str, keys: Keys | None) -> None:
    """Let something else decide an experiment, also after its end: objective=stars, objective=loss goal=minimize.

    within=20% lets only values count that take at most 20 % longer than the fastest one, within=none all of them.
    What jobs reported and people said is kept. The new recommendation is printed.
    """
    with user_errors():
        params = take({**parse_assignments(assignments), "experiment_id": experiment_id}, SetParams)
        before = shown(learning, experiment_id, keys)
        after = _ask(learning, "experiment.set", params, keys)
        if after.totals.completed and runs_alone(after.definition) > runs_alone(before.definition):
            click.echo("its jobs run alone from now on; the times so far may be of jobs side by side", err=True)
        click.echo(harmless(ask_recommendation(learning, experiment_id, keys).sentence))


def extended_text(search: SearchStatus, jobs: int) -> str:
    """Return how a search goes on after it was extended by so many jobs at once."""
    left = search.budget - search.spent
    planned = f"planned {_count(jobs, 'more job')}; " if jobs else ""
    if left <= 0:
        return f"{planned}all {search.budget} jobs of its budget are spent, so it tries no more"
    return f"{planned}the search goes on, with {_count(left, 'job')} left of its budget of {search.budget}"


def parse_assignments(texts: Sequence[str]) -> dict[str, str]:
    """Read `NAME=VALUE` of an objective, a goal and a limit of the time.

    Raises:
        InvalidInputError: one has another form or name, or is there twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not value:
            raise InvalidInputError(f"{text!r}: write for example objective=stars")
        if name not in SETTABLE:
            raise InvalidInputError(f"{name!r}: cannot be set; {near_miss(name, list(SETTABLE))}")
        if name in found:
            raise InvalidInputError(f"{name}: is there twice; give it once")
        found[name] = value
    return found


def parse_values(text: str) -> tuple[str, list[Scalar]]:
    """Read `NAME=V,V…`: each is a number, true or false, or else a text; what is in quotes is a text as in TOML.

    Raises:
        InvalidInputError: it has no name, no value, or a quote that is not closed.
    """
    name, sign, listed = text.partition("=")
    if not sign or not name.strip() or not listed.strip():
        raise InvalidInputError(f"--values: {cited(text)}; write for example cfg_scale=5,6.5")
    values: list[Scalar] = []
    place: int | None = 0
    while place is not None:
        item = _ITEM.match(listed, place)
        if item is None:
            raise InvalidInputError(
                f"--values: {cited(listed[place:].strip())}: a quote is not closed before the comma"
            )
        values.append(_scalar(item["item"].strip()))
        place = item.end() if item["more"] else None
    return name.strip(), values


def _scalar(text: str) -> Scalar:
    if not text:
        raise InvalidInputError('--values: there is nothing before or behind a comma; write "" for the empty text')
    if text[0] not in _QUOTES and any(mark in text for mark in "#\n"):
        return text  # no comment, as it would be in TOML
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # a number of 5000 digits is no error of TOML
        if text[0] in _QUOTES:
            raise InvalidInputError(f"--values: {cited(text)}: is no text in quotes as TOML has them") from None
        return text
    if isinstance(value, list | dict):
        raise InvalidInputError(f"--values: {cited(text)}: expected a number, a text, true or false")
    return value if isinstance(value, bool | int | float | str) else text


def _ask(
    learning: str,
    method: str,
    params: ExperimentParams | ExtendParams | RenameParams | RetryParams | SetParams,
    keys: Keys | None,
) -> ExperimentView:
    return request(learning, method, params, ExperimentView, keys=keys)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
