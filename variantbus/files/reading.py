"""Reads the TOML files of jobs and experiments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from bus.config.settings import NotifySettings
from bus.config.toml_file import read_table, taken
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config, Priority
from bus.contracts.scoring import ScoreSettings
from bus.protocol.validation import InvalidInputError
from learning_service.recommendation.labels import shortened
from variantbus.files.prompts import FILE as PROMPTS_FILE
from variantbus.files.prompts import KEYS, with_blocks
from variantbus.files.templates import EXTENDS, NOTIFY, Change, changed, merged
from variantbus.files.variables import with_variables

ORIGIN_SHOWN: Final = 500  # characters
OF_EXPERIMENTS: Final = {"name", "variable", "variables", NOTIFY, EXTENDS, *KEYS}  # keys that only their files have
OF_JOBS: Final = {"pipeline", "stage", "config"}  # keys of both files, which also a short one has


class JobFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that belongs to no experiment."""

    pipeline: str = "embedded"
    stage: str = "txt2img"
    priority: Priority = 0
    config: Config = field(default_factory=dict)
    score: ScoreSettings | None = None


class _OfNotify(Struct, frozen=True, kw_only=True):
    """The table that says who is told."""

    notify: NotifySettings


class ExperimentFile(NamedTuple):
    """What an experiment file has: what is run, and who is told, which is nobody's but ours and is never sent."""

    definition: ExperimentDefinition
    notify: NotifySettings | None = None


def read_experiment(path: Path, changes: Sequence[Change] = ()) -> ExperimentFile:
    """Read an experiment file with what it extends, and with changes.

    Raises:
        InvalidInputError: it is none, or a change has no place in it.
    """
    table = _with_base(path, read_table(path), ())
    if not OF_EXPERIMENTS & table.keys() and OF_JOBS & table.keys():
        raise InvalidInputError(f"{path}: is the file of a job; run it with `variantbus job submit {path}`")
    return experiment_of(path, changed(table, changes), origin_text(path.name, changes))


def experiment_of(path: Path, table: Mapping[str, Any], origin: str) -> ExperimentFile:
    """Turn the table of an experiment file into what it stands for; `origin` says what it was made from.

    Raises:
        InvalidInputError: it is no such table; `path` begins the sentence.
    """
    if "origin" in table:
        raise InvalidInputError(f"{path}: origin: is filled in by itself; remove it")
    run = {key: value for key, value in table.items() if key != NOTIFY}
    whole = with_variables(path, with_blocks(path, run))
    notify = taken(path, {NOTIFY: table[NOTIFY]}, _OfNotify).notify if NOTIFY in table else None
    return ExperimentFile(replace(taken(path, whole, ExperimentDefinition), origin=origin), notify)


def origin_text(source: str, changes: Sequence[Change]) -> str:
    """Return what an experiment was made from, in a line for people."""
    return shortened(", ".join((source, *(change.text for change in changes))), ORIGIN_SHOWN)


def _with_base(path: Path, table: dict[str, Any], above: tuple[Path, ...]) -> dict[str, Any]:
    """Return a table over that of the file that it extends."""
    if EXTENDS not in table:
        return table
    name = table[EXTENDS]
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidInputError(f'{path}: {EXTENDS}: must be the path of an experiment file, such as "base.toml"')
    base, above = path.parent / name, (*above, path.resolve())
    if base.resolve() in above:
        raise InvalidInputError(f"{path}: {EXTENDS}: {name} extends this file itself; remove one of the two")
    under = _with_base(base, read_table(base), above)
    if isinstance(under.get(PROMPTS_FILE), str):  # its path is from its own folder
        under[PROMPTS_FILE] = str((base.parent / under[PROMPTS_FILE]).absolute())
    return merged(under, {key: value for key, value in table.items() if key != EXTENDS})


def read_job(path: Path) -> JobFile:
    """Read a job file.

    Raises:
        InvalidInputError: it is none.
    """
    table = read_table(path)
    if OF_EXPERIMENTS & table.keys():
        raise InvalidInputError(f"{path}: is the file of an experiment; run it with `variantbus experiment run {path}`")
    return taken(path, table, JobFile)
