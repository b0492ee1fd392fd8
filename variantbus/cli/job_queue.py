"""`variantbus job list`, `show`, `retry`, `pause`, `resume` and `cancel`: the runner's queue."""

import time
from collections.abc import Iterator
from typing import get_args

import click

from bus.console.options import keys_option, runner_option
from bus.console.printable import last_line
from bus.console.process import user_errors
from bus.console.table import Column, Table
from bus.contracts.jobs import CancelParams, CancelReply, JobParams, JobView, QueueParams, QueueReply
from bus.contracts.messages import JobState
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.ids import job_argument
from variantbus.cli.output import (
    first_of,
    json_option,
    json_text,
    limit_option,
    note_more,
    page_for,
    print_table,
)
from variantbus.client.jobs import listed_jobs
from variantbus.reports.text import count_text, duration_text

DAMAGED = "damaged, see `job show`"


@click.command("list")
@click.option("--state", type=click.Choice(get_args(JobState)), help="Only jobs in this state.")
@limit_option
@json_option
@runner_option
@keys_option
def list_(*, state: JobState | None, limit: int, as_json: bool, runner: str, keys: Keys | None) -> None:
    """List jobs, newest first."""
    with user_errors():
        damaged: list[str] = []

        def pages() -> Iterator[list[JobView]]:
            for reply in listed_jobs(runner, keys, state=state, page=page_for(limit)):
                damaged[:] = reply.damaged
                yield reply.jobs

        found, is_more = first_of(pages(), limit)
        if as_json:
            click.echo(json_text(found))
            for name in damaged:
                click.echo(f"{last_line(name)}: {DAMAGED}", err=True)
            note_more(limit, is_more=is_more)
            return
        numbers = [Column(heading, right=True) for heading in ("priority", "attempt")]
        pipeline, eta, note = (Column(heading, wraps=True) for heading in ("pipeline", "eta", "note"))
        table = Table("id", pipeline, "state", *numbers, "age", eta, note)
        for one in found:
            table.add(*job_row(one, time.time()))
        for name in damaged if state is None else ():
            table.add(name, "", "damaged", "", "", "", "", DAMAGED)
        print_table(table)
        for line in wait_lines(found):
            click.echo(line)
        note_more(limit, is_more=is_more)


@click.command()
@job_argument
@json_option
@runner_option
@keys_option
def show(job_id: str, *, as_json: bool, runner: str, keys: Keys | None) -> None:
    """Show everything about a job, as JSON, with --json or without."""
    del as_json  # there is no other form
    with user_errors():
        click.echo(json_text(request(runner, "job.show", JobParams(job_id=job_id), JobView, keys=keys)))


@click.command()
@job_argument
@runner_option
@keys_option
def retry(job_id: str, *, runner: str, keys: Keys | None) -> None:
    """Run a job again that failed or was cancelled."""
    with user_errors():
        request(runner, "job.retry", JobParams(job_id=job_id), JobView, keys=keys)
        click.echo(f"{job_id} is queued again", err=True)


pipeline_option = click.option("--pipeline", help="Only jobs of this pipeline; otherwise all.")


@click.command()
@pipeline_option
@runner_option
@keys_option
def pause(*, pipeline: str | None, runner: str, keys: Keys | None) -> None:
    """Start no more jobs until `job resume`, even after a restart; running jobs finish."""
    with user_errors():
        reply = request(runner, "queue.pause", QueueParams(pipeline=pipeline), QueueReply, keys=keys)
        click.echo(f"paused; {_counts(reply, pipeline)}", err=True)


@click.command()
@pipeline_option
@runner_option
@keys_option
def resume(*, pipeline: str | None, runner: str, keys: Keys | None) -> None:
    """Start jobs again after `job pause`."""
    with user_errors():
        reply = request(runner, "queue.resume", QueueParams(pipeline=pipeline), QueueReply, keys=keys)
        click.echo(f"resumed; {_counts(reply, pipeline)}", err=True)


@click.command()
@job_argument
@runner_option
@keys_option
def cancel(job_id: str, *, runner: str, keys: Keys | None) -> None:
    """Cancel a job that has not ended."""
    with user_errors():
        request(runner, "job.cancel", CancelParams(job_id=job_id), CancelReply, keys=keys)
        click.echo(f"cancelling {job_id}", err=True)


def job_row(job: JobView, now: float) -> list[str]:
    """Return a job as a row of the list; `now` in unix seconds.

    Its age is the time since it was submitted, its note how it failed; why jobs wait is printed below the list.
    """
    note = job.fault.message if job.fault and job.state == "queued" else ""
    if job.waits_for:
        note = "waits, see below"
    if job.result and job.result.error:
        note = job.result.error.message
    place = f"{job.pipeline} {job.stage}"
    age, eta = duration_text(now - job.queued_at), duration_text(job.eta_seconds)
    return [job.job_id, place, job.state, str(job.priority), str(job.attempt), age, eta, last_line(note)]


def wait_lines(jobs: list[JobView]) -> list[str]:
    """Print for each pipeline why its jobs wait."""
    reasons = {
        job.pipeline: last_line(job.waits_for).removeprefix(f"{job.pipeline}: ") for job in jobs if job.waits_for
    }
    return [f"{pipeline} waits: {reason}" for pipeline, reason in reasons.items()]


def _counts(reply: QueueReply, pipeline: str | None) -> str:
    lanes = [lane for name, lane in reply.lanes.items() if pipeline in (None, name)]
    waiting = count_text(sum(lane.queued for lane in lanes), "job waits", "jobs wait")
    return f"{waiting}, {count_text(sum(lane.running for lane in lanes), 'runs', 'run')}"
