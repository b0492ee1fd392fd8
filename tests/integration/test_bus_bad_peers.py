"""What arrives at open ports: garbage, half handshakes, floods. Others are served on, and none of it gets through."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil
import pytest
import zmq

from bus.config.limits import DEFAULT_LIMITS
from bus.protocol.addresses import Address
from bus.protocol.control import REQUEST_LIMIT, InfoReply, error_decoder
from bus.subscriber.sync import Subscriber
from bus.telemetry.logging import REPEATS_A_MINUTE
from bus.transport import handshakes
from bus.transport.client import request
from bus.transport.handshakes import NO_ZMTP, Handshakes
from bus.transport.handshakes import OTHER_MECHANISM as OTHER
from bus.transport.keys import Keys
from tests.support.helpers import PATIENCE, TIME_FACTOR, Service, answers, collect, deadline, names, wait_until
from tests.support.zmtp_peer import Peer, connected, frame, greeting, ready

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
HANDSHAKE_SECONDS = 5.0
NOT_LONG = 1.0 * TIME_FACTOR
QUEUED = 16
TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(160)
ZMTP_1 = b"\x01\x00" + b"\x05\x00info"
ZMTP_2 = b"\xff" + b"\0" * 7 + b"\x01\x7f\x01\x02\x00\x00" + b"\x00\x04info"
GARBAGE = {
    "http": [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    "tls": [TLS_HELLO],
    "zmtp 1": [ZMTP_1],
    "zmtp 2": [ZMTP_2],
    "zmtp 9": [greeting(version=b"\x09\x00"), ready(b"DEALER")],
    "plain": [greeting(b"PLAIN")],
    "unknown mechanism": [greeting(b"SESAME")],
    "no mechanism": [greeting(b"")],
    "wrong peer type": [greeting(), ready(b"PUSH"), frame(b"info")],
    "no ready": [greeting(), frame(b"1", more=True), frame(b"info", more=True), frame(b"")],
    "ready that lies": [greeting(), b"\x04\x20\x05READY\xff\xff\xff\xff"],
    "a frame of 2^63 bytes": [greeting(), ready(b"DEALER"), b"\x02\x7f\xff\xff\xff\xff\xff\xff\xff"],
    "a frame of 8 GiB": [greeting(), ready(b"SUB"), b"\x02\0\0\0\x02\0\0\0\0"],
    "zeros": [bytes(5000)],
    "ones": [b"\xff" * 5000],
}


@pytest.fixture(params=["open", "with keys"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Keys | None:
    """Return no keys, then keys: each thing happens to a publisher without and with CURVE."""
    return Keys.generate(tmp_path / "keys") if request.param == "with keys" else None


@pytest.fixture
def service(serve: Serve, tmp_path: Path, keys: Keys | None) -> Service:
    """Start a publisher."""
    return serve(tmp_path / "test.sqlite", keys=keys)


@pytest.fixture
def witness(subscribe: Subscribe, service: Service, keys: Keys | None) -> Iterator[Callable[[], None]]:
    """Yield a check that a subscriber which was there before, and a client that comes now, are served on."""
    subscriber = subscribe([service.address], keys=keys)
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    numbers = itertools.count()

    def check() -> None:
        name = next(numbers)
        service.append(("a.", name))
        assert names(collect(subscriber, 1)) == [str(name)]
        assert ask(service, keys).head == name + 1

    yield check
    check()


def ask(service: Service, keys: Keys | None) -> InfoReply:
    """Ask as a client that has just come."""
    return request(service.address, "info", {}, InfoReply, PATIENCE * TIME_FACTOR, keys=keys)


def ports(service: Service) -> tuple[Address, Address]:
    """Return both ports."""
    return service.publisher.feed, service.publisher.control


def heard(service: Service) -> tuple[int, int]:
    """Count what got through to the application and was not one of our own questions."""
    methods = service.publisher.methods
    found = answers(methods)
    return sum(found.values()) - found["ok"] - found["dropped"], found["dropped"]


@pytest.mark.fault(item="F44")
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_gets_nowhere(
    service: Service, witness: Callable[[], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is neither a request nor a subscription, and not worth a line in the log."""
    with ExitStack() as stack:
        for address in ports(service):
            stack.enter_context(Peer(address, *GARBAGE[name]))
        witness()

    assert heard(service) == (0, 0)
    assert [record.getMessage() for record in caplog.records if record.name != handshakes.logger.name] == []


