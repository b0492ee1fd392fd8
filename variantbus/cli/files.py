"""Reads the TOML files of jobs and experiments."""

from pathlib import Path

from msgspec import Struct, field

from bus.config.toml_file import read_toml
from bus.contracts.messages import Config, ExperimentDefinition, Priority


class JobFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that belongs to no experiment."""

    pipeline: str = "embedded"
    stage: str = "txt2img"
    priority: Priority = 0
    config: Config = field(default_factory=dict)


def read_experiment(path: Path) -> ExperimentDefinition:
    """Read an experiment file."""
    return read_toml(path, ExperimentDefinition)
