"""The files of `examples/`, also where there is no checkout."""

from pathlib import Path
from typing import Final

from bus.config.toml_file import read_table
from bus.contracts.definition import ExperimentDefinition
from bus.protocol.doors import take

DEMO: Final = "cfg_sweep.toml"  # the experiment that shows what all this is


def path_of(name: str) -> Path:
    """Return the path of an example."""
    return folder() / name


def demo_definition() -> ExperimentDefinition:
    """Return the experiment that `variantbus demo` runs, and that an empty dashboard offers."""
    return take(read_table(path_of(DEMO)), ExperimentDefinition)


def folder() -> Path:
    """Return the folder of the examples: inside the package in a wheel, beside the packages in a checkout."""
    package = Path(__file__).parents[1]
    return next(path for path in (package / "cli" / "examples", package.parent / "examples") if path.is_dir())
