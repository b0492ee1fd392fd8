"""When no result can be written, as the disk is full: no job is started until a probe was written."""

import logging
import shutil
import time
from collections.abc import Callable
from typing import Final

from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.queue.retries import rest_seconds

PROBE_SECONDS: Final = 1.0
MORE_BYTES: Final = 1 << 20  # of free space, which is worth a try before the rest is over
Changed = Callable[[str], None]
logger = logging.getLogger(__name__)


class Room:
    """Decides when to try again; it is given the time and the free bytes.

    A probe is small, and the next result may not be: each try that fails makes the rest longer, and space that became
    free ends it.
    """

    def __init__(self) -> None:
        """Start with room."""
        self.reason = ""  # why nothing can be written, "" if it can
        self._faults = 0  # tries in a row that have failed
        self._rest_until = 0.0
        self._free = 0

    def note_fault(self, now: float, reason: str, free: int) -> None:
        """Rest; jobs that meet the same fault meanwhile say nothing new."""
        if not self.reason:
            self._faults += 1
            self._rest_until = now + rest_seconds(self._faults)
        self.reason, self._free = reason, free

    def may_try(self, now: float, free: int) -> bool:
        """Return whether it is time for a probe."""
        return now >= self._rest_until or free >= 2 * self._free + MORE_BYTES

    def note_probe(self) -> None:
        """A probe was written: jobs start again, and if they meet the fault again, the next rest is longer."""
        self.reason = ""

    def note_result(self) -> None:
        """A job has ended otherwise."""
        self._faults = 0


class RoomWatch:
    """Calls `changed` with why nothing can be written, and with "" when it can again."""

    def __init__(self, loop: Loop, outputs: Outputs, changed: Changed) -> None:
        """Start with room."""
        self._loop, self._outputs, self._changed = loop, outputs, changed
        self.room = Room()

    def note_fault(self, reason: str) -> None:
        """Hold everything, and look for room from now on."""
        if not self.room.reason:
            logger.error("%s; jobs wait until it can be written", reason)
            self._loop.later(PROBE_SECONDS, self._look)
        self.room.note_fault(time.monotonic(), reason, self._free())
        self._changed(reason)

    def _look(self) -> None:
        if self.room.may_try(time.monotonic(), self._free()) and not self._outputs.probe():
            logger.info("results can be written again; jobs go on")
            self.room.note_probe()
            self._changed("")
        else:
            self._loop.later(PROBE_SECONDS, self._look)

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._outputs.root).free
        except OSError:
            return 0
