"""Peers that read nothing when their connections break: no process dies of it, others are served, and nothing is lost.

`make stall STALL_SECONDS=600` lets both last longer: so many seconds of floods, and a subscriber that is 100,000 events
behind while its publisher is killed 50 times.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import pytest

from bus.protocol.addresses import Address, parse_address
from bus.protocol.control import InfoReply
from bus.transport import sockets
from bus.transport.client import request
from bus.transport.keys import Keys, curve_for
from bus.transport.sockets import CurveClient
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.key_folders import enrol
from tests.support.publisher_process import PublisherProcess
from tests.support.tcp_proxy import Proxy
from tests.support.workspace import COMMAND_SECONDS, VARIANTBUS, Running, Workspace
from tests.support.zmtp_peer import connected, frame

SECONDS: Final = float(os.environ.get("STALL_SECONDS", "3"))
LONG: Final = SECONDS >= 60
RESTARTS: Final = 50 if LONG else 1
EVENTS_EACH: Final = 2000 if LONG else 20_000  # more than sockets and queues take, by the end
HEARTBEAT_SECONDS: Final = 2.5  # in which a socket with heartbeats of ZMTP, two seconds apart, would have died of one
MEMORY_LIMIT: Final = 600 << 20  # replies that four clients do not read: 128 pages of a mebibyte each
QUIET_SECONDS: Final = 20.0  # after a flood, until all is as before
QUIET_MEMORY: Final = 100 << 20  # more than before: pieces of its heap that the C library keeps
BUSY: Final = """
import sys, time
from pathlib import Path
from bus import Start, Subscriber

expected = 1
with Subscriber([sys.argv[1]], start=Start.BEGINNING) as subscriber:
    for event in subscriber:
        assert event.offset == expected, (event.offset, expected)
        expected += 1
        if event.offset == 1:
            print("busy", flush=True)
            while not Path(sys.argv[2]).exists():
                time.sleep(0.05)
        if event.offset == int(sys.argv[3]):
            break
print("done")
"""


@pytest.mark.exhaustive
@pytest.mark.fault(item="F48")
@pytest.mark.timeout(0 if LONG else 120)
def test_subscribers_that_read_nothing_outlive_their_publisher_and_have_everything_later(workspace: Workspace) -> None:
    """A handler that is busy, and `tail` into a pipe that nobody reads, while the publisher is killed and restarted."""
    publisher, free = PublisherProcess(workspace), workspace.folder / "free"
    total = RESTARTS * EVENTS_EACH + 1
    publisher.publish(1)
    busy = workspace.start("busy", sys.executable, "-c", BUSY, publisher.address, str(free), str(total))
    with unread_tail(workspace, publisher.address, total) as tail:
        busy.wait_for_line("busy")
        for _ in range(RESTARTS):
            feed = parse_address(request(publisher.address, "info", {}, InfoReply).feed)
            for pid in (busy.popen.pid, tail.pid):
                wait_until(lambda one=pid, port=feed.port: has_connection(one, port), what="a connection")  # type: ignore[misc]
            for _ in range(EVENTS_EACH // 1000):
                publisher.publish(1000, 500)
            publisher.process.kill()
            broken = time.monotonic()
            publisher.start()
        # nothing to wait for: what is to be seen is that nothing happens
        time.sleep(max(0.0, broken + HEARTBEAT_SECONDS - time.monotonic()))
        assert busy.lives, busy.errors()
        assert tail.poll() is None, tail.communicate()[1]

        free.touch()
        assert busy.wait(COMMAND_SECONDS) == 0, busy.errors()
        text, errors = tail.communicate(timeout=COMMAND_SECONDS * TIME_FACTOR)

    assert tail.returncode == 0, errors
    assert [json.loads(line)["offset"] for line in text.splitlines()] == list(range(1, total + 1))


def has_connection(pid: int, port: int) -> bool:
    """Return whether a process is connected to a port."""
    some = psutil.Process(pid).net_connections("tcp")
    return any(one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port for one in some)


@contextmanager
def unread_tail(workspace: Workspace, address: str, count: int) -> Iterator[subprocess.Popen[str]]:
    """Run `tail` until it has printed so many events; its output is read by nobody."""
    words = [VARIANTBUS, "tail", "--from", address, "--all", "--json", "--count", str(count)]
    tail = subprocess.Popen(
        words,
        env=workspace.environment,
        cwd=workspace.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield tail
    finally:
        tail.kill()
        tail.communicate()


def rude_requests() -> bytes:
    """Return requests of all reading kinds, more of them than a service takes in at once."""
    kinds = [(b"fetch", b""), (b"latest", b""), (b"info", b"")]
    return b"".join(
        frame(b"1", more=True) + frame(method, more=True) + frame(params)
        for method, params in (random.choice(kinds) for _ in range(200))  # noqa: S311 - no secret
    )


def flood_by_resets(address: Address, ended: threading.Event) -> None:
    """Ask much, read nothing, and reset the connection, again and again; without keys."""
    while not ended.is_set():
        with connected(address, b"DEALER") as peer:
            peer.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):  # the service takes no more, as it should
                peer.send(rude_requests())
            ended.wait(random.uniform(0, 0.1))  # noqa: S311 - no secret
            peer.reset()


def flood_by_keys(proxy: Proxy, curve: CurveClient, ended: threading.Event) -> None:
    """Do the same with a key, through a proxy that resets its connections.

    They are closed when they have connected again: libzmq 4.3.5 aborts a client whose connection breaks amid a message
    just while its socket is being closed.
    """
    while not ended.is_set():
        known = proxy.connections
        dealers = [sockets.connect_control(str(proxy.address), curve) for _ in range(3)]
        wait_until(lambda: proxy.connections >= known + 3, what="connections")  # noqa: B023 - called at once
        for _ in range(300):
            for dealer in dealers:
                sockets.send_frames(dealer, [b"1", random.choice((b"fetch", b"latest", b"info")), b""])  # noqa: S311
        ended.wait(random.uniform(0.05, 0.3))  # noqa: S311 - no secret
        proxy.reset_all()
        wait_until(lambda: proxy.connections >= known + 6, what="connections again")  # noqa: B023
        for dealer in dealers:
            dealer.close(0)


@contextmanager
def flooding(*floods: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run floods in threads."""
    ended = threading.Event()
    threads = [threading.Thread(target=flood, args=(ended,)) for flood in floods]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE * TIME_FACTOR)


