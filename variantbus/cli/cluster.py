"""`variantbus cluster …`: the group."""

from typing import Final

import click

from variantbus.cli.late import Late, LateCommands, LateGroup

COMMANDS: Final = {
    "up": Late(
        "variantbus.cli.cluster_up:up",
        "Run servers of NATS JetStream on this machine until Ctrl-C, for trying; one that dies is restarted.",
        extra="all",
    ),
    "config": Late(
        "variantbus.cli.cluster_config:config",
        "Write configurations for the servers of a cluster, and what learning services, runners and readers need.",
        extra="cluster",
    ),
    "check": Late(
        "variantbus.cli.cluster_check:check",
        "Check a cluster: its servers, streams, copies and jobs, who leads, and which runners are there.",
        extra="cluster",
    ),
}


@click.group(cls=LateGroup)
def cluster() -> None:
    """Share the work of many machines over servers of NATS JetStream."""


cluster.commands = LateCommands(COMMANDS)
