"""Faults of whole processes: stopped, out of descriptors, restarted before a crowd, with a clock that jumps."""

import resource
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil
import pytest

from bus.protocol.addresses import parse_address
from bus.subscriber.delivery import Delivery, Start
from bus.subscriber.sync import Subscriber
from bus.transport.loop import Loop
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import TIME_FACTOR, Deadline, wait_until
from tests.support.invariants import (
    RECOVERY_SECONDS,
    Seen,
    check_bounds,
    check_never_reused,
    check_subscriber,
    read_log,
    seen,
)
from tests.support.publisher_process import SUPPORT, PublisherProcess
from tests.support.recorder import read
from tests.support.workspace import Running, Workspace, view_of

CROWD: Final = 200


def record(workspace: Workspace, name: str, publisher: PublisherProcess) -> Running:
    """Start a subscriber process that stores what it gets."""
    arguments = [str(workspace.folder / f"{name}.db"), Start.BEGINNING.value, "", publisher.address]
    recorder = workspace.start(name, sys.executable, str(SUPPORT / "recorder.py"), *arguments)
    recorder.wait_for_line("ready")
    return recorder


def recorded(workspace: Workspace, name: str) -> list[Seen]:
    """Return what it has stored."""
    return [Seen(None, one.offset, one.topic, one.body) for one in read(workspace.folder / f"{name}.db")]


def wait_for_event(workspace: Workspace, name: str, offset: int) -> None:
    """Wait until a recorder has an event."""
    db = sqlite3.connect(f"file:{workspace.folder / name}.db?mode=ro", uri=True)
    statement = 'SELECT coalesce(max("offset"), 0) FROM events'
    try:
        wait_until(
            lambda: db.execute(statement).fetchone()[0] >= offset,
            2 * RECOVERY_SECONDS,
            what=f"event {offset} at {name}",
        )
    finally:
        db.close()


@pytest.mark.fault(item="F6")
def test_a_stopped_subscriber_costs_its_high_water_mark_and_holds_up_nobody(workspace: Workspace) -> None:
    """60 MB are published past it: the publisher stays small, others get all at once, and it fetches what it missed."""
    publisher = PublisherProcess(workspace)
    stopped = record(workspace, "stopped", publisher)
    record(workspace, "other", publisher)
    publisher.publish(1000, 1000)
    wait_for_event(workspace, "stopped", 1000)
    before = publisher.memory

    stopped.send(signal.SIGSTOP)
    for _ in range(60):
        head = publisher.publish(1000, 1000)
        assert publisher.memory < before + (48 << 20), "more than the high-water mark waits for it"
    wait_for_event(workspace, "other", head)
    stopped.send(signal.SIGCONT)
    wait_for_event(workspace, "stopped", head)

    log = read_log(publisher.address)
    for name in ("other", "stopped"):
        check_subscriber(recorded(workspace, name), log)
    check_bounds(publisher.pid, publisher.database)


@pytest.mark.fault(item="F14")
@pytest.mark.skipif(sys.platform != "linux", reason="no limits of another process can be set here")
def test_a_publisher_without_descriptors_serves_those_it_has(workspace: Workspace) -> None:
    """Whoever is connected is served on; when others have gone, new ones are too."""
    publisher = PublisherProcess(workspace)
    address = parse_address(publisher.address)
    with Subscriber([publisher.address], start=Start.BEGINNING) as subscriber:
        assert subscriber.wait_ready()
        process = psutil.Process(publisher.pid)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 4, 20_000))
        crowd = [socket.create_connection(address, timeout=5) for _ in range(30)]
        publishing = Subscriber([publisher.address])  # a new one, which cannot be ready now
        assert not publishing.wait_ready(0.5)
        assert subscriber.ready
        for one in crowd:
            one.close()
        assert publishing.wait_ready(RECOVERY_SECONDS * TIME_FACTOR)
        publishing.close()

        head = publisher.publish(10)

        found: list[Delivery] = []
        while len(found) < head:
            found += subscriber.receive(RECOVERY_SECONDS * TIME_FACTOR)
        check_subscriber(seen(found), read_log(publisher.address))


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.fault(item="F23")
def test_a_crowd_of_subscribers_follows_a_publisher_that_is_killed_and_started_again(
    workspace: Workspace,
    many_files: None,  # noqa: ARG001 - asked for what it does
) -> None:
    """200 subscribers connect anew with jitter, and all of them have everything soon after."""
    publisher = PublisherProcess(workspace)
    publisher.publish(500)
    loop = Loop()
    lists: list[list[Delivery]] = [[] for _ in range(CROWD)]
    crowd = [Subscriber([publisher.address], start=Start.BEGINNING, loop=loop, on_batch=one.extend) for one in lists]
    try:
        run(loop, lists, 500)
        publisher.process.kill()
        publisher.start()
        head = publisher.publish(100)

        run(loop, lists, head)

        log = read_log(publisher.address)
        for one in lists:
            check_subscriber(seen(one), log)
        check_never_reused(log, *(seen(one) for one in lists))
    finally:
        for subscriber in crowd:
            subscriber.close()
        loop.close()
    assert psutil.Process(publisher.pid).memory_info().rss < 200 << 20


