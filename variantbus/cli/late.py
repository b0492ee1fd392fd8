"""A group of commands that imports only the one that is called.

Lists of commands, `--help` and the completion of the shell need no more than names and one-line helps, and these stand
in the table of the group.
"""

import signal
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import NamedTuple

import click

from bus.console.extras import needing


class Late(NamedTuple):
    """Where a command is, as `module:attribute`, the first sentence of its help, and the extra that it needs."""

    target: str
    help: str
    extra: str = "cli"

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        try:
            with needing(self.extra):
                command: click.Command = getattr(import_module(module), attribute)
        except KeyboardInterrupt:  # importing takes a moment, and Ctrl-C is no error of ours
            sys.exit(128 + signal.SIGINT)
        return command


class LateCommands(Mapping[str, click.Command]):
    """The commands of a group by name, each imported when it is asked for."""

    def __init__(self, table: Mapping[str, Late]) -> None:
        """Keep the table."""
        self.table = table

    def __getitem__(self, name: str) -> click.Command:
        """Import a command and return it."""
        return self.table[name].load()

    def __iter__(self) -> Iterator[str]:
        """Return the names of the commands."""
        return iter(self.table)

    def __len__(self) -> int:
        """Return the number of commands."""
        return len(self.table)


class LateGroup(click.Group):
    """A group whose commands are imported when they are called."""

    commands: LateCommands  # type: ignore[assignment]  # click only reads it

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return what a list shows of a command: its name and help."""
        del ctx
        late = self.commands.table.get(cmd_name)
        return click.Command(cmd_name, help=late.help) if late else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called, imported."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if name and listed else None, rest
