"""`variantbus keygen`: a folder with a new key pair."""

import socket
from pathlib import Path

import click

from bus.console.process import user_errors
from bus.transport.keys import PEERS, Keys


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), envvar="VARIANTBUS_KEYS")
def keygen(folder: Path) -> None:
    """Create the keys of this machine in FOLDER, and print the public one.

    One folder is enough for all services and commands of a machine. Continue with docs/security.md.
    """
    with user_errors():
        folder = folder.absolute()
        keys = Keys.generate(folder)
        name = socket.gethostname()
        text = f"""\
keys are in {folder}; secret.key never leaves this machine

use them        export VARIANTBUS_KEYS={folder}   (services and commands; restart the services)
let others in   add a line for each to {folder / PEERS}: `read NAME KEY` or `command NAME KEY`
be let in       add to {PEERS} of the other machine:  read {name} {keys.public}
                and to yours:  server HOST KEY  with its host and its public key
"""
        click.echo(text, err=True)
        click.echo(keys.public)
