"""`variantbus runner-list` and `runner-forget`: the runners of a learning service, and those that never come back.

`runner` alone is the command that runs a runner.
"""

import time

import click

from bus.console.options import AddressType, keys_option, learning_option
from bus.console.process import confirm, user_errors
from bus.console.table import Column, Table
from bus.contracts.runners import RunnerForgetParams, RunnerForgetReply, RunnerListReply, RunnerView
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.output import json_option, json_text, print_table
from variantbus.reports.text import count_text, duration_text


@click.command("runner-list")
@json_option
@learning_option
@keys_option
def runner_list(*, as_json: bool, learning: str, keys: Keys | None) -> None:
    """List the runners of a learning service, and what waits for each."""
    with user_errors():
        runners = _runners(learning, keys)
        if as_json:
            click.echo(json_text(runners))
            return
        numbers = [Column(heading, right=True) for heading in ("jobs", "cancels", "to drop")]
        table = Table("address", "state", Column("pipelines", wraps=True), *numbers)
        for one in runners:
            cells = (one.address, _state(one), ", ".join(one.pipelines) or "-", one.jobs, one.cancels, one.withdrawals)
            table.add(*map(str, cells))
        print_table(table)


@click.command("runner-forget")
@click.argument("address", type=AddressType())
@click.option("--yes", is_flag=True, help="Do not ask.")
@learning_option
@keys_option
def runner_forget(address: str, *, yes: bool, learning: str, keys: Keys | None) -> None:
    """Give up a runner that never comes back: ADDRESS, as `runner-list` names it.

    Its unfinished jobs go to other runners that offer their pipeline. Those that no other one offers end as
    cancelled, and so do those of experiments that were cancelled. If it does come back, it is told to drop them.
    """
    with user_errors():
        if not yes:
            known = {one.address: one for one in _runners(learning, keys)}
            if address in known:  # otherwise the service says so
                _confirm(known[address])
        reply = request(learning, "runner.forget", RunnerForgetParams(runner=address), RunnerForgetReply, keys=keys)
        click.echo(f"{address} is forgotten: {_what(reply.handed_on, reply.cancelled)}", err=True)


def _runners(learning: str, keys: Keys | None) -> list[RunnerView]:
    return request(learning, "runner.list", {}, RunnerListReply, keys=keys).runners


def _confirm(one: RunnerView) -> None:
    click.echo(f"{one.address}: {_what(one.jobs - one.stranded, one.stranded)}")
    confirm("Forget it?")


def _what(handed_on: int, cancelled: int) -> str:
    on = count_text(handed_on, "job goes", "jobs go")
    return f"{on} to other runners, {count_text(cancelled, 'ends', 'end')} as cancelled"


def _state(one: RunnerView) -> str:
    if one.answers:
        return "answers"
    if not one.followed:
        return "not followed"
    if one.away_since is None:
        return "not asked yet"
    return f"away for {duration_text(max(0.0, time.time() - one.away_since))}"
