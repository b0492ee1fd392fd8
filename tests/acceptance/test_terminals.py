"""The commands on terminals of other encodings and of little width."""

import json
import re
import sys
from typing import Final

import pytest
from rich.cells import cell_len

from tests.support.workspace import COMMAND_SECONDS, VARIANTBUS, Running, Workspace

NAME: Final = "中文 Größe Ж 🐈 \\u001b[31mred"
LONG: Final = "a photo of a very detailed scene with many things in it, " * 35
FILE: Final = f"""
name = "{NAME}"
pipeline = "command"
stage = "run"
[variable]
name = "prompt"
values = ["{LONG}a cat", "{LONG}a dog", "一只蓝色的星星", ""]
[config]
command = ["sh", "-c", 'echo "$1" > "$2/x.txt"; echo "{{\\"level\\": 1}}"', "sh", "{{prompt}}", "{{output_dir}}"]
"""
TERMINAL: Final = {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}
STYLE: Final = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def experiment_id(workspace: Workspace) -> str:
    """Return an experiment with a foreign name and long values that has ended."""
    workspace.learning(workspace.runner())
    return workspace.run("experiment", "run", workspace.write("foreign.toml", FILE), "--follow").out.split()[0]


def started(workspace: Workspace, words: list[str], **environment: str) -> Running:
    """Start a command, which others run beside."""
    return workspace.start(words[0], VARIANTBUS, *words, environment=environment)


@pytest.mark.fault(item="F162")
def test_a_terminal_of_another_encoding_ends_no_command(workspace: Workspace, experiment_id: str) -> None:
    """What it does not have is a question mark; JSON has all of it."""
    commands = [["experiment", "list"], ["experiment", "show", experiment_id], ["history"], ["tail", "--all"]]
    commands[3] += ["--exit-at-end", "--from", "learning"]
    as_json = ["experiment", "show", experiment_id, "--json"]
    running = {
        (encoding, command[-1]): started(workspace, command, PYTHONIOENCODING=encoding)
        for encoding in ("latin-1", "gbk", "ascii")
        for command in [*commands, as_json]
    }

    for (encoding, last), one in running.items():
        assert one.wait(COMMAND_SECONDS) == 0, one.errors()
        text = one.out.read_bytes().decode("utf-8" if encoding == "ascii" else encoding)  # click writes UTF-8 for ASCII
        if last == "--json":
            view = json.loads(text)
            assert view["experiment_name"] == json.loads(f'"{NAME}"')
            assert view["variants"][0]["variant_value"] == f"{LONG}a cat"
        elif last != "learning":
            assert ("Größe" in text) == (encoding == "latin-1") or encoding == "ascii"
            assert ("中文" in text) == (encoding == "gbk") or encoding == "ascii"


@pytest.mark.fault(item="F156")
@pytest.mark.fault(item="F157")
def test_tables_are_readable_at_every_width(workspace: Workspace, experiment_id: str) -> None:
    """No line is wider than the terminal, no state is broken, and values are short, and whole in JSON."""
    commands = {
        "list": ["experiment", "list"],
        "show": ["experiment", "show", experiment_id],
        "check": ["check"],
        "history": ["history"],
    }
    running = {
        (width, name): started(workspace, command, COLUMNS=str(width), **TERMINAL)
        for width in (20, 40, 80)
        for name, command in commands.items()
    }

    for (width, name), one in running.items():
        assert one.wait(COMMAND_SECONDS) == 0, one.errors()
        text = STYLE.sub("", one.out.read_text(encoding="utf-8"))
        lines = text.splitlines()
        assert "\x1b" not in text
        sentences = {"show": lines[-1:], "history": lines[:1]}.get(name, [])
        assert all(cell_len(line) <= width or line in sentences for line in lines), text
        assert len(text) < 8000
        if name == "check" and width > 20:
            assert "tcp://127.0.0.1:" in text
        if name in ("list", "show"):
            assert "completed" in text
        if name == "show" and width > 20:
            shown = " ".join(text.split())
            assert "a cat" in shown
            assert "a dog" in shown


@pytest.mark.fault(item="F162")
@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have UTF-8 names alone")
def test_a_files_name_that_is_not_utf8_is_told(workspace: Workspace) -> None:
    """With an escape, in one line."""
    running = workspace.start("run", VARIANTBUS, "experiment", "run", "caf\udce9.toml")

    assert running.wait(COMMAND_SECONDS) == 2
    assert running.err.read_bytes().startswith(b"Error: caf\\udce9.toml: cannot be read")
