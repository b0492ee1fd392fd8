"""`python -m benchmarks.role MODULE:FUNCTION SETUP`: one role of a measurement as a process."""

import gc
import importlib
import json
import mmap
import os
import queue
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from benchmarks.workload import Workload, completions, planned_jobs
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import JobCompleted

T = TypeVar("T")
_COUNT: Final = struct.Struct("=Q")


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a role has to know: the work, where its peers are, and how fast it is to send."""

    workload: Workload
    folder: str
    addresses: dict[str, str] = {}
    interval: float = 0.0  # seconds between two events; 0 is as fast as they go
    prepared: bool = True  # the messages are made before the clock starts; not where they would fill the memory
    subscribers: int = 1  # in this process
    parts: int = 1  # the events are sent in equal parts, one at each word `go`
    idle: int = 0  # further experiments that are planned, and none of whose jobs ends
    pause: float = 0.0  # seconds after a batch, so that the next one is larger
    tally: str = ""  # a file in which a process counts as it goes, for whoever looks after it was killed

    def events(self) -> Iterable[tuple[str, JobCompleted]]:
        """Return topic and message of each event."""
        if not self.prepared:
            return completions(self.workload)
        events = list(completions(self.workload))
        gc.freeze()  # a runner has a few jobs in memory, not all of them: spare it looking through ours
        return events

    def jobs(self) -> list[JobRequest]:
        """Return what is submitted of each job."""
        jobs = [request for _, _, request in planned_jobs(self.workload)]
        gc.freeze()
        return jobs


class Parent:
    """The process that started us: it is told what happens, and says what to do.

    When it dies, so do we: nothing is left behind.
    """

    def __init__(self) -> None:
        """Begin to listen."""
        self._words: queue.Queue[str] = queue.Queue()
        self.on_word: Callable[[str], None] = self._words.put
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def tell(self, event: str, **fields: Any) -> None:
        """Say what has happened."""
        sys.stdout.write(json.dumps({"event": event, **fields}, separators=(",", ":")) + "\n")
        sys.stdout.flush()

    def wait(self, word: str, meanwhile: Callable[[], object] = lambda: None, every: float | None = None) -> None:
        """Wait until we are told to go on, and do something every so many seconds meanwhile."""
        while True:
            try:
                if self._words.get(timeout=every) == word:
                    return
            except queue.Empty:
                meanwhile()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.on_word(line.strip())
        os._exit(1)


class Tally:
    """A count in a file that outlives its process: it is there at once for whoever reads it, also after kill -9."""

    def __init__(self, path: str) -> None:
        """Begin with 0; without a path nothing is counted."""
        self._memory: mmap.mmap | None = None
        if path:
            with Path(path).open("w+b") as file:
                file.truncate(_COUNT.size)
                self._memory = mmap.mmap(file.fileno(), _COUNT.size)

    def set(self, count: int) -> None:
        """Replace the count."""
        if self._memory is not None:
            _COUNT.pack_into(self._memory, 0, count)

    @staticmethod
    def read(path: Path) -> int:
        """Return the count in a file, 0 if there is none yet."""
        return int(_COUNT.unpack(path.read_bytes())[0]) if path.exists() and path.stat().st_size else 0


class Clock:
    """When events are sent: at once, or one by one at a steady rate. Counted from the start, so that nothing drifts."""

    def __init__(self, setup: Setup) -> None:
        """Start now."""
        self.start = time.monotonic_ns()
        self.sent: list[int] = []
        self._interval_ns = round(setup.interval * 1e9)
        self._tally = Tally(setup.tally)

    def left(self) -> float:
        """Return the seconds until the next event is due; 0 or less if it is."""
        return (self.start + len(self.sent) * self._interval_ns - time.monotonic_ns()) / 1e9

    def wait(self) -> None:
        """Sleep until the next event is due; not at all if it is, as even a sleep of 0 would let queues run empty."""
        if (left := self.left()) > 0:
            time.sleep(left)

    def note(self, unconfirmed: int = 0) -> None:
        """Count an event that is sent now; those before it are, but for so many that nobody has confirmed yet."""
        self._tally.set(len(self.sent) - unconfirmed)
        self.sent.append(time.monotonic_ns())


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def main() -> None:
    """Run the role."""
    module, _, function = sys.argv[1].partition(":")
    role = getattr(importlib.import_module(module), function)
    role(Parent(), msgspec.json.decode(sys.argv[2], type=Setup))


if __name__ == "__main__":
    main()
