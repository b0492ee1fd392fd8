"""Our services as child processes of a command: started, waited for, stopped."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 6.0  # a service drains and ends within 5
TAIL_LINES: Final = 15
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with our interpreter.

    `-P`: a file of the working folder, such as a user's own `bus.py`, must not be imported in place of ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


class StartError(Exception):
    """A process did not start; the text has the end of its output."""


@dataclass(slots=True)
class Children:
    """The processes of one command; leaving the `with` block stops them all, last started first."""

    logs: Path
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

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
        return dict(word.split("=", 1) for word in words[1:])

    def start_logger(self, name: str, module: str, *arguments: str) -> Path:
        """Start a process that only writes, and return the file that it writes to."""
        target = self.logs / f"{name}.jsonl"
        with target.open("w", encoding="utf-8") as stdout:
            self._spawn(name, module, arguments, stdout.fileno())
        return target

    def __enter__(self) -> Self:
        """Create the folder for the output of the processes."""
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all processes: first by SIGTERM, then by SIGKILL."""
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()

    def _spawn(
        self, name: str, module: str, arguments: tuple[str, ...], stdout: int
    ) -> tuple[subprocess.Popen[str], Path]:
        log = self.logs / f"{name}.log"
        with log.open("a", encoding="utf-8") as stderr, _signals_held_back():
            process = subprocess.Popen(  # noqa: S603 - our own modules
                python_module(module, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
                start_new_session=True,  # Ctrl-C is for the command, which stops them in order
            )
            self._running.append(process)
        return process, log


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Handle signals that end us only after the block: a process that was just made must be known, to be stopped."""
    received: list[int] = []
    before = {one: signal.getsignal(one) for one in ENDING}
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


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
