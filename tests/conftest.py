"""Settings of hypothesis, and fixtures that track what a test opens and fail if it is left open."""

import gc
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from hypothesis import HealthCheck, settings

from bus.contracts.topics import STATE_TOPICS
from bus.eventlog.log import Log
from bus.subscriber.sync import Subscriber
from bus.telemetry.logging import RepeatFilter
from bus.transport import client
from bus.transport.loop import Loop
from tests.support.helpers import REPLY_SECONDS, TIME_FACTOR, Service, is_open, wait_until
from tests.support.interrupts import restore_interrupts

restore_interrupts()
# Before numpy is loaded, here and in the processes that tests start: these fill the cores by themselves, and threads of
# linear algebra that wait for each other took four times the time of the processor.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
client.request.__defaults__ = (REPLY_SECONDS,)  # a service of a test may take longer than the library's four seconds

settings.register_profile(
    "variantbus",
    deadline=None,  # two shared cores: only the limit of the whole test counts
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("variantbus")


@pytest.hookimpl(tryfirst=True)  # before pytest-timeout reads it
def pytest_configure(config: pytest.Config) -> None:
    """Scale the time limit of each test, as all deadlines in them are; workers of xdist read the options again."""
    config.option.timeout *= TIME_FACTOR


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scale the limits of single tests, too: on a slow machine those that are to have more time would have less."""
    for item in items:
        if mark := item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(mark.args[0] * TIME_FACTOR), append=False)


@pytest.hookimpl(optionalhook=True)  # without xdist nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `--numprocesses auto` starts: more than cores, as many tests wait for processes."""
    return (os.cpu_count() or 1) * 3 // 2 or 1


def pytest_collection_finish() -> None:
    """Exempt what is loaded by now from garbage collection: `no_leaks` collects after each test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fresh_minute() -> None:
    """Forget which warnings other tests have provoked: what is repeated is held back for a minute."""
    for logger in map(logging.getLogger, list(logging.root.manager.loggerDict)):
        if any(isinstance(one, RepeatFilter) for one in logger.filters):
            logger.filters[:] = [RepeatFilter()]


def _open_sockets() -> set[str]:
    # a copy of the references: a thread that still ends may close one meanwhile, and a set must not change under a loop
    found = (reference() for reference in zmq.Context.instance()._sockets.data.copy())  # type: ignore[attr-defined]
    return {repr(socket) for socket in found if socket is not None and not socket.closed}


def _open_files(folder: Path) -> list[str]:
    return [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(folder)]


@pytest.fixture
def no_leaks(tmp_path: Path) -> Iterator[None]:
    """Fail if a test leaves a ZeroMQ socket, a thread, or a file of its own open."""
    threads, sockets = set(threading.enumerate()), _open_sockets()
    yield
    gc.collect()
    wait_until(lambda: _open_sockets() <= sockets, what="the end of all sockets")
    wait_until(lambda: set(threading.enumerate()) <= threads, what="the end of all threads")
    assert _open_files(tmp_path.resolve()) == [], "files were left open"


@pytest.fixture
def open_log(no_leaks: None) -> Iterator[Callable[..., Log]]:  # noqa: ARG001 - it looks after us
    """Open a log; those that the test does not close are closed at its end."""
    logs: list[Log] = []

    def make(path: Path, **options: Any) -> Log:
        logs.append(Log(path, **{"keep_newest": STATE_TOPICS, **options}))
        return logs[-1]

    yield make
    for log in logs:
        if is_open(log):
            log.close()


@pytest.fixture
def loop(no_leaks: None) -> Iterator[Loop]:  # noqa: ARG001 - it looks after us
    """Yield a loop for the test's own thread."""
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def serve(no_leaks: None) -> Iterator[Callable[..., Service]]:  # noqa: ARG001 - it looks after us
    """Start services; those that the test does not stop are stopped at its end."""
    services: list[Service] = []

    def make(*args: object, **options: object) -> Service:
        services.append(Service(*args, **options))  # type: ignore[arg-type]  # as declared there
        return services[-1]

    yield make
    for service in services:
        service.stop()


@pytest.fixture
def subscribe(no_leaks: None) -> Iterator[Callable[..., Subscriber]]:  # noqa: ARG001 - it looks after us
    """Make subscribers, which are closed at the end."""
    subscribers: list[Subscriber] = []

    def make(*args: object, **options: object) -> Subscriber:
        subscribers.append(Subscriber(*args, **options))  # type: ignore[arg-type]  # as declared there
        return subscribers[-1]

    yield make
    for subscriber in subscribers:
        subscriber.close()