class Footprint(NamedTuple):
    """What a process has of the system: resident bytes, and descriptors."""

    memory: int
    descriptors: int


def footprint(service: Running) -> Footprint:
    """Return that of a service."""
    process = psutil.Process(service.popen.pid)
    return Footprint(process.memory_info().rss, process.num_fds())


def check_answers(service: Running, address: str, keys: Keys | None = None) -> None:
    """Ask for `STALL_SECONDS`: a patient client is answered all the time, by the same process, which stays small."""
    waits: list[float] = []
    most = Footprint(0, 0)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        began = time.monotonic()
        request(address, "info", {}, InfoReply, PATIENCE * TIME_FACTOR, keys=keys)
        waits.append(time.monotonic() - began)
        assert service.lives, service.errors()
        most = Footprint(*map(max, most, footprint(service)))
        assert most.memory < MEMORY_LIMIT
        time.sleep(0.02)
    waits.sort()
    middle, longest = 1000 * waits[len(waits) // 2], 1000 * waits[-1]
    show(f"{len(waits)} requests in {SECONDS:g} s of floods: p50 {middle:.0f} ms, max {longest:.0f} ms", most)


def check_quiet(service: Running, before: Footprint) -> None:
    """After a flood, nothing of those clients is left."""
    began = time.monotonic()
    wait_until(lambda: footprint(service).descriptors <= before.descriptors, QUIET_SECONDS, what="no client left")
    show(f"no client is left after {time.monotonic() - began:.1f} s", footprint(service))
    assert footprint(service).memory < before.memory + QUIET_MEMORY


def show(text: str, found: Footprint) -> None:
    """Tell it who runs `make stall`."""
    print(f"{text}; {found.memory >> 20} MiB and {found.descriptors} descriptors")  # noqa: T201


@pytest.mark.exhaustive
@pytest.mark.fault(item="F48")
@pytest.mark.timeout(0 if LONG else 120)
def test_a_service_outlives_floods_of_requests_by_clients_that_are_reset(workspace: Workspace) -> None:
    """They send `fetch`, `latest` and `info` faster than they are answered, read nothing, and are gone."""
    publisher = PublisherProcess(workspace)
    publisher.publish(2000, 500)
    address, before = parse_address(publisher.address), footprint(publisher.process)
    with flooding(*[lambda ended: flood_by_resets(address, ended)] * 4):
        check_answers(publisher.process, publisher.address)
    check_quiet(publisher.process, before)
    assert publisher.process.terminate() == 0


@pytest.mark.exhaustive
@pytest.mark.fault(item="F48")
@pytest.mark.timeout(0 if LONG else 120)
def test_a_service_with_keys_outlives_floods_by_a_key_that_may_only_read(workspace: Workspace, tmp_path: Path) -> None:
    """As without keys; the connections are encrypted, and reset by a proxy."""
    own, reader = Keys.generate(tmp_path / "own"), Keys.generate(tmp_path / "reader")
    enrol(own, "read", reader.public)
    runner = workspace.runner("--keys", str(own.folder))
    (reader.folder / "peers").write_text(f"server 127.0.0.1 {own.public}\n", encoding="utf-8")
    reader = Keys.load(reader.folder)
    curve = curve_for(reader, runner.control)
    assert curve
    before = footprint(runner.process)
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(contextlib.closing(Proxy(parse_address(runner.control)))) for _ in range(2)]
        with flooding(*[lambda ended, one=proxy: flood_by_keys(one, curve, ended) for proxy in proxies]):
            check_answers(runner.process, runner.control, reader)
        check_quiet(runner.process, before)
    assert runner.terminate() == 0