def run(loop: Loop, lists: list[list[Delivery]], head: int) -> None:
    """Run a loop until every list has the last event: recovery has a limit."""
    limit = Deadline(2 * RECOVERY_SECONDS)  # as 200 of them share one core
    while not all(one and one[-1].offset >= head for one in lists):
        late = sum(not one or one[-1].offset < head for one in lists)
        assert not limit.passed, f"{late} of {len(lists)} have not caught up"
        loop.step(0.1)


def faketime() -> Path | None:
    """Find the library that changes what clocks say."""
    found = find_spec("libfaketime")
    folder = Path(found.origin).parent if found and found.origin else None
    return next(folder.rglob("libfaketime.so.1"), None) if folder else None


@pytest.mark.fault(item="F30")
@pytest.mark.skipif(faketime() is None, reason="needs libfaketime, which is for Linux")
def test_a_process_whose_wall_clock_jumps_beats_and_publishes_on(workspace: Workspace) -> None:
    """An hour ahead, an hour back, 1970 and 2040: heartbeats, timers and offsets take no notice."""
    moment = workspace.write("moment", "+0")
    environment = {
        "LD_PRELOAD": str(faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(moment),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    publisher = PublisherProcess(workspace, environment)
    with Subscriber([publisher.address], start=Start.BEGINNING) as subscriber:
        assert subscriber.wait_ready()
        found: list[Delivery] = []
        for jump in ("+3600", "-3600", "@1970-01-02 00:00:00", "@2040-01-01 00:00:00", "+0"):
            moment.write_text(jump, encoding="ascii")
            head = publisher.publish(5)
            limit = Deadline(RECOVERY_SECONDS)
            while len(found) < head:
                assert not limit.passed
                found += subscriber.receive(0.5)
            assert subscriber.ready
        check_subscriber(seen(found), read_log(publisher.address))
        years = {one.time_ns // (365 * 86_400 * 10**9) for one in found}
        assert {0, 70} <= years, "the clock did jump"
    assert publisher.process.terminate() == 0


@pytest.mark.fault(item="F7")
def test_a_publisher_under_load_ends_within_a_second_and_keeps_what_was_committed(workspace: Workspace) -> None:
    """SIGTERM while requests are under way: the one that is being answered is finished, and the status is 0."""
    publisher = PublisherProcess(workspace)
    head = 0
    for _ in range(20):
        head = publisher.publish(500, 500)

    assert publisher.process.terminate(1.0) == 0

    publisher.start()
    assert len(read_log(publisher.address)) == head


@pytest.mark.fault(item="F39")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no list of descriptors here")
def test_what_a_runner_starts_inherits_none_of_its_files_and_sockets(workspace: Workspace) -> None:
    """A program that outlives its runner holds neither the lock, nor the database, nor a port."""
    runner, learning = services(workspace)
    script = 'for one in /proc/self/fd/*; do readlink $one; done > "$3/open.txt"'
    experiment_id = submit(workspace, program(values=1, jobs=1, script=script))
    wait_until(lambda: view_of(learning, experiment_id).status == "completed", what="the end")

    listed = [path.read_text(encoding="utf-8") for path in runner.data.rglob("*.txt")]

    assert any("/dev/null" in text or "pipe:" in text for text in listed)
    for text in listed:
        assert "runner." not in text
        assert "socket:" not in text
