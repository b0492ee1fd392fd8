"""The output of commands."""

import re
from typing import Final

import click
import msgspec
from rich.console import Console, RenderableType

PIPE_WIDTH: Final = 200  # columns without a terminal

MAX_LISTED: Final = 1000  # rows of one request

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, MAX_LISTED), default=20, show_default=True, help="How many, newest first."
)


def json_text(value: object) -> str:
    """Return one indented JSON document."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def duration_text(seconds: float | None) -> str:
    """Return a duration in at most two units; "" if it is not known."""
    if seconds is None:
        return ""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2])


def more_text(listed: int, limit: int) -> str:
    """Return a line that tells how to list more rows; "" if one reply cannot hold more."""
    return f"… and more: --limit {min(2 * limit, MAX_LISTED)}" if listed == limit < MAX_LISTED else "… and more"


def print_table(table: RenderableType) -> None:
    """Print a table: as wide as the terminal; in a pipe wide enough for whole ids, and no line padded with spaces."""
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    wide = Console(width=PIPE_WIDTH)
    with wide.capture() as capture:
        wide.print(table)
    click.echo(re.sub(r" +$", "", capture.get(), flags=re.MULTILINE), nl=False)
