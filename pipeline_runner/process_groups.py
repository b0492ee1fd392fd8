"""A program with all its children: started in a group of its own, so that all of them can be ended.

The group is noted in a file: a runner that was killed cannot end its programs, so the next one does.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import IO, Final

import msgspec
import psutil

NOTE: Final = "process.json"
GRACE_SECONDS: Final = 2.0  # between SIGTERM and SIGKILL
logger = logging.getLogger(__name__)


class _Note(msgspec.Struct):
    """Which process it is: numbers are given again, but not with the same time of creation."""

    pid: int
    created: float


class ProcessGroup:
    """A running program; it leads a new process group."""

    def __init__(self, arguments: list[str], folder: Path, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        """Start a program in a working folder, and note it there.

        Raises:
            OSError, ValueError: it cannot be started.
        """
        self._process = subprocess.Popen(  # noqa: S603 - running programs is what it is for; no shell is involved
            arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
        try:
            note = _Note(pid=self._process.pid, created=psutil.Process(self._process.pid).create_time())
            (folder / NOTE).write_bytes(msgspec.json.encode(note))
        except psutil.NoSuchProcess:
            pass  # it has ended already
        except BaseException:
            self.kill()  # without a note nobody could end it later
            raise

    @property
    def returncode(self) -> int:
        """The exit status, negative for a signal; after `wait` or `kill`."""
        return self._process.returncode or 0

    def wait(self, seconds: float) -> bool:
        """Wait for the program at most so long; has it ended?"""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the program and its children: ask, then force."""
        _signal_group(self._process.pid, signal.SIGTERM)
        self.wait(GRACE_SECONDS)
        _signal_group(self._process.pid, signal.SIGKILL)  # also children that outlive the leader
        self._process.wait()


def kill_leftovers(work: Path) -> None:
    """End the programs noted in the working folders of a dead runner, and remove these folders."""
    for note in work.glob(f"*/{NOTE}"):
        try:
            noted = msgspec.json.decode(note.read_bytes(), type=_Note)
            if psutil.Process(noted.pid).create_time() == noted.created:  # else the number was given again
                logger.warning("ending process group %d, left by a runner that was killed", noted.pid)
                _signal_group(noted.pid, signal.SIGKILL)
        except (psutil.Error, OSError, ValueError):
            pass  # it has ended, is not ours, or the note is damaged
    shutil.rmtree(work, ignore_errors=True)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)
