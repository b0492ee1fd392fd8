"""`variantbus spec`: the description of the bus for tools."""

import click

from bus.console.process import user_errors
from bus.contracts.asyncapi import document
from variantbus.cli.output import json_text


@click.command()
def spec() -> None:
    """Print the bus as an AsyncAPI 3 document, in JSON: topics, messages, methods."""
    with user_errors():
        click.echo(json_text(document()))
