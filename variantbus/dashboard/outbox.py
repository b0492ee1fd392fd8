"""The queue for one browser: bounded, with only the newest state of each thing. No socket."""

import asyncio
from typing import Final

LIMIT: Final = 5000  # things whose newest state waits


class Outbox:
    """A queue in which a newer state of a thing takes the place of the older one.

    If even that is too much, the queue is dropped, and `reload` tells the browser to load a new snapshot.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        """Start empty."""
        self._limit = limit
        self._waiting: dict[str, bytes] = {}
        self._filled = asyncio.Event()
        self._is_behind = False
        self.is_closed = False

    def close(self) -> None:
        """Wake up the waiting stream for the last time."""
        self.is_closed = True
        self._filled.set()

    def put(self, key: str, event: bytes) -> None:
        """Queue an event; it replaces one with the same key that still waits."""
        if self._is_behind:
            return
        self._waiting.pop(key, None)  # at the end of the queue
        self._waiting[key] = event
        if len(self._waiting) > self._limit:
            self.reload()
        self._filled.set()

    def reload(self) -> None:
        """Replace the queue by a request that the browser loads a new snapshot."""
        self._waiting.clear()
        self._is_behind = True
        self._filled.set()

    async def take(self, seconds: float) -> list[bytes] | None:
        """Return all waiting events, none after a timeout in seconds; None if the browser must load a new snapshot."""
        try:
            await asyncio.wait_for(self._filled.wait(), seconds)
        except TimeoutError:
            return []
        self._filled.clear()
        if self._is_behind:
            self._is_behind = False
            return None
        events = list(self._waiting.values())
        self._waiting.clear()
        return events
