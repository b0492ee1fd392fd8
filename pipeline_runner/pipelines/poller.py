"""Looks at a server every second in a thread of its own, so that a slow server does not block the job's thread."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

POLL_SECONDS: Final = 1.0  # between two looks
UNREAD: Final = 100  # looks that are kept until they are taken
T = TypeVar("T")


class Poller(Generic[T]):
    """Calls a function that returns what it has seen, None if the server did not answer now."""

    def __init__(self, poll: Callable[[], T | None], name: str) -> None:
        """Start; the first look is in a second."""
        self._poll = poll
        self._seen: deque[T] = deque(maxlen=UNREAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self) -> T | None:
        """Return the oldest look that was not returned yet, None if there is none."""
        return self._seen.popleft() if self._seen else None

    def close(self) -> None:
        """Stop after the look that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            seen = self._poll()
            if seen is not None:
                self._seen.append(seen)
