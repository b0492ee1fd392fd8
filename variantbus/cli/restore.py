"""`variantbus restore`: a data folder from a backup, as a whole or not at all."""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from bus.console.options import data_dir_option
from bus.console.printable import printable
from bus.console.process import EXIT_REFUSED, EXIT_USAGE, fail, user_errors
from bus.eventlog.errors import LogError
from bus.eventlog.files import holder, sync
from variantbus.cli.manifest import Manifest, changed, copy, hash_of, read_manifest
from variantbus.reports.text import count_text

STAGING: Final = ".restoring"


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@data_dir_option
def restore(folder: Path, data_dir: Path) -> None:
    """Put the backup in FOLDER into an empty data folder, before its services are started.

    Every file is compared with the backup's manifest first; if one is damaged or missing, nothing is restored. The
    services begin a new epoch, so all that follow them notice the restore and go on from there.
    """
    with user_errors():
        source, data = folder.absolute(), data_dir.absolute()
        manifest = read_manifest(source)
        if data.resolve().is_relative_to(source.resolve()):
            fail(f"{data} is inside of the backup; choose a folder outside of it", EXIT_USAGE)
        _check_target(data)
        if wrong := list(changed(source, manifest)):
            for one, what in wrong:
                click.echo(f"{printable(one.path)} {what}", err=True)
            text = count_text(len(wrong), "file of the backup is", "files of the backup are")
            fail(f"{text} damaged, so nothing was restored; take another backup", EXIT_REFUSED)
        _put(source, data, manifest)
        databases = count_text(len(manifest.databases), "database", "databases")
        made = manifest.made_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        files = count_text(len(manifest.files), "file", "files")
        click.echo(f"{databases} and {files} of {made} are in {data}; start the services there")


def _check_target(data: Path) -> None:
    """Check that a data folder is empty; what a restore has left that was cut off does not count.

    Raises:
        LogError: a service has it, or there is something in it.
    """
    for lock in sorted(data.glob("*.lock")):
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = f"{data} is in use by {holder(lock)}; stop its services, and move it away"
                raise LogError(f"{text} or choose another --data-dir") from None
    if present := sorted(one.name for one in data.glob("*") if one.name != STAGING):
        text = f"{data} is not empty: it has {present[0]}"
        raise LogError(f"{text}; stop its services and move it away, or choose another --data-dir")


def _put(source: Path, data: Path, manifest: Manifest) -> None:
    """Copy a backup into a folder within the data folder, and move what is whole and on the disk to its place.

    Raises:
        OSError, LogError: it cannot be copied, or a service was started meanwhile; nothing is left of it.
    """
    staging, was_there = data / STAGING, data.is_dir()
    moved: list[Path] = []
    try:
        shutil.rmtree(staging, ignore_errors=True)
        _stage(source, staging, manifest)
        _check_target(data)
        for name in dict.fromkeys(Path(one.path).parts[0] for one in manifest.everything):
            (staging / name).rename(data / name)  # the databases last: without one, a folder is no data folder
            moved.append(data / name)
        staging.rmdir()
        sync(data)
    except BaseException:
        for one in (*moved, staging):
            shutil.rmtree(one) if one.is_dir() else one.unlink(missing_ok=True)
        if not was_there:
            with suppress(OSError):  # something else is in it meanwhile
                data.rmdir()
        raise


def _stage(source: Path, staging: Path, manifest: Manifest) -> None:
    staging.mkdir(parents=True)
    for one in manifest.everything:
        target = staging / one.path
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(source / one.path, target)
        if hash_of(target) != one.sha256:
            raise LogError(f"{one.path} was changed while it was copied; nothing was restored")
    for folder, _, _ in os.walk(staging):
        sync(Path(folder))
