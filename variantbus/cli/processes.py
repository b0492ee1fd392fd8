"""Our services as child processes of a command: started, waited for, stopped, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from bus.console.process import EXIT_SIGNAL, LIFELINE, STOP_SECONDS

START_SECONDS: Final = 30.0
TAIL_LINES: Final = 15
LOOK_SECONDS: Final = 0.5
HELD_BACK: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with our interpreter.

    `-P`: a file of the working folder, such as a user's own `bus.py`, must not be imported in place of ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


class StartError(Exception):
    """A process did not start, or has ended too soon; the text has the end of its output."""


def mark_of(folder: Path) -> str:
    """Return what a process bears of the data folder to which it belongs; a path could mean another one elsewhere."""
    status = folder.stat()
    return f"{status.st_dev}:{status.st_ino}"


class Lifeline:
    """A pipe that ends with this process, also by `kill -9`; what is started with it ends then (`end_with_parent`)."""

    def __init__(self, folder: Path) -> None:
        """Make the pipe; the data folder tells `variantbus down` to what a process belongs."""
        self._mark = mark_of(folder)
        self._read, self._write = os.pipe()

    def spawn(
        self, arguments: list[str], stdout: IO[str] | int | None = None, stderr: IO[str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a program, in a session of its own: Ctrl-C is for the command, which stops its processes in order."""
        return subprocess.Popen(  # noqa: S603 - our own modules
            arguments,
            env={**os.environ, LIFELINE: f"{self._read} {self._mark}"},
            pass_fds=(self._read,),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        """Close the pipe, which ends whatever still has it."""
        os.close(self._write)
        os.close(self._read)


def stop(processes: Iterable[subprocess.Popen[str]]) -> None:
    """Stop processes: first by SIGTERM, then by SIGKILL."""
    running = list(processes)
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(slots=True)
class Children:
    """The processes of one command; leaving the `with` block stops them all, last started first.

    The end of a service ends the block with a `StartError`: the others would wait for it without end. A timer looks
    for it again and again, as whatever runs at that moment may swallow an exception, such as the end of an object.
    """

    folder: Path
    look_too: Callable[[], None]  # is called when the services are looked after, and may raise what ends the block
    logs: Path = field(init=False)
    _lifeline: Lifeline = field(init=False)
    _running: list[subprocess.Popen[str]] = field(default_factory=list)
    _watched: dict[str, subprocess.Popen[str]] = field(default_factory=dict)  # by name: those that have started

    def start(self, name: str, module: str, *arguments: str) -> dict[str, str]:
        """Start a module and return the addresses of its `listening` line.

        Raises:
            StartError: it ended, or printed nothing for 30 s.
        """
        process, log = self._spawn(name, module, arguments, subprocess.PIPE)
        # a timer, as reading a line has no time limit: it ends the process, which ends the reading
        limit = threading.Timer(START_SECONDS, process.kill)
        limit.start()
        try:
            line = process.stdout.readline() if process.stdout else ""
        finally:
            limit.cancel()
        words = line.split()
        if not words or words[0] != "listening":
            raise StartError(f"{name} did not start:\n{_tail(log)}")
        self._watched[name] = process
        self._look()
        return dict(word.split("=", 1) for word in words[1:])

    def start_logger(self, name: str, module: str, *arguments: str) -> Path:
        """Start a process that only writes, and return the file that it writes to."""
        target = self.logs / f"{name}.jsonl"
        with target.open("w", encoding="utf-8") as stdout:
            self._spawn(name, module, arguments, stdout.fileno())
        return target

    def __enter__(self) -> Self:
        """Create the folder for the output of the processes."""
        self.logs = self.folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lifeline = Lifeline(self.folder)
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all processes; a second signal, as of a closed terminal and its shell, must not keep us from it."""
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        with _signals_held_back():
            stop(reversed(self._running))
            self._lifeline.close()
            for process in self._running:
                if process.stdout:
                    process.stdout.close()

    def _look(self, *_: object) -> None:
        """Raise `StartError` if a service has ended."""
        self.look_too()
        for name, process in self._watched.items():
            if process.poll() is not None:
                log = _tail(self.logs / f"{name}.log")
                raise StartError(f"{name} has ended with status {shown_status(process)}:\n{log}")

    def _spawn(
        self, name: str, module: str, arguments: tuple[str, ...], stdout: int
    ) -> tuple[subprocess.Popen[str], Path]:
        log = self.logs / f"{name}.log"
        with log.open("a", encoding="utf-8") as stderr, _signals_held_back():
            process = self._lifeline.spawn(python_module(module, *arguments), stdout, stderr)
            self._running.append(process)
        return process, log


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Handle signals only after the block: a process that was just made must be known, to be stopped."""
    received: list[int] = []
    before = {one: signal.getsignal(one) for one in HELD_BACK}
    held = {one: handler for one, handler in before.items() if callable(handler)}
    for one in held:
        signal.signal(one, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for one, handler in held.items():
            signal.signal(one, handler)
        for number in received:
            signal.raise_signal(number)


def shown_status(process: subprocess.Popen[str]) -> int:
    """Return the exit status of a process that has ended as a shell shows it."""
    return process.returncode if process.returncode >= 0 else EXIT_SIGNAL - process.returncode


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
