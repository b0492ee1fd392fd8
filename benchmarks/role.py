"""`python -m benchmarks.role MODULE:FUNCTION SETUP`: one role of a measurement as a process."""

import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.workload import Workload


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a role has to know: the work, where its peers are, and how fast it is to send."""

    workload: Workload
    folder: str
    addresses: dict[str, str] = {}
    interval: float = 0.0  # seconds between two events; 0 is as fast as they go


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

    def wait(self, word: str) -> None:
        """Wait until we are told to go on."""
        while self._words.get() != word:
            pass

    def _listen(self) -> None:
        for line in sys.stdin:
            self.on_word(line.strip())
        os._exit(1)


def paced(start_ns: int, interval: float, number: int) -> None:
    """Wait until it is time for an event, counted from the start, so that nothing drifts."""
    due = start_ns + round(number * interval * 1e9)
    left = due - time.monotonic_ns()
    if left > 0:
        time.sleep(left / 1e9)


def main() -> None:
    """Run the role."""
    module, _, function = sys.argv[1].partition(":")
    role = getattr(importlib.import_module(module), function)
    role(Parent(), msgspec.json.decode(sys.argv[2], type=Setup))


if __name__ == "__main__":
    main()
