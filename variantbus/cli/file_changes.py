"""The history of applied changes, for undo: one record for each change, in the data folder."""

import hashlib
import time
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bus.console.writing import written
from bus.protocol.validation import DECODE_ERRORS, InvalidInputError

FILE_LIMIT: Final = 1 << 24  # bytes


class Applied(Struct, frozen=True, kw_only=True):
    """One change of a file."""

    path: str  # absolute, links followed
    before: str
    after_sha256: str
    experiment_id: str
    applied_at: float  # unix seconds


class History:
    """The records of changes, newest last."""

    def __init__(self, folder: Path) -> None:
        """Keep the records in a folder, which is created when needed."""
        self._folder = folder

    def write(self, path: Path, before: str, after: str, experiment_id: str) -> None:
        """Change a file, unless something else changed it since it was read; the record is written first.

        Raises:
            InvalidInputError: the file is not as it was.
        """
        record = Applied(
            path=str(path),
            before=before,
            after_sha256=digest_of(after),
            experiment_id=experiment_id,
            applied_at=time.time(),
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._folder / f"{time.time_ns():020}.json"
        replace_text(kept, msgspec.json.encode(record).decode())
        try:
            _replace_unchanged(path, before, after)
        except BaseException:
            kept.unlink()
            raise

    def newest(self, path: Path) -> tuple[Path, Applied]:
        """Return the newest change of a file, with the file of its record.

        Raises:
            InvalidInputError: there is none, or the file was edited since.
        """
        for kept in sorted(self._folder.glob("*.json"), reverse=True):
            try:
                record = msgspec.json.decode(kept.read_bytes(), type=Applied)
            except DECODE_ERRORS as error:
                raise InvalidInputError(f"{kept}: is damaged; move it away ({error})") from None
            if record.path == str(path):
                if digest_of(read_text(path)) != record.after_sha256:
                    raise InvalidInputError(f"{path}: was edited since; what it was before is in {kept}")
                return kept, record
        raise InvalidInputError(f"{path}: nothing was applied to it that could be undone")

    def undo(self, kept: Path, record: Applied) -> None:
        """Restore a file as it was, and delete the record of the change."""
        replace_text(Path(record.path), record.before)
        kept.unlink()


def _replace_unchanged(path: Path, before: str, after: str) -> None:
    if read_text(path) != before:
        raise InvalidInputError(f"{path}: was changed meanwhile; try again")
    replace_text(path, after)


def read_text(path: Path) -> str:
    """Return the text of a file, line ends unchanged.

    Raises:
        InvalidInputError: it cannot be read, or is no text.
    """
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise InvalidInputError(f"{path}: larger than {FILE_LIMIT} bytes; give a file of settings")
        return path.read_bytes().decode()
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: is not UTF-8; save it as UTF-8") from None


def replace_text(path: Path, text: str) -> None:
    """Write a file atomically; its mode is kept.

    Raises:
        InvalidInputError: it cannot be written.
    """
    with written(path) as file:
        file.write(text.encode())


def digest_of(text: str) -> str:
    """Return the hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
