"""Reading the TOML files that people write."""

import re
import secrets
import tomllib
import unicodedata
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct, field

from bus.messages import Config, ExperimentDefinition
from bus.validate import InvalidInputError, convert

T = TypeVar("T")
FILE_LIMIT: Final = 1 << 20  # bytes
SLUG_LIMIT: Final = 48
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"  # no letter that looks like another


class JobFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job that belongs to no experiment."""

    pipeline: str = "embedded"
    stage: str = "txt2img"
    config: Config = field(default_factory=dict)


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a file into a Struct.

    Raises:
        InvalidInputError: it cannot be read, is no TOML, or has unknown keys or wrong types.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)  # not by its size: a pipe tells none, and /dev/zero has no end
        if len(data) > FILE_LIMIT:
            raise InvalidInputError(
                f"{path}: larger than {FILE_LIMIT} bytes; large values belong in files of their own"
            )
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: is not UTF-8; save it as UTF-8") from None
    try:
        return convert(tomllib.loads(text), kind)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{path}: is no valid TOML: {error}") from None
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None


def read_experiment(path: Path) -> ExperimentDefinition:
    """Read an experiment file."""
    return read_toml(path, ExperimentDefinition)


def new_id(name: str) -> str:
    """Make an id from a display name: a slug, so that people recognise it, and a random suffix, which is identity."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_LIMIT].strip("-") or "x"
    return f"{slug}-{''.join(secrets.choice(ALPHABET) for _ in range(6))}"
