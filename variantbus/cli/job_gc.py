"""`variantbus job gc`: removes jobs and pictures that no experiment refers to any more.

It lists what is removed, never what is kept, so nothing that is created meanwhile can be removed.
"""

import time
from datetime import timedelta
from typing import Final

import click

from bus.console.options import LEARNING_CONTROL, AddressType, keys_option, local_control, runner_option
from bus.console.process import user_errors
from bus.console.start_time import parse_duration
from bus.console.table import Column, Table
from bus.contracts.outputs import (
    OutputOwner,
    OutputOwnersParams,
    OutputOwnersReply,
    OutputRemoveParams,
    OutputRemoveReply,
    OutputSweepParams,
    OutputSweepReply,
)
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.output import print_table
from variantbus.client.experiments import listed
from variantbus.reports.text import count_text

IDS_AT_ONCE: Final = 100
STEP_SECONDS: Final = 30.0  # for a step on a slow disk


class DurationType(click.ParamType[timedelta]):
    """A duration back from now."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse the duration."""
        found = value if isinstance(value, timedelta) else parse_duration(value)
        if found is None:
            self.fail(f"{value!r} is no duration; write for example 7d, 12h or 1h30m", param, ctx)
        return found


@click.command("gc")
@click.option(
    "--older-than",
    type=DurationType(),
    default="7d",
    show_default=True,
    help="Only jobs that ended longer ago than this.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option(
    "--learning",
    "learnings",
    type=AddressType(),
    multiple=True,
    envvar="VARIANTBUS_LEARNING",
    default=lambda: [local_control("learning")],
    show_default=LEARNING_CONTROL,
    show_envvar=True,
    help="Control address of a learning service that has jobs here: its experiments stay; repeatable.",
)
@runner_option
@keys_option
def gc_command(
    *, older_than: timedelta, dry_run: bool, learnings: tuple[str, ...], runner: str, keys: Keys | None
) -> None:
    """Remove ended jobs and their pictures that belong to no experiment, or to one that no learning service knows.

    Files left by a crash in the runner's output folder are removed too. Name every learning service that uses this
    runner: if one does not answer, nothing is removed.
    """
    with user_errors():
        before = time.time() - older_than.total_seconds()
        owners = _owners(runner, before, keys)  # before the learning services are asked: later jobs are kept
        known = {one for learning in learnings for one in _experiments(learning, keys)}
        lost = [one for one in owners if one.experiment_id not in known]
        if dry_run:
            _show(lost)
            lone = _sweep(runner, keys, dry_run=True)
            click.echo(f"{_counted(lone)} that no job refers to")
            return
        gone = _remove(runner, lost, before, keys)
        lone = _sweep(runner, keys, dry_run=False)
        jobs = count_text(gone.jobs, "job", "jobs")
        click.echo(f"removed {_counted(gone)} with {jobs}, and {_counted(lone)} of no job")


def _owners(runner: str, before: float, keys: Keys | None) -> list[OutputOwner]:
    """Return the experiments with jobs that ended before a time."""
    found: list[OutputOwner] = []
    params = OutputOwnersParams(ended_before=before)
    while True:
        reply = request(runner, "output.owners", params, OutputOwnersReply, STEP_SECONDS, keys=keys)
        found += reply.owners
        if reply.after is None:
            return found
        params = OutputOwnersParams(ended_before=before, after=reply.after)


def _experiments(learning: str, keys: Keys | None) -> set[str]:
    """Return the ids of all experiments of a learning service."""
    return {one.experiment_id for page in listed(learning, keys) for one in page}


def _remove(runner: str, lost: list[OutputOwner], before: float, keys: Keys | None) -> OutputRemoveReply:
    """Remove the jobs of these owners step by step; return the totals."""
    ids = [one.experiment_id for one in lost if one.experiment_id is not None]
    outside = len(ids) < len(lost)
    steps = [OutputRemoveParams(ended_before=before, outside=True)] if outside else []
    steps += [
        OutputRemoveParams(ended_before=before, experiment_ids=ids[start : start + IDS_AT_ONCE])
        for start in range(0, len(ids), IDS_AT_ONCE)
    ]
    files = size = jobs = 0
    for params in steps:
        more = True
        while more:
            reply = request(runner, "output.remove", params, OutputRemoveReply, STEP_SECONDS, keys=keys)
            files, size, jobs, more = files + reply.files, size + reply.bytes, jobs + reply.jobs, reply.more
    return OutputRemoveReply(files=files, bytes=size, jobs=jobs, more=False)


def _sweep(runner: str, keys: Keys | None, *, dry_run: bool) -> OutputSweepReply:
    """Sweep the whole output folder step by step; return the totals, also of a dry run."""
    files = size = 0
    after: str | None = ""
    while after is not None:
        params = OutputSweepParams(after=after, dry_run=dry_run)
        reply = request(runner, "output.sweep", params, OutputSweepReply, STEP_SECONDS, keys=keys)
        files, size, after = files + reply.files, size + reply.bytes, reply.after
    return OutputSweepReply(files=files, bytes=size, after=None)


def _show(lost: list[OutputOwner]) -> None:
    table = Table("experiment", *(Column(heading, right=True) for heading in ("jobs", "files", "bytes")))
    for one in lost:
        table.add(one.experiment_id or "(none)", str(one.jobs), str(one.files), str(one.bytes))
    print_table(table)


def _counted(gone: OutputRemoveReply | OutputSweepReply) -> str:
    return f"{count_text(gone.files, 'file', 'files')} ({gone.bytes / 1e6:.1f} MB)"
