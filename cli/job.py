"""`variantbus job …`: jobs outside any experiment, and a look into the runner's queue."""

import time
from datetime import datetime
from pathlib import Path
from typing import get_args

import click
from rich.table import Table
from rich.text import Text

from bus import topics
from bus.command import EXIT_REFUSED, EXIT_TIMEOUT, fail, keys_option, runner_option, user_errors
from bus.keys import Keys
from bus.messages import JobCompleted, JobState
from bus.requester import request
from bus.requests import (
    CancelParams,
    CancelReply,
    JobListParams,
    JobListReply,
    JobParams,
    JobRequest,
    JobView,
    SubmitParams,
    SubmitReply,
)
from bus.subscriber import Subscriber
from bus.tomlfile import read_toml
from bus.wire import InfoReply
from cli.experiment import outputs_of
from cli.files import JobFile, new_id
from cli.job_gc import gc_command
from cli.job_output import output_command
from cli.output import json_option, json_text, table_console


@click.group()
def job() -> None:
    """Submit single jobs, look at the runner's queue, fetch results, and make room."""


job.add_command(output_command)
job.add_command(gc_command)


@job.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Wait for its end: status 4 if it failed.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True, help="Seconds.")
@json_option
@runner_option
@keys_option
def submit(file: Path, *, wait: bool, timeout: float, as_json: bool, runner: str, keys: Keys | None) -> None:
    """Submit the job of FILE; print its id."""
    with user_errors():
        read = read_toml(file, JobFile)
        job_id = new_id("job")
        params = SubmitParams(
            jobs=[JobRequest(job_id=job_id, pipeline=read.pipeline, stage=read.stage, config=read.config)]
        )
        if not wait:
            request(runner, "job.submit", params, SubmitReply, keys=keys)
            click.echo(json_text({"job_id": job_id}) if as_json else job_id)
            return
        request(runner, "info", {}, InfoReply, keys=keys)  # one that is away is reported at once, not after the timeout
        # subscribed before it is submitted: its end cannot be missed
        with Subscriber([runner], [topics.JOB_COMPLETED], keys=keys) as subscriber:
            if not subscriber.wait_ready(timeout):
                fail(f"cannot subscribe at {runner} within {timeout:g} s; nothing was submitted", EXIT_TIMEOUT)
            request(runner, "job.submit", params, SubmitReply, keys=keys)
            click.echo(job_id, err=True)
            ended = _wait(subscriber, job_id, timeout)
        if ended is None:
            fail(f"{job_id} has not ended within {timeout:g} s; it goes on, see `variantbus job show`", EXIT_TIMEOUT)
            return
        _print_end(ended, outputs_of(runner, keys), as_json=as_json)


@job.command("list")
@click.option("--state", type=click.Choice(get_args(JobState)), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, newest first.")
@json_option
@runner_option
@keys_option
def list_(*, state: JobState | None, limit: int, as_json: bool, runner: str, keys: Keys | None) -> None:
    """List jobs, newest first."""
    with user_errors():
        reply = request(runner, "job.list", JobListParams(state=state, limit=limit), JobListReply, keys=keys)
        if as_json:
            click.echo(json_text(reply.jobs))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("id", "pipeline", "stage", "state", "attempt", "queued"):
            table.add_column(heading, overflow="fold", no_wrap=heading == "id")
        for one in reply.jobs:
            queued = datetime.fromtimestamp(one.queued_at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
            table.add_row(Text(one.job_id), one.pipeline, one.stage, one.state, str(one.attempt), queued)
        table_console().print(table)


@job.command()
@click.argument("job_id", metavar="ID")
@runner_option
@keys_option
def show(job_id: str, *, runner: str, keys: Keys | None) -> None:
    """Show all that is known of a job, as JSON."""
    with user_errors():
        click.echo(json_text(request(runner, "job.show", JobParams(job_id=job_id), JobView, keys=keys)))


@job.command()
@click.argument("job_id", metavar="ID")
@runner_option
@keys_option
def cancel(job_id: str, *, runner: str, keys: Keys | None) -> None:
    """Cancel a job that has not ended."""
    with user_errors():
        request(runner, "job.cancel", CancelParams(job_id=job_id), CancelReply, keys=keys)
        click.echo(f"cancelling {job_id}", err=True)


def _wait(subscriber: Subscriber, job_id: str, timeout: float) -> JobCompleted | None:
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        for delivery in subscriber.receive(left):
            message = delivery.message
            if isinstance(message, JobCompleted) and message.job_id == job_id:
                return message
    return None


def _print_end(ended: JobCompleted, outputs: Path, *, as_json: bool) -> None:
    if as_json:
        click.echo(json_text(ended))
    else:
        for image in ended.result.images:
            click.echo(outputs / image.path)
        for name, value in ended.result.metrics.items():
            click.echo(f"{name} {value:.4g}")
    for warning in ended.result.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not ended.result.success:
        fail(ended.result.error.message if ended.result.error else "the job was cancelled", EXIT_REFUSED)
