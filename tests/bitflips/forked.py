"""Our programs in processes that are forked from one which has everything imported: real ones, that start in no time.

The process that forks must have one thread and no ZeroMQ context, so every question to a service is a child's, too.
"""

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from tests.support.helpers import TIME_FACTOR

T = TypeVar("T")
POLL_SECONDS: Final = 0.002
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 8.0
HUNG: Final = "it hung"
NEW_LINE: Final = "\n"


class Program:
    """A click command as a process, with its output in two files; if asked, with an interpreter of its own."""

    def __init__(
        self, command: click.Command, arguments: list[str], name: str, folder: Path, *, module: str | None = None
    ) -> None:
        """Start it; with `module`, as `python -m MODULE`."""
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        self.status: int | None = None
        out, err = (os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in (self.out, self.err))
        if module:
            words = [sys.executable, "-m", module, *arguments]
            popen = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
            popen.returncode = 0  # it is waited for here
            self.pid = popen.pid
        else:
            self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
                os.dup2(file, number)
            sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(number, "wb"), "utf-8") for number in (1, 2))
            _end_with(lambda: command.main(arguments, prog_name=command.name))
        os.close(out)
        os.close(err)

    def errors(self) -> str:
        """Return all that it has written to stderr."""
        return self.err.read_text(encoding="utf-8", errors="replace")

    def output(self) -> str:
        """Return all that it has written to stdout."""
        return self.out.read_text(encoding="utf-8", errors="replace")

    def listens(self) -> bool:
        """Wait until it has said where it listens (True) or has ended (False)."""
        end = time.monotonic() + START_SECONDS * TIME_FACTOR
        while not self.output().startswith("listening"):
            if self.ended(0) is not None:
                return False
            if time.monotonic() > end:
                self.kill()
                return False
            time.sleep(POLL_SECONDS)
        return True

    def ended(self, seconds: float) -> int | None:
        """Wait for its end and return its status, that of a signal negative; None if it has not ended in time."""
        end = time.monotonic() + seconds * TIME_FACTOR
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= end:
                return None
            else:
                time.sleep(POLL_SECONDS)
        return self.status

    def terminate(self) -> int | None:
        """Ask it to end and return its status; None if it does not, and had to be killed."""
        if self.ended(0) is None:
            os.kill(self.pid, signal.SIGTERM)
        status = self.ended(STOP_SECONDS)
        if status is None:
            self.kill()
        return status

    def kill(self) -> None:
        """End it as `kill -9` does, if it has not ended."""
        if self.ended(0) is None:
            os.kill(self.pid, signal.SIGKILL)
            self.ended(STOP_SECONDS)


def in_child(function: Callable[[], T], seconds: float) -> T:
    """Return what a function returns in a process of its own.

    Raises:
        RuntimeError: it raised, died or hung; the text says which.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _end_with(lambda: _send(write, function))
    os.close(write)
    end = time.monotonic() + seconds * TIME_FACTOR
    os.set_blocking(read, False)
    data, status = bytearray(), None
    while status is None and time.monotonic() < end:
        _drain(read, data)
        done, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
        time.sleep(POLL_SECONDS)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    _drain(read, data)
    os.close(read)
    if status != 0:
        raise RuntimeError(
            HUNG
            if status is None
            else f"status {status}: {data.decode(errors='replace').rstrip().rpartition(NEW_LINE)[2]}"
        )
    result: T = pickle.loads(data)  # noqa: S301 - our own child's
    return result


def _drain(file: int, data: bytearray) -> None:
    with contextlib.suppress(BlockingIOError):
        while part := os.read(file, 1 << 16):
            data += part


def _send(file: int, function: Callable[[], Any]) -> None:
    try:
        data, status = pickle.dumps(function()), 0
    except BaseException:  # noqa: BLE001 - the parent raises it
        data, status = traceback.format_exc().encode(), 1
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
    raise SystemExit(status)


def _end_with(function: Callable[[], object]) -> NoReturn:
    """End this process with the status of a function that exits, as the interpreter would."""
    status = 1
    try:
        function()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - the interpreter prints it, too
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    raise AssertionError("not reached")


def set_environment(values: Mapping[str, str]) -> None:
    """Set the environment for all programs: nothing of the user's own settings."""
    for key in [key for key in os.environ if key.startswith("VARIANTBUS_")]:
        del os.environ[key]
    os.environ.update(values)
