"""The event loop: one thread that owns all sockets and the database of a service.

All work is done in callbacks of this loop: a socket or file is readable, a timer is due, another thread has passed a
call. So no locks are needed. What takes longer than some milliseconds is done in steps (see `bus.transport.steps`).
"""

import contextlib
import heapq
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any, Final

import zmq

from bus.telemetry.metrics import Point
from bus.transport.sockets import Socket
from bus.transport.steps import Steps

MAX_WAIT: Final = 3600.0  # seconds; only an upper bound for poll
TURN_SECONDS: Final = 0.005  # after which no further callback begins in a turn; what is left has the next one
HELP: Final = {
    "variantbus_loop_longest_turn_seconds": (
        "The longest time that the service did not look at its sockets, since its start."
    ),
}
Callback = Callable[[], None]


class _Process:
    """Counts the forks that led to this process; to ask the system for its number would take longer than an event."""

    forks = 0

    @classmethod
    def count(cls) -> None:
        cls.forks += 1


os.register_at_fork(after_in_child=_Process.count)


class Timer:
    """A callback that is due once or periodically; `cancel` stops it."""

    def __init__(self, due: float, period: float | None, callback: Callback) -> None:
        """Made by `Loop.later` and `Loop.every`."""
        self.due, self.period, self.callback = due, period, callback
        self.cancelled = False

    def cancel(self) -> None:
        """Stop calling."""
        self.cancelled = True


