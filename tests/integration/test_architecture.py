"""The arrows between the rooms go down only: what each folder imports is what docs/architecture.md allows."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("bus", "pipeline_runner", "learning_service", "variantbus")

# Each room with the rooms that it may import. A room is a folder, or a module that stands beside the folders of its
# package; a package named alone stands for all of its rooms. What is not named here must not be imported.
PURE_BUS: Final = {"bus.contracts", "bus.protocol"}
ROOMS: Final[dict[str, set[str]]] = {
    "bus.protocol": set(),
    "bus.config": {"bus.protocol"},
    "bus.contracts": {"bus.protocol"},
    "bus.telemetry": {"bus.protocol"},
    "bus.eventlog": {"bus.protocol", "bus.config", "bus.telemetry"},
    "bus.transport": {"bus.protocol", "bus.config", "bus.telemetry"},
    "bus.cluster": {"bus.protocol", "bus.config", "bus.telemetry", "bus.contracts"},
    "bus.subscriber": {"bus.protocol", "bus.config", "bus.telemetry", "bus.contracts", "bus.transport"},
    "bus.publisher": {"bus.protocol", "bus.config", "bus.telemetry", "bus.eventlog", "bus.transport"},
    "bus.console": {"bus"},
    "bus.__main__": {"bus.console"},
    "pipeline_runner.queue": {"bus"},
    "pipeline_runner.outputs": {"bus", "pipeline_runner.queue"},
    "pipeline_runner.cluster": {"bus", "pipeline_runner.queue", "pipeline_runner.outputs"},
    "pipeline_runner.metadata": {"bus", "pipeline_runner.outputs"},
    "pipeline_runner.pipelines": {
        "bus",
        "pipeline_runner.queue",
        "pipeline_runner.outputs",
        "pipeline_runner.metadata",
    },
    "pipeline_runner.scoring": {"bus", "pipeline_runner.queue", "pipeline_runner.outputs", "pipeline_runner.pipelines"},
    "pipeline_runner.execution": {
        "bus",
        "pipeline_runner.queue",
        "pipeline_runner.outputs",
        "pipeline_runner.pipelines",
        "pipeline_runner.scoring",
    },
    "learning_service.experiments": PURE_BUS,
    "learning_service.storage": {"bus", "learning_service.experiments"},
    "learning_service.runners": {"bus", "learning_service.experiments", "learning_service.storage"},
    "learning_service.cluster": {
        "bus",
        "learning_service.experiments",
        "learning_service.storage",
        "learning_service.runners",
    },
    "learning_service.events": {
        "bus",
        "learning_service.experiments",
        "learning_service.storage",
        "learning_service.runners",
    },
    "learning_service.dispatch": {
        "bus",
        "learning_service.experiments",
        "learning_service.storage",
        "learning_service.runners",
    },
    "learning_service.recommendation": {"bus", "learning_service.experiments", "learning_service.storage"},
    "learning_service.feedback": {
        "bus",
        "learning_service.experiments",
        "learning_service.storage",
        "learning_service.recommendation",
    },
    "learning_service.search": PURE_BUS | {"learning_service.experiments", "learning_service.recommendation"},
    "learning_service.archive": {
        "bus",
        "learning_service.experiments",
        "learning_service.storage",
    },
    "learning_service.planning": {
        "bus",
        "learning_service.experiments",
        "learning_service.storage",
        "learning_service.events",
        "learning_service.dispatch",
        "learning_service.recommendation",
        "learning_service.search",
    },
    "variantbus.reports": {"bus", "learning_service.experiments", "learning_service.recommendation"},
    "variantbus.client": {"bus", "learning_service.experiments", "pipeline_runner.outputs", "variantbus.reports"},
    "variantbus.adoption": {
        "bus",
        "learning_service.experiments",
        "pipeline_runner.metadata",
        "pipeline_runner.outputs",
        "variantbus.client",
    },
    "variantbus.files": {"bus", "learning_service.experiments", "learning_service.recommendation"},
    "variantbus.dashboard": {
        "bus",
        "pipeline_runner.metadata",
        "pipeline_runner.outputs",
        "variantbus.reports",
        "variantbus.client",
        "variantbus.cluster",
        "variantbus.files",
    },
    "variantbus.notify": {"bus", "learning_service.experiments", "variantbus.client"},
    "variantbus.cluster": {"bus", "variantbus.reports"},
    "variantbus.cli": {"bus", "pipeline_runner", "learning_service", "variantbus"},
}
# The services themselves join the rooms of their package, and never those of another service.
TOP: Final = {"pipeline_runner": {"bus", "pipeline_runner"}, "learning_service": {"bus", "learning_service"}}


def allowed(room: str) -> set[str]:
    """Return the rooms that a room may import."""
    package, _, _ = room.partition(".")
    return ROOMS.get(room) or TOP.get(package) or set()


@cache
def is_folder(name: str) -> bool:
    """Return whether a dotted name is a folder of ours."""
    return (ROOT / name.replace(".", "/") / "__init__.py").exists()


def room_of(module: str) -> str:
    """Return the room of a module: two levels deep; of what a package itself exports, the package."""
    parts = module.split(".")
    two = ".".join(parts[:2])
    is_module = (ROOT / f"{two.replace('.', '/')}.py").exists()
    return two if len(parts) > 1 and (is_folder(two) or is_module) else parts[0]


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names of ours that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name.partition(".")[0] in (*PACKAGES, "tests", "benchmarks"))


def files() -> list[Path]:
    """Return every module of ours but the packages' own `__init__`, which only exports."""
    found = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return [path for path in found if path.parent.parent != ROOT or path.name != "__init__.py"]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    """No arrow runs up, none runs between the runner and the learning service."""
    mine = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    may = allowed(mine)
    for name in imports(path):
        room = room_of(name)
        assert room == mine or room in may or room.partition(".")[0] in may or name == "bus.__version__", (
            f"{path.relative_to(ROOT)} imports {name}, and {mine} may import {sorted(may) or 'nothing of ours'}"
        )


