"""What several test modules need: time limits, example messages, and services that run in threads."""

import errno
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import psutil

from bus.contracts.messages import JobQueued
from bus.contracts.topics import STATE_TOPICS
from bus.eventlog.log import Log
from bus.protocol.addresses import Address
from bus.publisher import Publisher
from bus.subscriber.sync import Delivery, Subscriber
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from bus.transport.server import MethodServer

T = TypeVar("T")
TIME_FACTOR: Final = float(os.environ.get("VARIANTBUS_TEST_TIME_FACTOR", "1"))
POLL_SECONDS: Final = 0.002
POLL_SHARE: Final = 0.1  # of the time waited so far, up to this:
LONGEST_POLL_SECONDS: Final = 0.02
PATIENCE: Final = 10.0  # seconds that anything which must happen may take; only a failing test takes so long
REPLY_SECONDS: Final = PATIENCE * TIME_FACTOR  # that a service of a test may take to answer
LOCALHOST: Final = Address("127.0.0.1", 0)


class Deadline:
    """A moment that must not be passed; see `deadline`."""

    def __init__(self, seconds: float) -> None:
        """Start now; the seconds are scaled by VARIANTBUS_TEST_TIME_FACTOR."""
        self.end = time.monotonic() + seconds * TIME_FACTOR

    @property
    def left(self) -> float:
        """Seconds that remain, at least 0."""
        return max(0.0, self.end - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether it is too late."""
        return self.left <= 0


def deadline(seconds: float = PATIENCE) -> Deadline:
    """Return a time limit, scaled for slow machines."""
    return Deadline(seconds)


def wait_until(
    condition: Callable[[], object],
    seconds: float = PATIENCE,
    *,
    what: str = "the condition",
    longest_poll: float = LONGEST_POLL_SECONDS,
) -> None:
    """Poll until a condition holds; fail the test if that takes too long.

    The pauses grow with the time that was waited, up to `longest_poll` seconds: many conditions ask a service, which
    then needs the time of the processor for its answers that it needs for what is waited for.
    """
    limit, begin = deadline(seconds), time.monotonic()
    while not condition():
        assert not limit.passed, f"{what} did not come true within {seconds * TIME_FACTOR:g} s"
        waited = time.monotonic() - begin
        time.sleep(min(longest_poll, POLL_SECONDS + POLL_SHARE * waited))


def when_free(listen: Callable[[], T]) -> T:
    """Return what listens where something has ended; a connection of another program may have the port for a moment."""
    made: list[T] = []

    def bound() -> bool:
        try:
            made.append(listen())
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    wait_until(bound, what="a free port")
    return made[0]


def call_in(loop: Loop, function: Callable[[], T]) -> T:
    """Run a function in the thread of a loop and return its result."""
    result: Future[T] = Future()

    def work() -> None:
        try:
            result.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's thread
            result.set_exception(error)

    loop.call(work)
    return result.result(PATIENCE * TIME_FACTOR)


def job(name: str | int) -> JobQueued:
    """Make a small message; what tells it from others is its `job_id`."""
    return JobQueued(
        job_id=str(name), stage="txt2img", pipeline="embedded", attempt=1, learning_context=None, queued_at=1.5
    )


def append(log: Log, *records: tuple[str, str | int]) -> None:
    """Log messages (topic, job id) in one transaction."""
    with log.transaction() as tx:
        for topic, name in records:
            tx.append(topic, job(name))


def is_open(log: Log) -> bool:
    """Return whether the log can still be read."""
    try:
        log.query("SELECT 1")
    except sqlite3.ProgrammingError:
        return False
    return True


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, as a zombie has that nobody has fetched yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Service:
    """A log and its publisher, in a loop in a thread of their own, as a service has them."""

    def __init__(
        self, path: Path, *, feed: Address = LOCALHOST, control: Address = LOCALHOST, keys: Keys | None = None
    ) -> None:
        """Start the thread and wait until both sockets are bound."""
        self._made: Future[Publisher] = Future()
        self._end: Callable[[], None] = lambda: None
        self._where = (path, feed, control)
        self._keys = keys
        self.running = True
        self.thread = threading.Thread(target=self._run, name=f"service {path.name}", daemon=True)
        self.thread.start()
        self.publisher = self._made.result(PATIENCE * TIME_FACTOR)

    @property
    def address(self) -> str:
        """The control address, which is what subscribers are given."""
        return str(self.publisher.control)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the service's thread and return its result."""
        return call_in(self.loop, function)

    def append(self, *records: tuple[str, str | int]) -> None:
        """Publish messages (topic, job id) in one transaction."""
        self.call(lambda: append(self.log, *records))

    @contextmanager
    def busy(self) -> Iterator[threading.Event]:
        """Keep the service from looking at its sockets, until the event is set or this ends."""
        free = threading.Event()

        def wait() -> None:
            free.wait(PATIENCE * TIME_FACTOR)

        self.loop.call(wait)
        try:
            yield free
        finally:
            free.set()

    def stop(self, after: Callable[[], None] = lambda: None) -> None:
        """Close everything in good order; `after` runs in the thread before the log is closed."""
        if self.running:
            self.running = False
            self._end = after
            self.loop.call(self.loop.stop)
            self.thread.join(PATIENCE * TIME_FACTOR)
            assert not self.thread.is_alive(), "the service's thread does not end"

    def _run(self) -> None:
        path, feed, control = self._where
        try:
            self.log, self.loop = Log(path, keep_newest=STATE_TOPICS), Loop()
            try:
                publisher = Publisher(
                    self.log, self.loop, service="test", version="1.0", feed=feed, control=control, keys=self._keys
                )
                self._made.set_result(publisher)
                self.loop.run()
                publisher.close()
            finally:
                self._end()
                self.loop.close()
                self.log.close()
        except BaseException as error:
            if self._made.done():
                raise
            self._made.set_exception(error)


def collect(subscriber: Subscriber, count: int, seconds: float = PATIENCE) -> list[Delivery]:
    """Receive until there are `count` events; fail the test if that takes too long."""
    limit = deadline(seconds)
    found: list[Delivery] = []
    while len(found) < count:
        assert not limit.passed, f"{len(found)} of {count} events within {seconds * TIME_FACTOR:g} s"
        found += subscriber.receive(min(0.5, limit.left))
    return found


def names(deliveries: list[Delivery]) -> list[str]:
    """Return the job ids of events that `job` made."""
    return [str(getattr(delivery.message, "job_id", None)) for delivery in deliveries]


def answers(methods: MethodServer) -> dict[str, int]:
    """Count what became of requests: "ok", the code of an error, or "dropped"."""
    found: Counter[str] = Counter()
    for name, labels, value in methods.points():
        found[labels["code"] if name == "variantbus_requests_total" else "dropped"] += int(value)
    return found
