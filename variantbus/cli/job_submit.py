"""`variantbus job submit`: one job outside any experiment."""

import time
from pathlib import Path

import click
from msgspec.structs import asdict

from bus.console.options import keys_option, runner_option
from bus.console.printable import printable
from bus.console.process import EXIT_REFUSED, EXIT_TIMEOUT, fail, refuse_wrong_feed, user_errors
from bus.contracts.jobs import JobRequest, SubmitParams, SubmitReply
from bus.contracts.messages import JobCompleted
from bus.contracts.topics import JOB_COMPLETED
from bus.protocol.control import InfoReply
from bus.subscriber.sync import Subscriber
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.cli.output import json_option, json_text
from variantbus.client.outputs import outputs_of
from variantbus.client.planning import new_id
from variantbus.files.reading import read_job
from variantbus.reports.text import number_text


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Wait for its end: status 4 if it failed.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True, help="Seconds.")
@json_option
@runner_option
@keys_option
def submit(file: Path, *, wait: bool, timeout: float, as_json: bool, runner: str, keys: Keys | None) -> None:
    """Submit the job of FILE; print its id."""
    with user_errors():
        read = read_job(file)
        job_id = new_id("job")
        params = SubmitParams(jobs=[JobRequest(**asdict(read), job_id=job_id)])
        if not wait:
            request(runner, "job.submit", params, SubmitReply, keys=keys)
            click.echo(json_text({"job_id": job_id}) if as_json else job_id)
            return
        request(runner, "info", {}, InfoReply, keys=keys)  # a missing runner is reported at once, not after the timeout
        # subscribed before the job is submitted, so its end cannot be missed
        with Subscriber([runner], [JOB_COMPLETED], on_notice=refuse_wrong_feed, keys=keys) as subscriber:
            if not subscriber.wait_ready(timeout):
                fail(f"cannot subscribe at {runner} within {timeout:g} s; nothing was submitted", EXIT_TIMEOUT)
            request(runner, "job.submit", params, SubmitReply, keys=keys)
            click.echo(job_id, err=True)
            ended = _wait(subscriber, job_id, timeout)
        if ended is None:
            fail(f"{job_id} has not ended within {timeout:g} s; it continues, see `variantbus job show`", EXIT_TIMEOUT)
            return
        _print_end(ended, outputs_of(runner, keys), as_json=as_json)


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
            click.echo(f"{printable(name)} {number_text(value)}")
    for warning in ended.result.warnings:
        click.echo(f"Warning: {printable(warning)}", err=True)
    if not ended.result.success:
        fail(ended.result.error.message if ended.result.error else "the job was cancelled", EXIT_REFUSED)
