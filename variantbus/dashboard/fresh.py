"""An answer that many pages ask for, and that is made once for all of them."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
LEAST_SECONDS: Final = 1.0
SHARE: Final = 10  # an answer is kept so many times as long as it takes, so that a service is asked a tenth of the time


class Fresh(Generic[T]):
    """Keeps an answer for a moment. Who asks while it is made waits for it."""

    def __init__(
        self,
        make: Callable[[], T],
        seconds: float = LEAST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        share: int = SHARE,
    ) -> None:
        """Call `make` for an answer, which is kept for `seconds`, or for `share` times as long as it takes."""
        self._make, self._seconds, self._clock, self._share = make, seconds, clock, share
        self._lock = threading.Lock()
        self._found: tuple[T] | None = None
        self._until = 0.0
        self._forgotten = 0  # how often

    def get(self) -> T:
        """Return an answer that is fresh enough; what `make` raises is not kept."""
        with self._lock:
            if self._found is None or self._clock() >= self._until:
                self._found = None
                began, forgotten = self._clock(), self._forgotten
                self._found = (self._make(),)
                if forgotten == self._forgotten:
                    self._until = self._clock() + max(self._seconds, self._share * (self._clock() - began))
            return self._found[0]

    def forget(self) -> None:
        """Make the next answer anew, also after one that is being made: it may be of before a change."""
        self._forgotten += 1
        self._until = 0.0
