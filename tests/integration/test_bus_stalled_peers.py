"""A peer that does not read must not end a process: what libzmq does when its connection breaks is tested in one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from bus.protocol.addresses import Address
from bus.protocol.control import InfoReply
from bus.transport import sockets
from bus.transport.client import request
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, Service, wait_until
from tests.support.zmtp_peer import connected, frame

ROOT: Final = Path(__file__).parents[2]
EVENT: Final = b"x" * 1000
LIMIT: Final = 1000  # messages that the subscriber's socket takes
# longer than the heartbeats of ZMTP would be apart, if a socket had them again
PAUSE_SECONDS: Final = 3.0
FETCH: Final = frame(b"1", more=True) + frame(b"fetch", more=True) + frame(b"")
REQUEST: Final = frame(b"1", more=True) + frame(b"info", more=True) + frame(b"")
STALLED: Final = f"""
import sys
from bus.transport import sockets
socket = sockets.connect_feed(sys.argv[1], high_water={LIMIT})
socket.subscribe(b"")
print("connected", flush=True)
sys.stdin.readline()
"""
BUSY: Final = """
import sys
from bus.protocol.addresses import Address
from bus.transport import sockets
socket, address = sockets.bind_control(Address("127.0.0.1", 0))
print(address.port, flush=True)
socket.poll()
print("requests have arrived", flush=True)
sys.stdin.readline()  # they are taken in up to the limit meanwhile
count = 0
while socket.poll(1000):
    while sockets.receive_request(socket, 3, secure=False):
        count += 1
print(count)
"""


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program of a few lines, which waits for a line on stdin; it does not outlive the block."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def line_of(child: subprocess.Popen[str]) -> str:
    """Return the next line that a child writes."""
    assert child.stdout
    return child.stdout.readline().strip()


def ends_within(child: subprocess.Popen[str], seconds: float) -> bool:
    """Return whether a process ends in so many seconds."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.fault(item="F48")
def test_a_subscriber_at_its_receive_limit_outlives_its_publisher() -> None:
    """Its connection breaks while nothing is read from it; libzmq aborted the process at the next heartbeat of ZMTP."""
    feed, address = sockets.bind_feed(LOCALHOST)
    try:
        with running(STALLED, str(address)) as child:
            assert line_of(child) == "connected"
            for _ in range(20):  # until long after its subscription is active, and both sides are full
                for _ in range(2 * LIMIT):
                    sockets.send_pair(feed, b"a.", EVENT)
                assert not ends_within(child, 0.05)
            feed.close(0)
            assert not ends_within(child, PAUSE_SECONDS), child.communicate()[1]
            _, errors = child.communicate("end\n", timeout=10 * TIME_FACTOR)
            assert child.returncode == 0, errors
    finally:
        feed.close(0)


@pytest.mark.fault(item="F48")
def test_a_busy_service_outlives_clients_that_ask_much_and_leave() -> None:
    """Their connections are reset while more of their requests wait than are taken in."""
    with running(BUSY) as child:
        port = int(line_of(child))
        clients = [connected(Address(LOCALHOST.host, port), b"DEALER") for _ in range(10)]
        for client in clients:
            client.send(REQUEST * 100)
        assert line_of(child) == "requests have arrived"
        assert not ends_within(child, 0.2)
        for client in clients:
            client.reset()
        assert not ends_within(child, PAUSE_SECONDS), child.communicate()[1]
        counted, errors = child.communicate("read\n", timeout=10 * TIME_FACTOR)
    assert child.returncode == 0, errors
    assert int(counted) > 0


@pytest.mark.fault(item="F48")
def test_what_a_client_asks_that_does_not_read_is_not_carried_out(
    serve: Callable[..., Service], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bounded number of replies waits for it, the log tells who it is, and others are served."""
    service = serve(tmp_path / "log.db")
    service.append(("a.", "x" * 100_000))
    publisher, count = service.publisher, 1000
    answered = publisher.methods._answered
    with connected(publisher.control, b"DEALER") as client:
        client.send(FETCH * count)
        wait_until(lambda: answered["fetch", "ok"] + publisher._replies_dropped == count, what="the end of them")
        assert answered["fetch", "ok"] < count / 2
        request(service.address, "info", {}, InfoReply, PATIENCE * TIME_FACTOR)
    assert "127.0.0.1 does not read its replies: a request was dropped" in caplog.messages
