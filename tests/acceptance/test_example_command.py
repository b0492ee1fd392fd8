"""`variantbus example`: each file of examples/ is listed with what it is, and printed as it is."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from tests.support.workspace import VARIANTBUS, Workspace
from variantbus.cli.example import headline, names

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_all_examples_are_listed_with_what_they_are(workspace: Workspace) -> None:
    """The list has every file that git has, and a sentence for each."""
    lines = run_in_process(workspace, "example").out.splitlines()

    files = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file()}
    assert {line.split()[0] for line in lines} == {name for name in files if not re.search(r"(^|/)[._]", name)}
    for line in lines:
        assert len(line.split(maxsplit=1)[1]) > 15, line


@pytest.mark.parametrize("name", names())
def test_an_example_is_printed_as_it_is(workspace: Workspace, name: str) -> None:
    """So it can be sent into a file; experiments and jobs can be named without the ending."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")

    assert run_in_process(workspace, "example", name).out == text
    if name.endswith(".toml"):
        assert run_in_process(workspace, "example", name.removesuffix(".toml")).out == text
        assert tomllib.loads(text)


def test_an_unknown_example_is_refused_with_the_nearest_one(workspace: Workspace) -> None:
    """And it says where all are."""
    assert "did you mean cfg_sweep.toml?" in run_in_process(workspace, "example", "cfg_swep", code=2).err
    assert "`variantbus example` lists all" in run_in_process(workspace, "example", "../pyproject", code=2).err


def test_the_shell_completes_names(workspace: Workspace) -> None:
    """As bash asks for them."""
    words = {"COMP_WORDS": "variantbus example sor", "COMP_CWORD": "2", "_VARIANTBUS_COMPLETE": "bash_complete"}
    running = workspace.start("complete", VARIANTBUS, environment=words)
    assert running.wait() == 0
    assert running.text().split() == ["plain,sorting.toml"]


def test_what_an_example_says_of_itself_is_its_first_line() -> None:
    """A comment, or the docstring of a program; JSON has neither."""
    assert headline("# One job.\npipeline = 1\n") == "One job."
    assert headline('"""A service.\n\nMore."""\n') == "A service."
    assert headline(json.dumps({"a": 1})) == "Data of another example."