@pytest.mark.fault(item="F45")
def test_half_open_handshakes_are_ended(service: Service, witness: Callable[[], None]) -> None:
    """Silence, half a greeting, a greeting and no more, on both ports: closed after the handshake's time."""
    mechanism = b"CURVE" if service.publisher.authenticator else b"NULL"
    beginnings = [b"", b"\xff", greeting(mechanism)[:40], greeting(mechanism), greeting(mechanism) + b"\x04"]
    with ExitStack() as stack:
        peers = [
            stack.enter_context(Peer(address, beginning))
            for address in ports(service)
            for beginning in beginnings
            for _ in range(10)
        ]
        witness()
        limit = deadline(HANDSHAKE_SECONDS + PATIENCE)
        assert all(peer.is_cut(limit.left / TIME_FACTOR) for peer in peers)

    assert heard(service) == (0, 0)


@pytest.mark.fault(item="F15")
def test_connections_that_come_and_go_leave_nothing_behind(service: Service, witness: Callable[[], None]) -> None:
    """Descriptors return to what they were, whatever was sent before the end."""
    process = psutil.Process()
    before = process.num_fds()
    for number in range(600):
        address = ports(service)[number % 2]
        with Peer(address, *(greeting(), ready(b"SUB" if number % 2 else b"DEALER"))[: number % 3]):
            pass
    witness()

    wait_until(lambda: process.num_fds() <= before + 4, what="the end of all connections")


