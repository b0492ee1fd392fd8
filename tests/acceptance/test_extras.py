"""Each command works with its own extra alone, and names what is missing in one sentence."""

import re
import sys

import pytest

from bus.protocol.control import ControlError
from tests.support.experiment_files import pictures, services, submit
from tests.support.extras import only_with
from tests.support.helpers import wait_until
from tests.support.workspace import ROOT, VARIANTBUS, Finished, Workspace, finish, wait_for_jobs
from variantbus.cli import demo
from variantbus.cli.main import COMMANDS

MODULES = {"bus": "cli", "pipeline_runner": "runner", "learning_service": "learning", "variantbus.dashboard": "web"}

# Prints the exit status of each command line that it is given; all in one process, as each one takes half a second.
SEVERAL = """
import sys
from click.testing import CliRunner
from variantbus.cli import demo
from variantbus.cli.main import main
for line in sys.stdin:
    result = CliRunner().invoke(main, line.split(), input="q\\n")
    failed = result.exception and not isinstance(result.exception, SystemExit)
    print(result.exit_code, line.strip(), repr(result.exception) if failed else "", result.stderr[-300:], flush=True)
"""


def run_with(workspace: Workspace, extras: tuple[str, ...], *arguments: str) -> Finished:
    """Run a program in a Python that has only some extras."""
    running = workspace.start("only", *arguments, environment=only_with(workspace.folder, *extras))
    running.wait()
    return finish(running)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_starts_with_its_own_extra_alone(workspace: Workspace, module: str) -> None:
    """`--help` imports all that the process needs to start."""
    finished = run_with(workspace, (MODULES[module],), sys.executable, "-P", "-m", module, "--help")

    assert finished.code == 0, finished
    assert "Usage:" in finished.out


@pytest.mark.parametrize("module", [*MODULES, "variantbus"])
def test_a_bare_installation_names_the_extra(workspace: Workspace, module: str) -> None:
    """One sentence with a command that works, status 2, no traceback."""
    start = (VARIANTBUS,) if module == "variantbus" else (sys.executable, "-P", "-m", module)
    extra = MODULES.get(module, "cli")

    finished = run_with(workspace, (), *start, "--help")

    assert finished.code == 2, finished
    assert finished.err.count("\n") == 1, finished
    assert finished.err.startswith(f"Error: this needs the extra `{extra}` (click is not installed): "), finished
    assert re.search(rf"pip install .*'{re.escape(str(ROOT))}\[{extra}\]'$", finished.err), finished


@pytest.mark.parametrize("command", ["up", "demo", "runner", "dashboard"])
def test_a_command_that_needs_more_than_the_command_line_names_its_extra(workspace: Workspace, command: str) -> None:
    """`cli` alone does not run services."""
    finished = run_with(workspace, ("cli",), VARIANTBUS, command)

    assert finished.code == 2, finished
    extra = {"runner": "runner", "dashboard": "web"}.get(command, "all")
    assert finished.err.startswith(f"Error: this needs the extra `{extra}` ("), finished
    assert finished.err.count("\n") == 1, finished


def test_the_command_line_needs_its_own_extra_alone(workspace: Workspace) -> None:
    """Everything that people do with experiments, at services that have what they need."""
    _, learning = services(workspace)
    experiment_id = submit(workspace, pictures(values=2, jobs=1))
    wait_for_jobs(learning, experiment_id, 2)
    job = ROOT / "examples" / "job.toml"
    lines = [
        *(f"{command} --help" for command, late in COMMANDS.items() if late.extra == "cli"),
        f"experiment run {workspace.write('more.toml', pictures(values=1, jobs=1))} --follow",
        "experiment list",
        *(f"experiment {what} {experiment_id}" for what in ("show", "sheet", "report", "export")),
        f"experiment extend {experiment_id} --seeds 2",
        *(f"{what} {experiment_id}" for what in ("recommend", "apply", "compare", "watch")),
        *("history", "job list", f"job submit {job} --wait", "pipelines", "runner-list", "check", "spec"),
        f"backup {workspace.folder / 'backup'} --data-dir {learning.data}",
    ]
    running = only_with(workspace.folder, "cli")
    script = workspace.write("several.py", SEVERAL)
    words = workspace.write("lines.txt", "\n".join(lines))

    shell = f'"$0" -P "{script}" < "{words}"'
    told = workspace.start("several", "/bin/sh", "-c", shell, sys.executable, environment=running)
    assert told.wait() == 0, told.errors()

    shown = told.text().splitlines()
    assert sum(re.match(r"\d", line) is not None for line in shown) == len(lines)
    assert "not installed" not in told.text()
    assert "Error(" not in told.text()
    unrated = ("no ratings yet", "judge its results")
    bad = [line for line in shown if re.match(r"[1-9]", line) and not any(text in line for text in unrated)]
    assert bad == []


def test_a_chain_of_which_each_part_has_only_its_extra(workspace: Workspace) -> None:
    """Runner, learning service and dashboard, each in a Python of its own, run, recommend and show an experiment."""
    workspace.environment |= only_with(workspace.folder, "runner")
    runner = workspace.runner()
    workspace.environment |= only_with(workspace.folder, "learning")
    learning = workspace.learning(runner)
    workspace.environment |= only_with(workspace.folder, "web")
    page = workspace.start("page", sys.executable, "-P", "-m", "variantbus.dashboard", "--port", "0")
    page.wait_for_line("listening")
    workspace.environment |= only_with(workspace.folder, "cli")
    file = workspace.write("seconds.toml", 'objective = "seconds"\n' + pictures(values=2, jobs=2))

    experiment_id = workspace.run("experiment", "run", file).out.strip()

    wait_for_jobs(learning, experiment_id, 4)
    wait_until(lambda: "not installed" not in workspace.run("recommend", experiment_id).out, what="a recommendation")


def test_a_demo_without_the_statistics_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the recommendation; the pictures are worth looking at without it."""

    def refuse(*_: object) -> None:
        raise ControlError("unavailable", "the learning service needs numpy and scipy for it: pip install …")

    monkeypatch.setattr(demo, "ask_recommendation", refuse)

    answer = demo.answer("tcp://127.0.0.1:1", "cfg-sweep", None)

    assert answer == "no recommendation: the learning service needs numpy and scipy for it: pip install …"
