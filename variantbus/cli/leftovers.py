"""Which processes belong to the `variantbus up` of a data folder, and how they are ended.

A process is known by what no other one has, whatever its number: `up` itself has the lock file of the folder open, and
what it has started bears the folder in its environment. Device and inode stand for the folder: a path may mean another
one in a container.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from bus.console.process import LIFELINE, STOP_SECONDS
from bus.eventlog.files import is_locked, take_lock
from variantbus.cli.processes import mark_of

UP_LOCK: Final = "up.lock"
LOOK_SECONDS: Final = 0.05
UP_STOP_SECONDS: Final = 2 * STOP_SECONDS  # it stops its processes in order


def lock_folder(folder: Path) -> int:
    """Return the descriptor of the lock that makes this process the `up` of a data folder.

    Raises:
        BlockingIOError: another process is.
        OSError: the folder cannot be written.
    """
    descriptor = os.open(folder / UP_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        take_lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def supervisor_of(folder: Path) -> psutil.Process | None:
    """Return the `variantbus up` that runs in a data folder and can be ended from here."""
    lock = folder / UP_LOCK
    if not is_locked(lock):
        return None
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        process = psutil.Process(int(lock.read_text(encoding="ascii")))
        if process.pid != os.getpid() and any(Path(one.path).samefile(lock) for one in process.open_files()):
            return process
    return None


def started_in(folder: Path) -> Iterator[psutil.Process]:
    """Yield what the `up` of a data folder has started and still runs."""
    mark = mark_of(folder)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is not ours
            if process.environ().get(LIFELINE, "").partition(" ")[2] == mark:
                yield process


def end_all(folder: Path) -> list[int]:
    """End the `up` of a data folder and all that it has started, also what hangs; return their process numbers."""
    supervisor = supervisor_of(folder)
    ended = _end([supervisor], UP_STOP_SECONDS) if supervisor else []
    return ended + _end(list(started_in(folder)), STOP_SECONDS)


def _end(processes: list[psutil.Process], seconds: float) -> list[int]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
            process.resume()  # a stopped one gets it then
    _await_end(processes, seconds)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()  # does nothing to one that has ended, also if its number was given again
    _await_end(processes, STOP_SECONDS)
    return [process.pid for process in processes]


def _await_end(processes: list[psutil.Process], seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not all(map(_has_ended, processes)) and time.monotonic() < limit:
        time.sleep(LOOK_SECONDS)


def _has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, also if its parent does not ask for its status."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
