"""Reads the TOML files of jobs and experiments."""

from pathlib import Path
from typing import Final

from msgspec import Struct, field

from bus.config.toml_file import read_table, taken
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config, Priority
from bus.contracts.scoring import ScoreSettings
from bus.protocol.validation import InvalidInputError
from variantbus.cli.prompts import KEYS, with_blocks
from variantbus.cli.variables import with_variables

OF_EXPERIMENTS: Final = {"name", "variable", "variables", *KEYS}  # keys that only their files have
OF_JOBS: Final = {"pipeline", "stage", "config"}  # keys of both files, which also a short one has


class JobFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that belongs to no experiment."""

    pipeline: str = "embedded"
    stage: str = "txt2img"
    priority: Priority = 0
    config: Config = field(default_factory=dict)
    score: ScoreSettings | None = None


def read_experiment(path: Path) -> ExperimentDefinition:
    """Read an experiment file.

    Raises:
        InvalidInputError: it is none.
    """
    table = read_table(path)
    if not OF_EXPERIMENTS & table.keys() and OF_JOBS & table.keys():
        raise InvalidInputError(f"{path}: is the file of a job; run it with `variantbus job submit {path}`")
    return taken(path, with_variables(path, with_blocks(path, table)), ExperimentDefinition)


def read_job(path: Path) -> JobFile:
    """Read a job file.

    Raises:
        InvalidInputError: it is none.
    """
    table = read_table(path)
    if OF_EXPERIMENTS & table.keys():
        raise InvalidInputError(f"{path}: is the file of an experiment; run it with `variantbus experiment run {path}`")
    return taken(path, table, JobFile)
