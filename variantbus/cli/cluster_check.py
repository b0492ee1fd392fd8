"""`variantbus cluster check`: the servers, streams and members of a cluster, for people and for monitors."""

import logging
import sys
from typing import Final

import click
from msgspec import Struct

from bus.cluster.access import Access
from bus.console.options import cluster_option
from bus.console.process import EXIT_USAGE, fail, user_errors
from bus.console.table import Column, Table
from variantbus.cli.check import as_prometheus, exit_status, print_problems, report_options
from variantbus.cli.output import json_text, print_table
from variantbus.client.health import Health
from variantbus.cluster.judging import View, answers, metrics_of, problems_of
from variantbus.cluster.looking import look
from variantbus.reports.health import MIB, Problem

NAME: Final = "cluster"
UNSEEN: Final = "whether a server writes through at once, only its monitoring tells: on its machine, --monitor http://127.0.0.1:8222"


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    ok: bool
    problems: list[Problem]
    cluster: View


@click.command()
@click.option(
    "--monitor",
    "monitors",
    multiple=True,
    help="Monitoring of a server, such as http://127.0.0.1:8222, which tells how its copies are; repeatable.",
)
@report_options("server")
@cluster_option
def check(*, monitors: tuple[str, ...], timeout: float, style: str, as_json: bool, cluster: Access | None) -> None:
    """Check a cluster: its servers, streams, copies and jobs, who leads, and which runners are there.

    Exit status: 0 all is well, 3 no server answers, 4 something is wrong.
    """
    with user_errors():
        if cluster is None:
            fail("no cluster is named: give --cluster, or set VARIANTBUS_CLUSTER", EXIT_USAGE)
        health, view = ask_cluster(cluster, monitors, timeout)
        if as_json or style == "json":
            click.echo(json_text(Report(ok=not health.problems, problems=health.problems, cluster=view)))
        elif style == "prometheus":
            click.echo(as_prometheus([health]), nl=False)
        else:
            print_problems([health])
            _print(view)
    sys.exit(exit_status([health]))


def ask_cluster(access: Access, monitors: tuple[str, ...], timeout: float) -> tuple[Health, View]:
    """Return the health of a cluster as if it were one process, and all that was seen.

    Raises:
        ClusterRefusedError: credentials or certificates cannot be read.
    """
    logging.getLogger("bus.cluster").addHandler(logging.NullHandler())  # what does not answer is in the report
    view, before = look(access, monitors, timeout)
    health = Health(
        service=NAME,
        address=",".join(access.servers),
        answers=answers(view),
        version=", ".join(sorted({one.version for one in view.servers if one.version})) or None,
        problems=problems_of(view, before),
        metrics=metrics_of(view) if answers(view) else [],
    )
    return health, view


def _print(view: View) -> None:
    servers = Table("server", "address", "version", "writes through")
    for one in view.servers:
        synced = {True: "yes", False: "no", None: "not seen"}[one.syncs]
        servers.add(one.name or "-", one.address, one.version or one.problem, synced)
    print_table(servers)
    numbers = [Column(heading, right=True) for heading in ("messages", "MiB", "head", "copies")]
    streams = Table("stream", *numbers, "leader", Column("others", wraps=True))
    for stream in view.streams:
        others = ", ".join(
            f"{copy.server} {'away' if copy.offline else 'current' if copy.current else f'{copy.lag} behind'}"
            for copy in stream.replicas
        )
        cells = (stream.messages, f"{stream.bytes / MIB:.1f}", stream.head, stream.copies)
        streams.add(stream.name, *map(str, cells), stream.leader or "none", others or "-")
    print_table(streams)
    consumers = Table("jobs of", *(Column(heading, right=True) for heading in ("waiting", "running", "redelivered")))
    for consumer in view.consumers:
        consumers.add(consumer.name, str(consumer.pending), str(consumer.running), str(consumer.redelivered))
    print_table(consumers)
    click.echo(f"learning service that leads: {view.leads or 'none'}")
    click.echo(f"runners: {', '.join(view.runners) or 'none'}")
    if any(one.syncs is None and not one.problem for one in view.servers):
        click.echo(UNSEEN, err=True)
