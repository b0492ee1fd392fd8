"""What a hostile peer costs a service as a process: memory, descriptors, and how long others wait."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec
import psutil
import pytest

from bus.protocol.addresses import Address, parse_address
from bus.protocol.control import REQUEST_LIMIT, ControlError, InfoReply
from bus.transport.client import request
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.workspace import ServiceProcess, Workspace
from tests.support.zmtp_peer import Peer, connected, frame

FLOOD_SECONDS: Final = 1.0
MEGABYTE: Final = 1 << 20
DESCRIPTORS: Final = 60


@pytest.fixture
def runner(workspace: Workspace) -> ServiceProcess:
    """Start a runner."""
    return workspace.runner()


def memory(service: ServiceProcess) -> int:
    """Return the resident bytes of a service."""
    return int(psutil.Process(service.process.popen.pid).memory_info().rss)


def answers(service: ServiceProcess, seconds: float = PATIENCE * TIME_FACTOR) -> bool:
    """Return whether it answers a client that has just come."""
    try:
        request(service.control, "info", {}, InfoReply, seconds)
    except ControlError:
        return False
    return True


@contextmanager
def flood(address: Address, kind: bytes, data: Callable[[], bytes]) -> Iterator[None]:
    """Send without end, and read nothing."""
    with connected(address, kind) as peer:

        def send() -> None:
            while peer.send(data()):
                pass

        thread = threading.Thread(target=send)
        thread.start()
        try:
            time.sleep(FLOOD_SECONDS)  # no condition to wait for: the flood itself is what is to happen
            yield
        finally:
            peer.socket.shutdown(socket.SHUT_RDWR)
            thread.join()


def a_large_request() -> bytes:
    """Return a request of the greatest size, whose parameters make no sense."""
    params = msgspec.msgpack.encode({"x": "y" * (REQUEST_LIMIT - 100)})
    return frame(b"1", more=True) + frame(b"fetch", more=True) + frame(params)


def test_large_requests_wait_at_their_sender(runner: ServiceProcess) -> None:
    """At most 16 of 4 MiB are here at a time; others are answered meanwhile."""
    before = memory(runner)
    request_bytes = a_large_request()
    with flood(parse_address(runner.control), b"DEALER", lambda: request_bytes):
        assert answers(runner)
        assert memory(runner) - before < 16 * REQUEST_LIMIT + 100 * MEGABYTE


def test_replies_that_nobody_reads_are_dropped(runner: ServiceProcess) -> None:
    """At most 128 of them wait, whatever was asked."""
    before = memory(runner)
    small = (frame(b"1", more=True) + frame(b"pipelines", more=True) + frame(b"")) * 100
    with flood(parse_address(runner.control), b"DEALER", lambda: small):
        assert answers(runner)
        assert memory(runner) - before < 100 * MEGABYTE


def test_a_flood_of_subscriptions_costs_what_their_text_needs(runner: ServiceProcess) -> None:
    """There is no limit to their number, so this is for peers that are known; publishing goes on."""
    before = memory(runner)
    with flood(
        parse_address(runner.feed), b"SUB", lambda: b"".join(frame(b"\x01" + os.urandom(16)) for _ in range(100))
    ):
        assert answers(runner)
        assert memory(runner) - before < 500 * MEGABYTE


def test_a_service_without_descriptors_serves_those_it_has_and_recovers(runner: ServiceProcess) -> None:
    """Newcomers wait in the kernel's queue until one is free; nothing is lost and nothing ends."""
    process = psutil.Process(runner.process.popen.pid)
    _, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    control = parse_address(runner.control)
    with ExitStack() as stack:
        known = stack.enter_context(connected(control, b"DEALER"))
        known.send(frame(b"1", more=True), frame(b"info", more=True), frame(b""))
        wait_until(lambda: b"runner" in known.socket.recv(65_536), what="the first answer")
        process.rlimit(psutil.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        for _ in range(2 * DESCRIPTORS):
            stack.enter_context(Peer(control))
        wait_until(lambda: process.num_fds() >= DESCRIPTORS, what="the last descriptor")

        known.send(frame(b"2", more=True), frame(b"info", more=True), frame(b""))

        wait_until(lambda: b"runner" in known.socket.recv(65_536), what="the answer to one who was there")
        assert not answers(runner, 0.3 * TIME_FACTOR)
    assert answers(runner)
    assert runner.terminate() == 0
