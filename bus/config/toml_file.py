"""Reads TOML files; any error in one is a sentence that names the file and the key."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError, unreadable

T = TypeVar("T")
FILE_LIMIT: Final = 1 << 20  # bytes
DEEPEST: Final = 100  # parts of a key with dots
# the parser takes memory by the square of their number: half a megabyte of `a.a.a` would be some hundred gigabytes
_DEEP: Final = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{DEEPEST}}}""", re.ASCII
)


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a file into a Struct.

    Raises:
        InvalidInputError: it cannot be read, is no TOML, or has unknown keys or wrong types.
    """
    return taken(path, read_table(path), kind)


def taken(path: Path, table: dict[str, Any], kind: type[T]) -> T:
    """Turn what `read_table` has read from a file into a Struct.

    Raises:
        InvalidInputError: it has unknown keys or wrong types.
    """
    try:
        return take(table, kind)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None


def read_table(path: Path) -> dict[str, Any]:
    """Read a file.

    Raises:
        InvalidInputError: it cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)  # not by its size: a pipe reports none, and /dev/zero has no end
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return table_of(path, data)


def table_of(path: Path, data: bytes) -> dict[str, Any]:
    """Return the table that the content of a file has.

    Raises:
        InvalidInputError: it is no TOML; `path` begins the sentence.
    """
    if len(data) > FILE_LIMIT:
        raise InvalidInputError(f"{path}: larger than {FILE_LIMIT} bytes; large values belong in files of their own")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: is not UTF-8; save it as UTF-8") from None
    if _DEEP.search(text):
        raise InvalidInputError(f"{path}: is no valid TOML: nested too deeply")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{path}: is no valid TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        why = "a number has too many digits" if isinstance(error, ValueError) else unreadable(error)
        raise InvalidInputError(f"{path}: is no valid TOML: {why}") from None
