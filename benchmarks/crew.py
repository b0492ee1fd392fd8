"""The processes of one measurement: started, listened to, watched, and never left behind.

A role is a function in a process of its own. It says what happens by JSON objects on its stdout, one a line, and is
told what to do by words on its stdin (see `benchmarks.role`).
"""

import contextlib
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import psutil

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.1
TICK_SECONDS: Final = 0.01
TAIL_CHARACTERS: Final = 3000
ROOT: Final = Path(__file__).parents[1]


class BenchmarkError(Exception):
    """A measurement failed: a process ended, was too slow or lost something. The text holds what it printed."""


class Signals:
    """Ctrl-C and SIGTERM, noted when they come and heeded where we wait.

    An exception in the midst of starting a process would leave one that nobody knows of.
    """

    received: Final[list[int]] = []

    @classmethod
    def note(cls) -> None:
        """Note them from now on."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: cls.received.append(number))

    @classmethod
    def check(cls) -> None:
        """Give up if one has come.

        Raises:
            StoppedError: one has come.
        """
        if cls.received:
            raise StoppedError(cls.received[0])


class StoppedError(Exception):
    """We were asked to end; the argument is the number of the signal."""


class Child:
    """A process whose lines are read by a thread, so that it never waits for us."""

    def __init__(self, crew: "Crew", name: str, arguments: Sequence[str]) -> None:
        """Start it in a session of its own: Ctrl-C is for us, and we end it in good order."""
        self.name, self._crew = name, crew
        self._errors = crew.folder / f"{name}.err"
        self._lines: queue.Queue[str] = queue.Queue()
        with self._errors.open("wb") as errors:
            self.popen = subprocess.Popen(  # noqa: S603 - our own commands, and servers that the benchmark starts
                list(arguments),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name=f"{name} stdout", daemon=True)
        self._reader.start()

    @property
    def process(self) -> psutil.Process:
        """Return its measurable side."""
        return psutil.Process(self.popen.pid)

    def send(self, word: str) -> None:
        """Send it a command."""
        if self.popen.stdin is None:
            raise BenchmarkError(f"{self.name} has no stdin")
        with contextlib.suppress(BrokenPipeError):  # it has ended: whoever waits for it hears why
            self.popen.stdin.write(f"{word}\n")
            self.popen.stdin.flush()

    def wait_for_line(self, words: str, seconds: float = START_SECONDS) -> str:
        """Wait for a line with some words.

        Raises:
            BenchmarkError: it does not come in time, or a process of the crew has ended.
        """
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=POLL_SECONDS)
                if words in line:
                    return line
                continue
            self._crew.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self.name} did not say {words!r} within {seconds:g} s\n{self._crew.report()}")

    def wait_for(self, event: str, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Wait until a role tells an event, and give its fields."""
        found: dict[str, Any] = json.loads(self.wait_for_line(f'{{"event":"{event}"', seconds))
        return found

    def drain(self) -> int:
        """Forget the lines that nobody has waited for, and return their number."""
        number = 0
        with contextlib.suppress(queue.Empty):
            while True:
                self._lines.get_nowait()
                number += 1
        return number

    def stop(self) -> None:
        """Ask it to end, then force it."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self._reader.join()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def tail(self) -> str:
        """Return the end of what it has printed on stderr."""
        text = self._errors.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:]
        return f"--- {self.name}, status {self.popen.poll()}\n{text}"

    def _read(self) -> None:
        if self.popen.stdout:
            for line in self.popen.stdout:
                self._lines.put(line)


class Crew:
    """All processes of one measurement, with a folder of their own that goes with them."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._folder = tempfile.TemporaryDirectory(prefix="variantbus-bench-")
        self.folder = Path(self._folder.name)
        self._children: list[Child] = []

    def start(self, name: str, *arguments: str) -> Child:
        """Start any command."""
        child = Child(self, f"{len(self._children):02d}-{name}", arguments)
        self._children.append(child)
        return child

    def python(self, name: str, module: str, *arguments: str) -> Child:
        """Start a Python module."""
        return self.start(name, sys.executable, "-m", module, *arguments)

    def role(self, function: str, setup: object, name: str = "") -> Child:
        """Start a role: `module:function`, with its setup."""
        label = name or function.rpartition(":")[2]
        return self.python(label, "benchmarks.role", function, msgspec.json.encode(setup).decode())

    @property
    def children(self) -> tuple[Child, ...]:
        """Return all that are here now."""
        return tuple(self._children)

    def dismiss(self, child: Child) -> None:
        """End one process early; it is no fault any more that it is not there."""
        self._children.remove(child)
        child.stop()

    def check(self) -> None:
        """Fail if any process has ended, or if we are to end.

        Raises:
            StoppedError: we are to end.
            BenchmarkError: with what the dead one printed.
        """
        Signals.check()
        dead = [child for child in self._children if child.popen.poll() is not None]
        if dead:
            raise BenchmarkError("a process ended in the midst of it\n" + "\n".join(child.tail() for child in dead))

    def report(self) -> str:
        """Return what all have printed on stderr."""
        return "\n".join(child.tail() for child in self._children)

    def close(self) -> None:
        """End all, the newest first, and remove the folder."""
        for child in reversed(self._children):
            child.stop()
        self._children.clear()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class CpuTime:
    """The processor time of processes from now on, in user and kernel mode together."""

    def __init__(self, *children: Child) -> None:
        """Begin."""
        self._processes = [child.process for child in children]
        self._before = self._used()

    def seconds(self) -> float:
        """Return what was used since; the system counts in ticks, and less than one would be no cost at all."""
        return max(TICK_SECONDS, self._used() - self._before)

    def _used(self) -> float:
        return sum(times.user + times.system for times in (process.cpu_times() for process in self._processes))


def poll_until(deadline_seconds: float, what: str) -> Iterator[None]:
    """Yield again and again until the caller breaks off.

    Raises:
        BenchmarkError: it takes too long.
    """
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline:
        Signals.check()
        yield
        time.sleep(POLL_SECONDS)
    raise BenchmarkError(f"{what} did not come true within {deadline_seconds:g} s")