@pytest.mark.fault(item="B1")
@pytest.mark.parametrize("keys", [None])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 50, 1000])
def test_any_number_of_frames_is_dropped_and_counted(
    service: Service, witness: Callable[[], None], count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Only three are a request; of the others no more than these are kept, and one line is written."""
    frames = [frame(b"secret", more=number < count) for number in range(1, count + 1)] or [frame(b"")]
    with connected(service.publisher.control, b"DEALER") as peer:
        peer.send(*frames, *frames)
        wait_until(lambda: answers(service.publisher.methods)["dropped"] == 2, what="both")
        witness()

    assert {record.getMessage() for record in caplog.records} <= {
        "a request of 127.0.0.1 was dropped: it has not the three frames id, method and parameters"
    }


@pytest.mark.parametrize("keys", [None])
def test_what_is_wrong_in_a_request_is_answered(service: Service, witness: Callable[[], None]) -> None:
    """Unknown methods, wrong types, deep nesting, lengths that lie, bytes that are no msgpack: each has its code."""
    wrong = {
        b"": b"",
        b"\xff\xfe": b"",
        b"x" * 100_000: b"",
        b"info\n": b"",
        b"info": msgspec.msgpack.encode({"secret": 1}),
        b"check": msgspec.msgpack.encode({"after": 2**63}),
        b"fetch": b"\x91" * 100_000,
        b"latest": b"\x81\xa6prefix" + b"\x91" * 100_000,
        b"heartbeat": b"\xc1",
    }
    params = [
        b"\xdf\xff\xff\xff\xff",  # a map of 2^32-1
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\x81\xa6prefix\xa1\xff",  # no UTF-8
        msgspec.msgpack.encode({"prefix": "no dot"}),
        msgspec.msgpack.encode({"after": -1}),
        msgspec.msgpack.encode({"limit": 1.5}),
        msgspec.msgpack.encode({"prefix": None}),
        msgspec.msgpack.encode([]),
        b"\x80\x80",
    ]
    with connected_dealer(service) as dealer:
        for method, body in [*wrong.items(), *((b"fetch", one) for one in params)]:
            dealer.send_multipart([b"7", method, body])
            request_id, status, error = dealer.recv_multipart()
            assert (request_id, status) == (b"7", b"error"), (method[:20], body[:20])
            assert error_decoder.decode(error).code in ("invalid_request", "unknown_method")
            assert len(error) < 1000
    witness()
    assert heard(service) == (len(wrong) + len(params), 0)


@pytest.mark.fault(item="F42")
@pytest.mark.fault(item="B17")
@pytest.mark.fault(item="B18")
@pytest.mark.parametrize("keys", [None])
def test_a_frame_over_the_limit_cuts_its_sender_off(service: Service, witness: Callable[[], None]) -> None:
    """On the feed a kilobyte is enough for a subscription; on control it is the limit of a request."""
    feed, control = ports(service)
    for address, kind, size in ((feed, b"SUB", 1025), (control, b"DEALER", REQUEST_LIMIT + 1)):
        with connected(address, kind) as peer:
            peer.send(b"\x02" + size.to_bytes(8, "big"))
            assert peer.is_cut(PATIENCE)
    witness()
    assert heard(service) == (0, 0)


@pytest.mark.fault(item="F43")
@pytest.mark.parametrize("keys", [None])
def test_a_flood_of_requests_delays_others_by_little(
    service: Service, witness: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Peers take turns, and the loop looks at other things in between; replies that nobody reads are dropped."""
    flood = b"".join((frame(b"1", more=True), frame(b"latest", more=True), frame(b"")))
    broken = frame(b"secret")
    methods = service.publisher.methods
    with connected(service.publisher.control, b"DEALER") as peer:

        def send() -> None:
            while peer.send((flood + broken) * 100):
                pass

        sender = threading.Thread(target=send)
        sender.start()
        try:
            wait_until(lambda: answers(methods)["ok"] > DEFAULT_LIMITS.requests_a_turn, what="the flood")
            for _ in range(5):
                witness()
        finally:
            peer.socket.shutdown(socket.SHUT_RDWR)
            sender.join()
    assert answers(methods)["dropped"] > DEFAULT_LIMITS.requests_a_turn // 2
    assert len(caplog.records) <= 2 * REPEATS_A_MINUTE


@pytest.mark.parametrize("keys", [None])
def test_requests_wait_at_their_sender_while_the_service_is_busy(service: Service, witness: Callable[[], None]) -> None:
    """Sixteen of them are taken in, whatever their size; the others cost the service nothing."""
    params = bytes(REQUEST_LIMIT)
    large = frame(b"1", more=True) + frame(b"fetch", more=True) + frame(params)
    with service.busy(), connected(service.publisher.control, b"DEALER") as peer:
        peer.socket.settimeout(NOT_LONG)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 10 * QUEUED:
                peer.socket.sendall(large)
                sent += 1
        assert QUEUED <= sent <= 2 * QUEUED  # and what the kernel keeps
    witness()


@pytest.mark.fault(item="F43")
@pytest.mark.fault(item="B23")
@pytest.mark.parametrize("keys", [None])
def test_subscriptions_without_number_and_messages_to_the_feed_reach_nobody(
    service: Service, witness: Callable[[], None]
) -> None:
    """A peer may subscribe to what it likes, end what it never began, and talk to a socket that only speaks."""
    with connected(service.publisher.feed, b"SUB") as peer:
        for start in range(0, 20_000, 1000):
            peer.send(*(frame(b"\x01nothing.%d." % number) for number in range(start, start + 1000)))
        peer.send(*(frame(b"\x00never.%d." % number) for number in range(1000)))
        peer.send(frame(b"\x01" + b"x" * 1000), frame(b"\x02what"), frame(b""), *[frame(b"talk")] * 1000)
        witness()


@pytest.mark.fault(item="B24")
@pytest.mark.parametrize("keys", [None])
def test_a_socket_of_the_wrong_kind_hurts_only_itself(service: Service, witness: Callable[[], None]) -> None:
    """A SUB at the control port, a DEALER at the feed."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    feed, control = ports(service)
    with context.socket(zmq.SUB) as sub, context.socket(zmq.DEALER) as dealer:
        sub.linger = dealer.linger = 0
        sub.connect(str(control))
        sub.subscribe(b"")
        dealer.connect(str(feed))
        dealer.send_multipart([b"1", b"info", b""])
        witness()
        assert not sub.poll(0)
        assert not dealer.poll(0)


def test_a_curve_handshake_that_is_broken_off_or_forged_is_nobody(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A HELLO of the right length and nothing behind it, and one with a wrong signature."""
    keys = Keys.generate(tmp_path / "keys")
    service = serve(tmp_path / "test.sqlite", keys=keys)
    hello = b"\x05HELLO\x01\x00" + bytes(72) + bytes(32) + bytes(8) + bytes(80)
    command = bytes([4, len(hello)]) + hello
    with ExitStack() as stack:
        for address in ports(service):
            for sent in (command, command * 3, command[:50], b"\x04\x08\x07INITIATE", bytes([4, 5]) + b"\x04QUIT"):
                stack.enter_context(Peer(address, greeting(b"CURVE"), sent))
        assert ask(service, keys).head == 0

    gate = service.publisher.authenticator
    assert gate
    assert (gate.admitted, gate.denied) == (1, 0)
    assert heard(service) == (0, 0)
    assert [record.getMessage() for record in caplog.records if record.name != handshakes.logger.name] == []


def connected_dealer(service: Service) -> zmq.Socket[bytes]:
    """Make a DEALER that fails instead of waiting forever."""
    dealer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    dealer.linger, dealer.rcvtimeo = 0, int(PATIENCE * TIME_FACTOR * 1000)
    dealer.connect(service.address)
    return dealer


def test_a_port_scan_is_survived(service: Service, witness: Callable[[], None]) -> None:
    """Connections that are reset at once, before the greeting is sent."""
    for number in range(200):
        with socket.create_connection(ports(service)[number % 2]) as scanner:
            scanner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    witness()
    assert heard(service) == (0, 0)


@pytest.mark.fault(item="F48")
@pytest.mark.parametrize("keys", [None])
@pytest.mark.parametrize("requests", [10, 200], ids=["all taken in", "more than that"])
def test_requests_of_clients_that_are_gone_are_not_answered(
    service: Service, witness: Callable[[], None], requests: int
) -> None:
    """They were taken in before the connection was reset, while the service was busy with something else.

    If all were, libzmq has closed the connection, and its descriptor is that of another client now.
    """
    with service.busy() as free:
        peer = connected(service.publisher.control, b"DEALER")
        peer.send((frame(b"1", more=True) + frame(b"fetch", more=True) + frame(b"")) * requests)
        other = peer.taken_in()
        peer.reset()
        wait_until(other.is_closed if requests < QUEUED else other.is_broken, what="the end of the connection")
        with connected(service.publisher.control, b"DEALER"):
            free.set()
            witness()
    dropped, answered = service.publisher.methods._dropped, service.publisher.methods._answered
    wait_until(lambda: dropped["orphaned"] + answered["fetch", "ok"] == requests, what="all requests")
    assert dropped["orphaned"] == requests


@pytest.mark.fault(item="F44")
@pytest.mark.parametrize("keys", [None])
@pytest.mark.parametrize(
    ("sent", "reason"),
    [(greeting(version=b"\x01\x05")[:12], NO_ZMTP), (b"GET / HTTP/1.1\r\n\r\n", NO_ZMTP), (greeting(b"CURVE"), OTHER)],
    ids=["zmtp 2", "http", "other mechanism"],
)
def test_the_log_tells_who_was_refused(
    service: Service,
    sent: bytes,
    reason: str,
    witness: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the address, which is what its owner looks for; it speaks when it is known who has connected."""
    accepted, accept = list[str](), Handshakes.accept

    def noted(self: Handshakes, descriptor: int, address: str) -> None:
        accept(self, descriptor, address)
        accepted.append(address)

    monkeypatch.setattr(Handshakes, "accept", noted)
    for address in ports(service):
        with socket.create_connection(address) as peer:
            own = "{}:{}".format(*peer.getsockname())
            wait_until(lambda wanted=own: wanted in accepted, what=f"the connection of {own}")  # type: ignore[misc]
            peer.sendall(sent)
            text = f"{own} was refused at port {address.port}: {reason}"
            wait_until(lambda wanted=text: wanted in caplog.messages, what=text)  # type: ignore[misc]
    witness()
    assert len(caplog.messages) == 2
