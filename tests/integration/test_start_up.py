"""A command imports what it uses and nothing else: what is not imported needs no time to start."""

import subprocess
import sys
from typing import Final

import click
import pytest
from click.shell_completion import ShellComplete

from tests.integration.test_house_rules import all_commands
from variantbus.cli.late import LateGroup
from variantbus.cli.main import main

# large ones of others, and rooms of ours, that are for some commands only
HEAVY: Final = {
    "PIL", "asyncio", "bus.eventlog", "bus.publisher", "bus.subscriber", "importlib.metadata", "jinja2",
    "learning_service.experiments", "learning_service.planning", "learning_service.search",
    "learning_service.service", "learning_service.storage", "msgspec", "numpy", "pipeline_runner", "psutil", "rich",
    "scipy", "starlette", "tomlkit", "urllib3", "uvicorn", "variantbus.dashboard", "variantbus.reports", "websockets",
    "zmq",
}  # fmt: skip
ASKING: Final = {"msgspec", "rich", "zmq", "bus.eventlog"}  # one request and a table; of the log, its errors
LISTING: Final = {*ASKING, "variantbus.reports"}
SHOWING: Final = {*LISTING, "learning_service.experiments"}  # what a definition means
SCRIPT: Final = """
import sys
from variantbus.cli.start import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
BUDGET: Final = {
    "--help": set[str](),
    "--version": set[str](),
    "experiment --help": set[str](),
    "job --help": set[str](),
    "experiment list --help": SHOWING,
    "experiment show --help": SHOWING,
    "job list --help": LISTING,
    "pipelines --help": LISTING,
    "tail --help": {*ASKING, "bus.subscriber"},
    "keygen --help": {"msgspec", "zmq", "bus.eventlog"},
}


def imported(line: str) -> set[str]:
    """Return the modules that a command line has imported at its end."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *line.split()], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return set(ended.stderr.split())


@pytest.mark.parametrize("line", BUDGET)
def test_a_command_imports_no_more_than_it_uses(line: str) -> None:
    """Help needs click alone, and a list of experiments neither pictures nor statistics."""
    found = imported(line) & HEAVY
    assert found <= BUDGET[line], f"{line} imports {sorted(found - BUDGET[line])}"


def test_the_lists_of_commands_say_what_their_commands_say() -> None:
    """The one-line helps in the tables of the groups are the first sentences of the commands' own helps."""
    groups = [main, *(command for command in all_commands(main).values() if isinstance(command, click.Group))]
    assert len(groups) > 2
    for group in groups:
        assert isinstance(group, LateGroup)
        context = click.Context(group)
        for name, command in group.commands.items():
            listed = group.get_command(context, name)
            assert listed
            assert listed.get_short_help_str(500) == command.get_short_help_str(500), name
            assert command.name == name


def test_the_shell_completes_commands_and_their_options() -> None:
    """Tab shows the commands of a group with their helps, and the options of the command that is being written."""
    completion = ShellComplete(main, {}, "variantbus", "_VARIANTBUS_COMPLETE")

    def completed(words: list[str], incomplete: str) -> dict[str, str | None]:
        return {item.value: item.help for item in completion.get_completions(words, incomplete)}

    assert completed([], "exp") == {"experiment": "Plan, watch and manage experiments."}
    assert completed(["experiment"], "li") == {"list": "List experiments, newest first."}
    assert "--search" in completed(["experiment", "list"], "--s")


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    """The names are enough for that."""
    with pytest.raises(click.UsageError) as caught:
        main.resolve_command(click.Context(main), ["experimant"])
    assert "experiment" in caught.value.format_message()
