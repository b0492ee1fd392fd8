"""`variantbus`: the command with all subcommands."""

import importlib
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import click

from bus import __version__

# The module of each command. Only the called one is imported: importing all takes half a second.
COMMANDS: Final = {
    "demo": "variantbus.cli.demo:demo",
    "up": "variantbus.cli.up:up",
    "experiment": "variantbus.cli.experiment:experiment",
    "rate": "variantbus.cli.rate:rate",
    "compare": "variantbus.cli.rate:compare",
    "undo": "variantbus.cli.rate:undo",
    "recommend": "variantbus.cli.recommend:recommend",
    "apply": "variantbus.cli.apply:apply",
    "history": "variantbus.cli.history:history",
    "job": "variantbus.cli.job:job",
    "pipelines": "variantbus.cli.pipelines:pipelines",
    "watch": "variantbus.cli.experiment:watch",
    "tail": "bus.console.main:tail",
    "top": "bus.console.main:top",
    "runner-list": "variantbus.cli.runners:runner_list",
    "runner-forget": "variantbus.cli.runners:runner_forget",
    "check": "variantbus.cli.check:check",
    "verify": "variantbus.cli.verify:verify",
    "backup": "variantbus.cli.backup:backup",
    "restore": "variantbus.cli.restore:restore",
    "keygen": "variantbus.cli.keygen:keygen",
    "spec": "variantbus.cli.spec:spec",
    "runner": "pipeline_runner.__main__:main",
    "learning": "learning_service.__main__:main",
    "dashboard": "variantbus.dashboard.__main__:main",
}


class LateCommands(Mapping[str, click.Command]):
    """Commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> click.Command:
        """Import a command and return it."""
        module, _, attribute = COMMANDS[name].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except KeyboardInterrupt:  # importing takes a moment, and Ctrl-C is no error of ours
            sys.exit(128 + signal.SIGINT)
        return command

    def __iter__(self) -> Iterator[str]:
        """Return the names of the commands."""
        return iter(COMMANDS)

    def __len__(self) -> int:
        """Return the number of commands."""
        return len(COMMANDS)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Find out which setting is best: run a job under each of its values, and watch them live.

    \b
    First steps:
      variantbus demo                                      everything once, in a minute
      variantbus up                                        the services, until Ctrl-C
      variantbus experiment run FILE.toml --follow         plan an experiment and follow it to its end
      variantbus tail variant.status --json

    \b
    Exit status: 0 ok, 1 unexpected, 2 usage or bad input, 3 cannot connect, 4 refused or a job failed,
    5 timed out, 130 Ctrl-C.
    """  # noqa: D301 - \b is click's mark for lines that stay as they are


main.commands = LateCommands()  # type: ignore[assignment]  # click only reads it