def test_a_pipeline_imports_no_other_pipeline() -> None:
    """What webui, comfyui, embedded and command share stands beside their folders."""
    pipelines = ROOT / "pipeline_runner" / "pipelines"
    folders = {path.parent.name for path in pipelines.glob("*/__init__.py")}
    for folder in folders:
        others = {f"pipeline_runner.pipelines.{other}" for other in folders - {folder}}
        for path in (pipelines / folder).rglob("*.py"):
            for name in imports(path):
                assert not any(name == other or name.startswith(f"{other}.") for other in others), f"{path}: {name}"


def test_the_rooms_named_here_are_those_that_there_are() -> None:
    """A new folder gets its arrows, and none of a folder that has gone stays behind."""
    present = {room_of(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in files()}
    tops = {f"{package}.{path.stem}" for package in TOP for path in (ROOT / package).glob("*.py")}
    assert present - tops - set(PACKAGES) == ROOMS.keys()


def test_no_room_reaches_itself_over_others() -> None:
    """The table itself has no circle."""
    on_top = {room for room, below in ROOMS.items() if room.partition(".")[0] in below} | {"bus.__main__"}

    def reach(room: str, seen: tuple[str, ...]) -> None:
        assert room not in seen, " -> ".join((*seen, room))
        for other in ROOMS.get(room, set()):
            below = [one for one in ROOMS if one.startswith(f"{other}.")] if other in PACKAGES else [other]
            for one in below:
                if one not in on_top:
                    reach(one, (*seen, room))

    for room in ROOMS:
        reach(room, ())


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_says_what_lives_there_and_what_it_may_import(room: str) -> None:
    """Whoever opens a folder reads in two sentences what it is for."""
    if is_folder(room):
        text = ast.get_docstring(ast.parse((ROOT / room.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")))
        assert "ay import" in (text or ""), room
