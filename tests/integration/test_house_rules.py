"""What the documentation says of the code is so: imports, topics, messages, settings, statements."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final, get_args

import click
import pytest
from playwright._impl._driver import compute_driver_executable

import bus
from bus.config.toml_file import read_toml
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.messages import Message
from bus.eventlog import sql
from bus.protocol import topics
from bus.protocol.validation import convert
from bus.transport.client import RequestClient
from variantbus.cli.main import main
from variantbus.cli.up import PROGRAMS
from variantbus.files.reading import JobFile, read_experiment

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = {
    "bus": set[str](),
    "pipeline_runner": {"bus"},
    "learning_service": {"bus"},
    "variantbus": {"bus", "pipeline_runner", "learning_service"},
}
# all that needs more than pyzmq and msgspec
EXTRAS_IN_BUS: Final = {
    "console/indices.py",
    "console/options.py",
    "console/process.py",
    "console/main.py",
    "console/screen.py",
    "console/table.py",
    "telemetry/prometheus.py",
}

# Playwright brings node, and node the parser acorn; prints [file, first line, last line] of each function
FUNCTIONS: Final = """
const { readFileSync } = require("node:fs");
const { parse } = require("internal/deps/acorn/acorn/dist/acorn");
const { full } = require("internal/deps/acorn/acorn-walk/dist/walk");
const options = { ecmaVersion: "latest", sourceType: "module", locations: true };
const found = [];
for (const file of process.argv.slice(1))
  full(parse(readFileSync(file, "utf8"), options), ({ type, loc }) => {
    if (type.includes("Function")) found.push([file, loc.start.line, loc.end.line]);
  });
console.log(JSON.stringify(found));
"""


def statement_files() -> list[Path]:
    """Return the files with SQL."""
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.sql")]


def imported_by(path: Path) -> set[str]:
    """Return the top-level names that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_the_architecture_allows(package: str) -> None:
    """The runner and the learning service never import each other, and the bus imports nothing of ours."""
    for path in (ROOT / package).rglob("*.py"):
        ours = imported_by(path) & (PACKAGES.keys() | {"tests"})
        assert ours - {package} <= PACKAGES[package], path


def test_the_bus_needs_pyzmq_and_msgspec_alone() -> None:
    """Whoever installs the bare distribution can publish and subscribe."""
    for path in (ROOT / "bus").rglob("*.py"):
        if path.relative_to(ROOT / "bus").as_posix() not in EXTRAS_IN_BUS:
            assert not imported_by(path) & {
                "click",
                "rich",
                "platformdirs",
                "numpy",
                "PIL",
                "psutil",
                "prometheus_client",
            }  # fmt: skip, path


def test_the_protocol_page_names_every_topic_and_message() -> None:
    """Whoever writes a client finds every topic, message type and field in docs/protocol.md."""
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for name, topic in vars(topics).items():
        if isinstance(topic, str) and name.isupper() and topic.endswith("."):
            assert topic in page, name
    for kind in get_args(Message):
        assert f"`{kind.__struct_config__.tag}`" in page, kind
        for name in kind.__struct_fields__:
            assert re.search(rf"\b{name}\b", page), f"{kind.__name__}.{name}"


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Return every command by its words."""
    found: dict[tuple[str, ...], click.Command] = {}
    for name, command in group.commands.items():
        found[*path, name] = command
        if isinstance(command, click.Group):
            found |= all_commands(command, (*path, name))
    return found


def test_the_commands_page_names_every_command_and_setting() -> None:
    """Every command and every environment variable is in docs/commands.md."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for words, command in all_commands(main).items():
        assert words[-1] in page, words
        for parameter in command.params:
            variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []
            for variable in variables:
                assert f"`{variable}`" in page, variable


def test_every_command_and_option_has_a_help_text() -> None:
    """`--help` leaves nothing unexplained."""
    for words, command in all_commands(main).items():
        assert command.help, words
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (words, parameter.name)


