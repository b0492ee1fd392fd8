"""How commands print."""

from typing import Final

import click
import msgspec
from rich.console import Console

PIPE_WIDTH: Final = 200  # columns where there is no terminal that would say

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def json_text(value: object) -> str:
    """Write one JSON document, indented."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def table_console() -> Console:
    """Give the console for tables: as wide as the terminal, and wide enough for whole ids in a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)
