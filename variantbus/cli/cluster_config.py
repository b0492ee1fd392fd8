"""`variantbus cluster config`: the files of a cluster on machines of one's own."""

from pathlib import Path

import click

from bus.console.process import user_errors
from variantbus.cluster.configuration import CLIENT_PORT, MONITOR_PORT, ROUTE_PORT
from variantbus.cluster.deployment import CA, Certificates, Ports, nodes_of, write_deployment

port = click.IntRange(1, 65_535)


@click.command()
@click.option(
    "--nodes", required=True, help="The servers, as runners and learning services reach them: HOST,HOST,HOST."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the files; seeds that are there are kept.",
)
@click.option(
    "--store",
    default="/var/lib/nats",
    show_default=True,
    help="Folder of the data on each server, on a disk of its own.",
)
@click.option(
    "--cert", default="/etc/nats/cert.pem", show_default=True, help="Certificate of a server, on that server."
)
@click.option("--key", default="/etc/nats/key.pem", show_default=True, help="The key of that certificate.")
@click.option(
    "--ca",
    default="/etc/nats/ca.pem",
    show_default=True,
    help="Certificates of those who have signed the others; where the file is here, too, it is copied for clients.",
)
@click.option("--port", type=port, default=CLIENT_PORT, show_default=True, help="Port for clients.")
@click.option("--route-port", type=port, default=ROUTE_PORT, show_default=True, help="Port for the other servers.")
@click.option(
    "--monitor-port", type=port, default=MONITOR_PORT, show_default=True, help="Port for looking, on 127.0.0.1 alone."
)
def config(  # noqa: PLR0913 - one parameter an option
    *, nodes: str, output: Path, store: str, cert: str, key: str, ca: str, port: int, route_port: int, monitor_port: int
) -> None:
    """Write configurations for the servers of a cluster, and what learning services, runners and readers need.

    HOST.conf is for `nats-server -c`; ROLE.toml, with ROLE.seed and ca.pem beside it, is given as --cluster. Whoever
    has a seed has the rights of its role, and no others.
    """
    with user_errors():
        ports = Ports(client=port, route=route_port, monitor=monitor_port)
        certificates = Certificates(cert=cert, key=key, ca=ca)
        servers = nodes_of([one.strip() for one in nodes.split(",")], ports)
        written = write_deployment(output.absolute(), servers, store, certificates)
        for path in written:
            click.echo(path)
        if not any(path.name == CA for path in written):
            text = f"{ca} is not on this machine: copy it to {output.absolute() / CA}, and beside each TOML file"
            click.echo(text, err=True)