class Loop:
    """Runs callbacks until `stop`; made and run in one thread."""

    def __init__(self) -> None:
        """Create the poller and the pipe by which other threads and signals wake it."""
        self._poller = zmq.Poller()
        self._readers: dict[Socket | int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._calls: deque[Callback] = deque()
        self._steps: deque[Steps[None]] = deque()  # work that can go on
        self._left: set[Any] = set()  # sockets that were readable and had no time: they are first in the next turn
        parts = self._read, self._run_timers, self._run_calls, self._run_steps
        self._orders = [parts[first:] + parts[:first] for first in range(len(parts))]
        self._first_part = 0  # each part has its turn, however long another one takes
        self.longest_turn = 0.0  # seconds between two looks at the sockets
        self._waking = False  # a wake-up is in the pipe
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.add(self._wake_read, self._woken)
        self._stopped = self._closed = False
        self.is_signalled = False  # a signal has ended `run`
        self._is_hung_up = False  # it was, or came with, SIGHUP
        self._closing = threading.Lock()  # the only data shared with other threads: see `call`
        self._signals: dict[int, object] = {}
        self._forks = _Process.forks

    def add(self, source: Socket | int, callback: Callback) -> None:
        """Call back whenever a socket or file descriptor is readable."""
        self._readers[source] = callback
        self._poller.register(source, zmq.POLLIN)

    def remove(self, source: Socket | int) -> None:
        """Stop watching; call this before the socket is closed."""
        if self._readers.pop(source, None):
            self._poller.unregister(source)

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once."""
        return self._schedule(Timer(time.monotonic() + seconds, None, callback))

    def every(self, seconds: float, callback: Callback) -> Timer:
        """Call back periodically, first after one period."""
        return self._schedule(Timer(time.monotonic() + seconds, seconds, callback))

    def call(self, callback: Callback) -> None:
        """Call a function in the loop's thread, soon; safe from any thread."""
        self._calls.append(callback)
        if self._waking:  # it will look at the calls after this one was added
            return
        self._waking = True
        with self._closing, contextlib.suppress(BlockingIOError):  # the pipe is full of wake-ups already
            if not self._closed:  # the descriptor may be another file by now
                os.write(self._wake_write, b"\0")

    def start(self, steps: Steps[None]) -> None:
        """Do long work in steps, in turn with other such work, beginning in the next turn.

        An exception that the work does not handle comes out of `step`. It is dropped when the loop is closed.
        """
        self._steps.append(steps)

    def step(self, timeout: float = MAX_WAIT) -> bool:
        """Wait for something to do, at most `timeout` seconds, and do it; False if there was nothing.

        Raises:
            RuntimeError: this is a forked child of the process that made the loop.
        """
        self.check_process()
        is_urgent = self._calls or self._steps
        wait_ms = 0 if is_urgent else max(0, int(min(timeout, self.due_in()) * 1000 + 0.999))
        ready: list[tuple[Any, int]] = self._poller.poll(wait_ms)
        began = time.monotonic()
        until = began + TURN_SECONDS
        is_busy = bool(ready or self._calls or self._steps) or self.due_in() <= 0
        done = 0
        for part in self._orders[self._first_part]:
            part(ready, until)
            done += 1
            if (now := time.monotonic()) > until:
                break
        # after a quick turn, what has arrived is first
        self._first_part = (self._first_part + done) % len(self._orders) if now > until else 0
        self.longest_turn = max(self.longest_turn, now - began)
        return is_busy

    def points(self) -> Iterator[Point]:
        """Return the metric of the loop."""
        yield "variantbus_loop_longest_turn_seconds", {}, self.longest_turn

    def check_process(self) -> None:
        """Refuse to work in a forked child, where no socket of the parent does anything: waiting for one would hang.

        Raises:
            RuntimeError: this process is not the one that made the loop.
        """
        if _Process.forks != self._forks:
            raise RuntimeError(
                "this process was forked from the one that opened these sockets, which do not work here; "
                "make a new subscriber or publisher in this process, or start it by `spawn` instead"
            )

    def due_in(self) -> float:
        """Return the seconds until the next timer is due; 0 or less if one is."""
        return self._timers[0][0] - time.monotonic() if self._timers else MAX_WAIT

    def descriptors(self) -> list[int]:
        """Return the descriptors for another event loop: if one is readable, `step` has work to do.

        Those of ZeroMQ sockets report changes only: watch them after a `step` that had nothing to do.
        """
        return [source if isinstance(source, int) else int(source.fd) for source in self._readers]

    def run(self) -> None:
        """Run until `stop` or a handled signal."""
        while not self._stopped:
            self.step()

    def stop(self) -> None:
        """End `run` after the present callback."""
        self._stopped = True

    def handle_signals(self) -> None:
        """End `run` on SIGTERM, SIGINT and SIGHUP; a second one ends the process at once. For the main thread only.

        A handler that only sets a flag would not wake the poll; the wake-up descriptor does.
        """
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # `nohup` has started us, and means it
            self._signals[number] = signal.signal(number, self._signalled)

    def close(self) -> None:
        """Release the pipe and the signals; once, as the descriptors may be other files afterwards."""
        if self._closed:
            return
        if self._signals:
            signal.set_wakeup_fd(-1)
            for number, previous in self._signals.items():
                # the second SIGHUP of a closed terminal must not end the process otherwise than the first one does
                is_over = number == signal.SIGHUP and self._is_hung_up
                signal.signal(number, signal.SIG_IGN if is_over else previous)  # type: ignore[arg-type]  # it was given
        self._readers.clear()
        while self._steps:
            self._steps.popleft().close()
        with self._closing:
            self._closed = True
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _schedule(self, timer: Timer) -> Timer:
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def _read(self, ready: list[tuple[Any, int]], until: float) -> None:
        """Call those whose sockets are readable, until the time is over."""
        if self._left:
            ready.sort(key=lambda pair: pair[0] not in self._left)
            self._left.clear()
        for place, (source, _) in enumerate(ready):
            callback = self._readers.get(source)
            if callback:
                callback()
            if place + 1 < len(ready) and time.monotonic() > until:
                self._left = {source for source, _ in ready[place + 1 :]}
                return

    def _run_calls(self, _ready: list[tuple[Any, int]], until: float) -> None:
        for _ in range(len(self._calls)):
            self._calls.popleft()()
            if self._calls and time.monotonic() > until:
                return

    def _run_steps(self, _ready: list[tuple[Any, int]], until: float) -> None:
        """Do the next steps of the work that waits, in turn."""
        while self._steps:
            steps = self._steps.popleft()
            try:
                future = next(steps)
            except StopIteration:
                continue
            if future is None:
                self._steps.append(steps)
            else:
                self._resume_after(future, steps)
            if time.monotonic() > until:
                return

    def _resume_after(self, future: Future[Any], steps: Steps[None]) -> None:
        future.add_done_callback(lambda _: self.call(lambda: self._steps.append(steps)))

    def _run_timers(self, _ready: list[tuple[Any, int]], until: float) -> None:
        """Call the timers that are due."""
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.cancelled:
                continue
            timer.callback()
            if timer.period is not None and not timer.cancelled:
                # from now, not from when it was due: after a suspend, missed calls are not repeated
                timer.due = time.monotonic() + timer.period
                self._schedule(timer)
            if time.monotonic() > until:
                return

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_read, 4096):
                pass
        # after the pipe is empty, or a byte that is written meanwhile were lost; before the calls are looked at
        self._waking = False

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self._stopped and number != signal.SIGHUP:  # of which a closed terminal and its shell send one each
            os._exit(128 + number)
        self.is_signalled = True
        self._is_hung_up |= number == signal.SIGHUP
        self.stop()
