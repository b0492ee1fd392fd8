"""`variantbus cluster up`: servers of a cluster on this machine."""

import os
import shlex
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import click

from bus.console.options import data_dir_option
from bus.console.process import announce, user_errors
from bus.eventlog.mounts import require_local
from variantbus.cli.processes import python_module
from variantbus.cli.supervisor import Program, Supervisor
from variantbus.cli.up import claim
from variantbus.cluster.configuration import Node
from variantbus.cluster.local import find_program, is_healthy, last_words, local_nodes, url_of, write_configurations

LOOK_SECONDS: Final = 0.1


@click.command()
@click.option(
    "--nodes",
    type=click.Choice(["1", "3", "5"]),
    default="3",
    show_default=True,
    help="How many servers: three lose nothing when one dies, five when two die.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_000),
    default=0,
    show_default="as the last time, or free ones",
    help="Port of the first server for clients; the others have the next ones.",
)
@data_dir_option
def up(*, nodes: str, port: int, data_dir: Path) -> None:
    """Run servers of NATS JetStream on this machine until Ctrl-C, for trying; one that dies is restarted.

    Their data is in the folder `cluster` of the data folder, and the next start has the same data and ports. They
    listen on 127.0.0.1 without passwords. For several machines, `variantbus cluster config` writes configurations.
    """
    with user_errors():
        program = find_program()
        folder = data_dir.absolute() / "cluster"
        require_local(folder / "server.db")
        folder.mkdir(parents=True, exist_ok=True)
        lock = claim(folder, "variantbus cluster up")
        servers = local_nodes(folder, int(nodes), port)
        files = write_configurations(folder, servers)
        click.echo(f"data, configurations and logs in {folder}", err=True)
        click.echo(
            f"for services in other terminals: export VARIANTBUS_CLUSTER={shlex.quote(url_of(servers))}", err=True
        )
        programs = [
            Program(
                node.name,
                python_module("variantbus.cli.cluster_node", program, "-c", str(file)),
                partial(last_words, node, folder),
            )
            for node, file in zip(servers, files, strict=True)
        ]
        threading.Thread(target=_announce, args=(servers,), name="announcer", daemon=True).start()
        Supervisor(folder, programs).run()
        os.close(lock)


def _announce(nodes: list[Node]) -> None:
    """Print the line that says that all servers are ready, once they are."""
    while not all(is_healthy(node) for node in nodes):
        time.sleep(LOOK_SECONDS)
    with suppress(ValueError):  # the command ends, and stdout with it
        announce("cluster", cluster=url_of(nodes))
