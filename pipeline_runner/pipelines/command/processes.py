"""A program with all its children: started in a group of its own, so that all of them can be ended.

The group is noted in a file: a runner that was killed cannot end its programs, so the next one does.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec
import psutil

NOTE: Final = "process.json"
MARK: Final = "VARIANTBUS_JOB_FOLDER"  # in the environment of a program and its children
GRACE_SECONDS: Final = 2.0  # between SIGTERM and SIGKILL
Environment = Mapping[str, str]
NONE: Final[Environment] = {}
logger = logging.getLogger(__name__)


class Streams(NamedTuple):
    """The standard streams of a program: files, or their descriptors."""

    stdout: IO[bytes] | int
    stderr: IO[bytes] | int
    stdin: IO[bytes] | int = subprocess.DEVNULL


class _Note(msgspec.Struct):
    """The identity of a process: process ids are reused, but not with the same time of creation."""

    pid: int
    created: float


class ProcessGroup:
    """A running program; it leads a new process group."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, streams: Streams, *, inside: bool = True, more: Environment = NONE
    ) -> None:
        """Start a program and note it in a folder, in which it works unless it is to work where the runner does.

        `more` is added to its environment.

        Raises:
            OSError, ValueError: it cannot be started.
        """
        self._process = subprocess.Popen(  # noqa: S603 - running programs is what it is for; no shell is involved
            arguments,
            cwd=folder if inside else None,
            env={**os.environ, **more, MARK: str(folder)},
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            start_new_session=True,
        )
        try:
            note = _Note(pid=self._process.pid, created=psutil.Process(self._process.pid).create_time())
            (folder / NOTE).write_bytes(msgspec.json.encode(note))
        except (psutil.NoSuchProcess, FileNotFoundError):
            pass  # it has ended, or removed its folder, already
        except BaseException:
            self.kill()  # without a note nobody could end it later
            raise

    @property
    def returncode(self) -> int:
        """The exit status, negative for a signal; after `wait` or `kill`."""
        return self._process.returncode or 0

    def wait(self, seconds: float) -> bool:
        """Wait for the program at most so long; return whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self, grace: float = GRACE_SECONDS) -> None:
        """End the program and its children: ask, then force."""
        _signal_group(self._process.pid, signal.SIGTERM)
        self.wait(grace)
        _signal_group(self._process.pid, signal.SIGKILL)  # also children that outlive the leader
        self._process.wait()


def kill_leftovers(work: Path) -> None:
    """End the programs that a killed runner has left in its working folders, and remove these folders."""
    for folder in _folders(work):
        leader = _noted(folder / NOTE) or _found(folder)
        if leader:
            logger.warning("ending process group %d, left by a runner that was killed", leader)
            _signal_group(leader, signal.SIGKILL)
    remove_folder(work)


def _folders(work: Path) -> list[Path]:
    try:
        return list(work.glob("*/"))
    except OSError as error:
        logger.warning("cannot look for programs that a dead runner left: %s", error)
        return []


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that a program has left there, as far as that is possible."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        logger.warning("%s is nested too deep to be removed; remove it by hand, as with `rm -r`", folder)


def _noted(note: Path) -> int | None:
    """Return the leader that a note names, if it still runs."""
    try:
        noted = msgspec.json.decode(note.read_bytes(), type=_Note)
        same = psutil.Process(noted.pid).create_time() == noted.created  # else the number was given again
    except (psutil.Error, OSError, ValueError):
        return None  # it has ended, is not ours, or the note is damaged
    return noted.pid if same else None


def _found(folder: Path) -> int | None:
    """Return the leader of what was started for a folder: its runner may have died before it had written the note."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is not ours
            if process.environ().get(MARK) == str(folder):
                return os.getpgid(process.pid)
    return None


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)
