"""`variantbus backup`: the databases and pictures of a data folder, copied while its services run or not."""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from bus import __version__
from bus.console.options import data_dir_option
from bus.console.process import EXIT_REFUSED, EXIT_USAGE, fail, user_errors
from bus.eventlog.backups import back_up
from bus.eventlog.errors import LogError
from bus.eventlog.files import sync
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.files import THUMBNAILS
from variantbus.cli.manifest import (
    FORMAT,
    NAME,
    Manifest,
    StoredDatabase,
    StoredFile,
    copy,
    hash_of,
    read_manifest,
)
from variantbus.reports.health import MIB
from variantbus.reports.text import count_text

OUTPUTS: Final = "outputs"
RUNNER: Final = "runner"
RESULT: Final = re.compile(r"[0-9a-f]{64}\.(?!.*\.json$)[^.]+")
NO_LINK: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@data_dir_option
def backup(folder: Path, data_dir: Path) -> None:
    """Copy the databases and pictures of a data folder to FOLDER, which is made, while its services run or not.

    Run it on the machine of the services, as their user. On the same disk pictures are linked, not copied; on another
    one they are linked to the newest backup beside FOLDER. Settings and keys are not part of it.

    \b
    Examples:
      variantbus backup /backups/$(date +%F)
      variantbus restore /backups/2026-11-28 --data-dir new
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    with user_errors():
        data, target = data_dir.absolute(), folder.absolute()
        if not list(data.glob("*.db")):
            fail(f"{data} has no database of a service; give its data folder with --data-dir", EXIT_USAGE)
        if target.resolve().is_relative_to(data.resolve()):
            fail(f"{target} is inside of the data folder; choose a folder outside of it", EXIT_USAGE)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            fail(f"{target} is there already, and not empty; give a new folder", EXIT_USAGE)
        if target.is_mount():
            fail(f"{target} is the top of a disk; give a new folder in it", EXIT_USAGE)
        try:
            manifest = _make(data, target)
        except OSError as error:
            fail(f"{error.filename or target}: {error.strerror}; nothing was kept of the backup", EXIT_REFUSED)
        databases = count_text(len(manifest.databases), "database", "databases")
        files, size = count_text(len(manifest.files), "file", "files"), sum(one.size for one in manifest.everything)
        click.echo(f"{databases} and {files} of {OUTPUTS}, {size / MIB:.1f} MiB, are in {target}")
        if damaged := [one.path for one in manifest.files if _is_damaged(one)]:
            text = count_text(len(damaged), "picture is", "pictures are")
            fail(f"the backup is whole, but {text} damaged in {data}, such as {damaged[0]}", EXIT_REFUSED)


def _make(data: Path, target: Path) -> Manifest:
    """Make a backup under another name, and rename it when it is whole and on the disk.

    Raises:
        LogError: a database cannot be read or copied.
        OSError: a file cannot.
    """
    previous = _newest_beside(target)
    with _staged(target) as staging:
        pictures = _Pictures(data / OUTPUTS, staging / OUTPUTS, previous / OUTPUTS if previous else None)
        # before the databases for what is removed meanwhile, after them for what is new
        pictures.copy()
        databases = [_database(path, staging) for path in _in_order(data)]
        pictures.copy()
        manifest = Manifest(
            format=FORMAT,
            version=__version__,
            made_at=datetime.now(UTC),
            databases=databases,
            files=[_stored(staging, path) for path in sorted((staging / OUTPUTS).rglob("*")) if path.is_file()],
        )
        (staging / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        for folder, _, _ in os.walk(staging):
            sync(Path(folder))
        sync(staging / NAME)
        staging.rename(target)
        sync(target.parent)
    return manifest


def _in_order(data: Path) -> list[Path]:
    """Return the databases of a data folder, the runner's last.

    So the runner's has every job and every end that the learning service's knows of. What the runner has published
    since is read by a restored learning service from there, as after any stop.
    """
    return sorted(data.glob("*.db"), key=lambda path: (path.stem == RUNNER, path.name))


def _database(path: Path, staging: Path) -> StoredDatabase:
    snapshot = back_up(path, staging / path.name)
    stored = _stored(staging, staging / path.name)
    return StoredDatabase(**msgspec.structs.asdict(stored), **snapshot._asdict())


def _stored(staging: Path, path: Path) -> StoredFile:
    name = path.relative_to(staging).as_posix()
    return StoredFile(path=name, size=path.stat().st_size, sha256=hash_of(path))


def _is_result(name: Path) -> bool:
    """Return whether a file is named by the hash of its content: it is never changed, and may be linked."""
    return RESULT.fullmatch(name.name) is not None and THUMBNAILS not in name.parts


def _is_damaged(one: StoredFile) -> bool:
    name = Path(one.path)
    return _is_result(name) and name.stem != one.sha256


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """Give a folder beside the target, of this process alone, which is gone at the end if it was not renamed."""
    staging = target.with_name(f".{target.name}.unfinished")
    staging.mkdir(parents=True, exist_ok=True)
    lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogError(f"another backup to {target} is under way; wait for its end") from None
        for left in staging.iterdir():  # by one that was cut off
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        try:
            yield staging
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    finally:
        os.close(lock)


def _newest_beside(target: Path) -> Path | None:
    """Return the newest backup in the same folder, None if there is none."""
    found: list[tuple[datetime, Path]] = []
    for path in target.parent.glob(f"*/{NAME}"):
        with suppress(InvalidInputError):
            found.append((read_manifest(path.parent).made_at, path.parent))
    return max(found, default=(None, None))[1]


class _Pictures:
    """Links or copies the output folder: results, sidecars, thumbnails, and what people have put there."""

    def __init__(self, source: Path, target: Path, previous: Path | None) -> None:
        """`previous` is the same folder of an earlier backup, whose results need not be copied again."""
        self._source, self._target, self._previous = source, target, previous

    def copy(self) -> None:
        """Take over every file that is not there yet, but for those that are being written."""
        for name in self._names():
            target = self._target / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # it was removed meanwhile
                    self._take(name, target)

    def _names(self) -> Iterator[Path]:
        for folder, inner, files in os.walk(self._source, onerror=_raise_unless_gone):
            # hidden ones belong to jobs that run
            inner[:] = sorted(one for one in inner if not one.startswith(".") or one == THUMBNAILS)
            path = Path(folder)
            for name in files:
                if not name.startswith(".") and (path / name).is_file() and not (path / name).is_symlink():
                    yield (path / name).relative_to(self._source)

    def _take(self, name: Path, target: Path) -> None:
        source = self._source / name
        if _is_result(name) and (_link(source, target) or self._link_earlier(name, target)):
            return
        copy(source, target)

    def _link_earlier(self, name: Path, target: Path) -> bool:
        """Link the copy of the earlier backup if it is whole; return False if there is none."""
        earlier = self._previous / name if self._previous else None
        return earlier is not None and earlier.is_file() and hash_of(earlier) == name.stem and _link(earlier, target)


def _raise_unless_gone(error: OSError) -> None:
    """Take an error of listing a folder: without its pictures, a backup would not be whole.

    Raises:
        OSError: it is there, or should be.
    """
    if not isinstance(error, FileNotFoundError):
        raise error


def _link(source: Path, target: Path) -> bool:
    """Make a hard link; return False if there can be none."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in NO_LINK:
            return False
        raise
    return True
