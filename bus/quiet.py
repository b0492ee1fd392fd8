"""Warnings that a peer can provoke: written sparingly, so that a flood on a port is no flood in the log."""

import logging
import time
from collections.abc import Callable
from typing import Final

LINES: Final = 5
SECONDS: Final = 10.0


class QuietLogger:
    """Writes at most `LINES` lines in `SECONDS`; the first one afterwards says how many were left out."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        """Write to a logger; `clock` gives seconds."""
        self._logger, self._clock = logger, clock
        self._since = clock()
        self._written = self._left_out = 0

    def warning(self, text: str, *args: object, exc_info: bool = False) -> None:
        """Write a warning, or count it."""
        now = self._clock()
        if now - self._since >= SECONDS:
            self._since, self._written = now, 0
        if self._written >= LINES:
            self._left_out += 1
            return
        self._written += 1
        if self._left_out:
            text, self._left_out = f"{text} (and {self._left_out} others, not shown)", 0
        self._logger.warning(text, *args, exc_info=exc_info)
