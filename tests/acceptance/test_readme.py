"""What the README shows works as it stands there, and what commands README and docs/ show are there."""

import re
import sys
from typing import Final

import click
import pytest

from tests.support.experiment_files import pictures, services, submit
from tests.support.helpers import wait_until
from tests.support.in_process import run_in_process
from tests.support.workspace import ROOT, Workspace, wait_for_jobs
from variantbus.cli.main import main

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES: Final = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES: Final = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]
LINE: Final = re.compile(r"^ {4,7}(?:[A-Z_]+=\S+ )?variantbus (\S.*?)(?: {2,}#.*| [>|;&].*)?$", re.MULTILINE)


def commands() -> dict[str, set[str]]:
    """Return each command that the pages show in a block of its own lines, with the options that they show for it."""
    found: dict[str, set[str]] = {}
    for line in (line for page in PAGES for line in LINE.findall(page)):
        words = line.split()
        length = 2 if isinstance(main.commands.get(words[0]), click.Group) else 1
        found.setdefault(" ".join(words[:length]), set()).update(re.findall(r"(?<=\s)--[a-z-]+", line))
    return found


COMMANDS: Final = commands()


def test_the_plain_subscriber_prints_what_variants_become(workspace: Workspace) -> None:
    """Ten lines with pyzmq and msgspec alone are a working client."""
    runner, learning = services(workspace)
    example = workspace.write("plain.py", EXAMPLES[0].replace("tcp://127.0.0.1:5570", learning.feed))
    client = workspace.start("plain", sys.executable, str(example))
    # a plain SUB socket misses what is published before it is connected: experiments go on until it has seen one end
    seen = 0
    while "completed 1/1" not in client.text():
        seen += 1
        assert seen < 20, client.errors()
        experiment_id = submit(workspace, pictures(values=2, jobs=1))
        wait_for_jobs(learning, experiment_id, 2)
    assert runner.head


def test_the_library_subscriber_prints_the_present_state_and_what_follows(workspace: Workspace) -> None:
    """The example with the library sees an experiment that ended before it was started."""
    _, learning = services(workspace)
    wait_for_jobs(learning, submit(workspace, pictures(values=3, jobs=1)), 3)
    example = workspace.write("library.py", EXAMPLES[1].replace("tcp://127.0.0.1:5571", learning.control))
    client = workspace.start("library", sys.executable, str(example))
    wait_until(lambda: client.text().count("status='completed'") == 3, what="three completed variants")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_pages_exists(workspace: Workspace, command: str) -> None:
    """`--help` of each command that README and docs/ show has each option that they show with it."""
    shown = run_in_process(workspace, *command.split(), "--help").out

    assert "Usage:" in shown
    assert [option for option in sorted(COMMANDS[command]) if option not in shown] == []
