"""The output of commands."""

import re
import sys
from collections.abc import Iterable
from itertools import chain, islice
from typing import Final, TypeVar

import click
import msgspec
from rich.console import Console, RenderableType

from bus.telemetry.streams import json_on

T = TypeVar("T")
PIPE_WIDTH: Final = 200  # columns without a terminal
VALUE_SHOWN: Final = 60  # characters of a value in a table; `--json` has all of it
MOST_LISTED: Final = 1000  # rows of one request

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most, newest first."
)


def json_text(value: object) -> str:
    """Return one indented JSON document."""
    return json_on(sys.stdout, msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def page_for(limit: int) -> int:
    """Return the size of the pages in which so many rows are asked for, and one more to know whether there is one."""
    return min(limit + 1, MOST_LISTED)


def first_of(pages: Iterable[Iterable[T]], limit: int) -> tuple[list[T], bool]:
    """Return the first rows of some pages, and whether there are more; no page is asked for that is not needed."""
    rows = list(islice(chain.from_iterable(pages), limit + 1))
    return rows[:limit], len(rows) > limit


def note_more(limit: int, *, is_more: bool) -> None:
    """Say on stderr that a list does not show all, and how to see more."""
    if is_more:
        click.echo(f"… and more: --limit {2 * limit}", err=True)


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
