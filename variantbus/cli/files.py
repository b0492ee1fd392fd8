"""Reading the TOML files that people write."""

import re
import secrets
import unicodedata
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from bus.config.toml_file import read_toml
from bus.contracts.messages import Config, ExperimentDefinition, Priority
from learning_service.experiments.sharding import ALL, Shard

SLUG_LIMIT: Final = 48
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # no letter that looks like another


class JobFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that belongs to no experiment."""

    pipeline: str = "embedded"
    stage: str = "txt2img"
    priority: Priority = 0
    config: Config = field(default_factory=dict)


def read_experiment(path: Path) -> ExperimentDefinition:
    """Read an experiment file."""
    return read_toml(path, ExperimentDefinition)


def new_id(name: str, shard: Shard = ALL) -> str:
    """Make an id from a display name: a slug, so that people recognise it, and a random suffix, which is identity.

    The suffix is drawn until the id belongs to the shard.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_LIMIT].strip("-") or "x"
    while True:
        made = f"{slug}-{''.join(secrets.choice(ALPHABET) for _ in range(6))}"
        if shard.owns(made):
            return made
