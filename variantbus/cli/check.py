"""`variantbus check`: the health of each process, for people and for monitors."""

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from msgspec import Struct

from bus.cluster.access import Access
from bus.console.extras import missing_text, needing
from bus.console.main import SourceType
from bus.console.options import cluster_option, keys_option, learning_option, runner_option
from bus.console.printable import printable
from bus.console.process import EXIT_NO_CONNECTION, EXIT_REFUSED, EXIT_USAGE, fail, user_errors
from bus.console.table import Column, Table
from bus.protocol.control import Metric, Sample
from bus.transport.client import REQUEST_SECONDS
from bus.transport.keys import Keys
from variantbus.cli.output import json_option, json_text, print_table
from variantbus.client.health import Health, ask
from variantbus.reports.health import MIB, Readings, Thresholds
from variantbus.reports.text import count_text

F = TypeVar("F", bound=Callable[..., Any])
UP: Final = "variantbus_up"
UP_HELP: Final = "1 if the process answered this check."


def report_options(what: str) -> Callable[[F], F]:
    """Return what adds `--timeout`, `--format` and `--json` to a command that waits for each of something."""

    def add(command: F) -> F:
        style = click.option(
            "--format",
            "style",
            type=click.Choice(["text", "json", "prometheus"]),
            default="text",
            show_default=True,
            help="What to print; prometheus is the text format that it scrapes.",
        )
        timeout = click.option(
            "--timeout",
            type=click.FloatRange(0, min_open=True),
            default=REQUEST_SECONDS,
            show_default=True,
            help=f"Seconds to wait for each {what}.",
        )
        return timeout(style(json_option(command)))

    return add


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    ok: bool
    services: list[Health]


@click.command()
@click.option(
    "--from",
    "sources",
    type=SourceType(),
    multiple=True,
    help="Ask only this one: runner, learning or an address; repeatable. Without it, runner and learning.",
)
@click.option(
    "--max-lag", type=click.IntRange(0), default=10_000, show_default=True, help="Events that a service may lag behind."
)
@click.option(
    "--min-free",
    type=click.IntRange(0),
    default=256,
    show_default=True,
    help="MiB that must be free on the disk of a log.",
)
@report_options("process")
@runner_option
@learning_option
@keys_option
@cluster_option
def check(  # noqa: PLR0913 - one parameter an option
    *,
    sources: tuple[str, ...],
    max_lag: int,
    min_free: int,
    timeout: float,
    style: str,
    as_json: bool,
    runner: str,
    learning: str,
    keys: Keys | None,
    cluster: Access | None,
) -> None:
    """Check the health of each process, and of the cluster that shares their work.

    Exit status: 0 all is well, 3 one does not answer, 4 one answers and something is wrong. For cron, Nagios, and the
    probes of Kubernetes.

    \b
    Examples:
      variantbus check
      variantbus check --from runner --timeout 1
      variantbus check --format prometheus > v.prom.new;
        test -s v.prom.new && mv v.prom.new /var/lib/node_exporter/v.prom
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    names = {"runner": runner, "learning": learning}
    thresholds = Thresholds(max_lag=max_lag, min_free=min_free * MIB)
    with user_errors():
        found = [ask(one, names.get(one, one), thresholds, timeout, keys) for one in dict.fromkeys(sources or names)]
        if cluster and not sources:
            found.append(_ask_cluster(cluster, timeout))
        if as_json or style == "json":
            click.echo(json_text(Report(ok=not any(one.problems for one in found), services=found)))
        elif style == "prometheus":
            click.echo(as_prometheus(found), nl=False)
        else:
            print_text(found)
    sys.exit(exit_status(found))


def _ask_cluster(access: Access, timeout: float) -> Health:
    """Return the health of a cluster, which needs an extra that those without one do not have."""
    with needing("cluster"):
        from variantbus.cli.cluster_check import ask_cluster  # noqa: PLC0415 - see above
    return ask_cluster(access, (), timeout)[0]


def exit_status(found: list[Health]) -> int:
    """Return the exit status of the most serious problem."""
    if any(not one.answers for one in found):
        return EXIT_NO_CONNECTION
    return EXIT_REFUSED if any(one.problems for one in found) else 0


def as_prometheus(found: list[Health]) -> str:
    """Write everything in the text format of Prometheus, with `variantbus_up` for each process."""
    try:
        from bus.telemetry.prometheus import exposition  # noqa: PLC0415 - an extra, which only this needs
    except ImportError:
        fail(f"--format: {missing_text('metrics', 'prometheus_client')}", EXIT_USAGE)
    return exposition(
        ({"service": one.service, "address": one.address}, [*one.metrics, _up(answers=one.answers)]) for one in found
    )


def _up(*, answers: bool) -> Metric:
    return Metric(name=UP, kind="gauge", help=UP_HELP, samples=[Sample(labels={}, value=int(answers))])


def print_problems(found: list[Health]) -> None:
    """Print a summary line, which is what Nagios shows, and a line for each further problem."""
    problems = [f"{one.service}: {printable(problem.detail)}" for one in found for problem in one.problems]
    click.echo(f"not ok: {problems[0]}" if problems else "ok")
    for problem in problems[1:]:
        click.echo(f"also: {problem}")


def print_text(found: list[Health]) -> None:
    """Print the problems, then a table."""
    print_problems(found)
    columns = ("service", "address", "version", "up for", "events", "log", "state", "memory")
    table = Table(*columns, Column("now", wraps=True))
    for one in found:
        table.add(*_row(one))
    print_table(table)


def _row(one: Health) -> list[str]:
    if not one.metrics:
        return [
            one.service,
            one.address,
            "-",
            "-",
            "-",
            "-",
            "-",
            "-",
            "does not answer" if not one.answers else "refuses",
        ]
    readings = Readings(one.metrics)
    if readings.get("variantbus_log_head_offset") is None:  # a cluster, which `cluster check` shows in full
        jobs = sum(count for _, count in readings.all("variantbus_cluster_consumer_pending"))
        runners = count_text(readings.get("variantbus_cluster_runners") or 0, "runner", "runners")
        told = f"{count_text(jobs, 'job', 'jobs')} waiting, {runners}"
        return [one.service, one.address, one.version or "-", "-", "-", "-", "-", "-", told]
    size = {labels["part"]: size for labels, size in readings.all("variantbus_database_bytes")}
    now = [f"{count} {labels['state']}" for labels, count in readings.all("variantbus_jobs")]
    if tickets := readings.get("variantbus_cluster_tickets"):
        now.append(f"{tickets:.0f} of the cluster")
    now += [f"{lag} behind {labels['publisher']}" for labels, lag in readings.all("variantbus_consumer_lag_events")]
    return [
        one.service,
        one.address,
        one.version or "-",
        duration(readings.get("variantbus_uptime_seconds") or 0),
        str(readings.get("variantbus_log_head_offset")),
        f"{size.get('log', 0) / MIB:.1f} MiB",
        f"{size.get('state', 0) / MIB:.1f} MiB",
        f"{(readings.get('process_resident_memory_bytes') or 0) / MIB:.0f} MiB",
        ", ".join(now) or "-",
    ]


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: 12 s, 5 min, 3 h, 40 d."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