def test_every_command_that_talks_to_a_service_takes_keys() -> None:
    """A deployment with keys can use all of them, and no question is asked without."""
    for words, command in all_commands(main).items():
        options = {parameter.name for parameter in command.params}
        if options & {"runner", "runners", "learning"}:
            assert "keys" in options, words
    for path in (ROOT / "variantbus").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("request", "Subscriber"):
                assert "keys" in {word.arg for word in node.keywords}, f"{path}:{node.lineno}"
    asking = 0
    for path in (*(ROOT / "learning_service").rglob("*.py"), *(ROOT / "variantbus").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == RequestClient.__name__:
                asking += 1
                assert "curve" in ast.unparse(node), f"{path}:{node.lineno}"
    assert asking, "somebody asks services: this test looks for the wrong name"


def test_the_experiment_file_of_the_readme_is_valid() -> None:
    """Whoever copies the file from the README gets an experiment."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    assert blocks
    for block in blocks:
        assert convert(tomllib.loads(block), ExperimentDefinition).variable_name == "cfg_scale"


def test_the_examples_are_valid() -> None:
    """Every file of examples/ can be read as what it is."""
    for path in (ROOT / "examples").glob("*.toml"):
        if path.name == "job.toml":
            assert read_toml(path, JobFile).pipeline == "embedded"
        else:
            assert read_experiment(path).definition.name


def test_up_runs_the_processes_of_the_procfile() -> None:
    """`variantbus up` and `honcho start` start the same."""
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    procfile = dict(line.split(": ", 1) for line in lines)
    assert procfile == {name: f"python -P -m {' '.join(words)}" for name, words in PROGRAMS.items()}


@pytest.mark.parametrize("file", sorted(str(path.relative_to(ROOT)) for path in statement_files()))
def test_every_named_statement_is_used(file: str) -> None:
    """The statement files hold nothing dead, and the code beside them asks for nothing that is not there."""
    path = ROOT / file
    statements = sql.load(".".join(Path(file).parent.parts), path.name)
    run_at_opening = {name for name in statements if re.fullmatch(r"schema|migration_\d+", name)}
    code = path.with_suffix(".py").read_text(encoding="utf-8")
    assert {name for name in statements if f'"{name}"' in code} | run_at_opening == set(statements)
    assert set(re.findall(r'(?<![\w.])SQL\["(\w+)"\]', code)) <= set(statements)


def test_the_public_names_are_pinned() -> None:
    """A name leaves or joins the public interface of the bus only on purpose."""
    assert bus.__all__ == [
        "Address",
        "ControlError",
        "Delivery",
        "Keys",
        "Log",
        "Loop",
        "Position",
        "Publisher",
        "Start",
        "Subscriber",
        "request",
    ]
    assert all(hasattr(bus, name) for name in bus.__all__)


def test_files_and_functions_stay_small() -> None:
    """No file of ours has over 400 lines, no function over 70."""
    for package in (*PACKAGES, "tests", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert text.count("\n") <= 400, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                    assert node.end_lineno - node.lineno < 70, f"{path}:{node.lineno} {node.name}"


def test_files_and_functions_of_the_pages_stay_small() -> None:
    """The same holds for what the dashboard gives to browsers, but for what others have written."""
    static = ROOT / "variantbus" / "dashboard" / "static"
    ours = [path for path in static.rglob("*") if path.suffix in (".js", ".css") and "vendor" not in path.parts]
    for path in ours:
        assert path.read_text(encoding="utf-8").count("\n") <= 400, path
    node, _ = compute_driver_executable()
    scripts = [str(path) for path in ours if path.suffix == ".js"]
    measured = subprocess.run(
        [node, "--expose-internals", "-e", FUNCTIONS, *scripts], capture_output=True, text=True, check=False
    )
    assert measured.returncode == 0, measured.stderr
    functions = json.loads(measured.stdout)
    assert functions
    for file, first, last in functions:
        assert last - first < 70, f"{file}:{first}"
