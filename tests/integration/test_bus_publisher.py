"""The publisher's sockets: readiness, abuse, and its end; and the asking half."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from bus.config.limits import DEFAULT_LIMITS
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.addresses import Address, AddressError
from bus.protocol.control import REQUEST_LIMIT, CheckReply, ControlError, ErrorBody, FetchReply, InfoReply, NoParams
from bus.protocol.frames import HeartbeatFrame, HeartbeatInfo, encode, encode_feed, heartbeat_decoder
from bus.protocol.validation import InvalidInputError
from bus.publisher import TRIM_GAP, Publisher
from bus.subscriber.sync import Subscriber
from bus.transport import sockets
from bus.transport.client import RequestClient, request
from bus.transport.loop import Loop
from bus.transport.sockets import BindError
from tests.support.helpers import (
    LOCALHOST,
    PATIENCE,
    REPLY_SECONDS,
    TIME_FACTOR,
    Service,
    append,
    collect,
    deadline,
    is_open,
    job,
    names,
    wait_until,
)

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
OpenLog = Callable[..., Log]
NOT_LONG = 0.1 * TIME_FACTOR


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.sqlite"


def publish(log: Log, loop: Loop, feed: Address = LOCALHOST, control: Address = LOCALHOST) -> Publisher:
    """Make a publisher in the test's own thread."""
    return Publisher(log, loop, service="test", version="1.0", feed=feed, control=control)


def info(address: str, timeout: float = PATIENCE) -> InfoReply:
    """Ask a service who it is."""
    return request(address, "info", {}, InfoReply, timeout * TIME_FACTOR)


@contextmanager
def listening(feed: str) -> Iterator[zmq.Socket[bytes]]:
    """Subscribe to the heartbeats of a feed."""
    listener = sockets.connect_feed(feed)
    listener.rcvtimeo = int(PATIENCE * TIME_FACTOR * 1000)
    listener.subscribe(topics.HEARTBEAT.encode())
    try:
        yield listener
    finally:
        listener.close()


def beat(listener: zmq.Socket[bytes]) -> HeartbeatFrame:
    """Receive a heartbeat."""
    return heartbeat_decoder.decode(listener.recv_multipart()[1])


@pytest.mark.fault(item="F22")
def test_a_taken_port_is_a_bind_error_that_says_what_to_do(
    serve: Serve, open_log: OpenLog, loop: Loop, path: Path
) -> None:
    """Neither socket stays open, whichever of the two is taken."""
    taken = serve(path).publisher
    log = open_log(path.with_name("second.sqlite"))

    with pytest.raises(BindError, match="it is taken; stop the other process"):
        publish(log, loop, feed=taken.feed)
    with pytest.raises(BindError, match="it is taken; stop the other process"):
        publish(log, loop, control=taken.control)


def test_a_host_that_is_not_ours_is_a_bind_error(open_log: OpenLog, loop: Loop, path: Path) -> None:
    """The text has the address."""
    with pytest.raises(BindError, match=r"cannot bind tcp://203\.0\.113\.1:1"):
        publish(open_log(path), loop, feed=Address("203.0.113.1", 1))


def test_heartbeats_come_by_themselves_and_say_when_the_publisher_closes(serve: Serve, path: Path) -> None:
    """Once a second, with the state of the log; the last one says that it closes."""
    service = serve(path)
    service.append(("a.", 1))
    with listening(str(service.publisher.feed)) as listener:
        first = beat(listener)
        service.stop()
        last = beat(listener)
        while not last.info.closing:
            last = beat(listener)

    assert (first.version, first.head, first.first) == (1, 1, 1)
    assert first.info == HeartbeatInfo(
        service="test", version="1.0", control=service.address, epochs=[(first.epoch, 0)]
    )


def test_many_wishes_for_a_heartbeat_are_granted_by_few(serve: Serve, path: Path) -> None:
    """A crowd of clients that start at once cannot make the publisher flood all others."""
    service = serve(path)
    beats = 0
    with listening(str(service.publisher.feed)) as listener:
        beat(listener)
        start = time.monotonic()
        for _ in range(200):
            request(service.address, "heartbeat", {}, dict[str, str], REPLY_SECONDS)
        seconds = time.monotonic() - start
        while listener.poll(int(NOT_LONG * 1000)):
            beat(listener)
            beats += 1

    assert 1 <= beats <= (seconds + NOT_LONG) * DEFAULT_LIMITS.heartbeats_a_second + 4


def test_a_commit_after_the_publishers_end_is_kept_and_sent_by_nobody(
    open_log: OpenLog, loop: Loop, path: Path
) -> None:
    """The log outlives its publisher: the commit succeeds, and the next publisher has the message."""
    log = open_log(path)
    publish(log, loop).close()
    append(log, ("a.", 1))

    second = publish(log, loop)
    append(log, ("a.", 2))
    second.close()

    assert log.head == 2


def test_a_wished_heartbeat_that_is_due_after_the_end_is_not_sent(open_log: OpenLog, loop: Loop, path: Path) -> None:
    """Closing cancels what was put off."""
    log = open_log(path)
    publisher = publish(log, loop)
    asking = RequestClient(loop, str(publisher.control))
    answers: list[object] = []
    for _ in range(3):
        asking.ask("heartbeat", {}, dict[str, str], answers.append, answers.append)
    limit = deadline()
    while len(answers) < 3 and not limit.passed:
        loop.step(limit.left)
    asking.close()
    publisher.close()
    ended: list[bool] = []
    loop.later(3 / DEFAULT_LIMITS.heartbeats_a_second, lambda: ended.append(True))

    while not ended:
        loop.step(NOT_LONG)

    assert answers == [{}, {}, {}]


@pytest.mark.fault(item="F44")
@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x01\x00",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f",
        b"\0" * 100,
        b"\xff" * 5000,
    ],
)
def test_noise_on_the_ports_disturbs_nobody(serve: Serve, subscribe: Subscribe, path: Path, noise: bytes) -> None:
    """An HTTP request or stray bytes are neither a request nor a subscription."""
    service = serve(path)
    for address in (service.publisher.feed, service.publisher.control):
        with socket.create_connection(address, timeout=REPLY_SECONDS) as connection:
            connection.sendall(noise)

    subscriber = subscribe([service.address])
    assert subscriber.wait_ready(REPLY_SECONDS)
    service.append(("a.", 1))

    assert names(collect(subscriber, 1)) == ["1"]


@pytest.mark.fault(item="B2")
@pytest.mark.fault(item="F47")
def test_malformed_feed_messages_are_dropped_and_counted(serve: Serve, subscribe: Subscribe, path: Path) -> None:
    """Wrong frames, garbage, another version, a topic too long or not ASCII: the subscriber goes on."""
    service = serve(path)
    subscriber = subscribe([service.address])
    assert subscriber.wait_ready(REPLY_SECONDS)
    good = encode_feed(service.log.epoch, 1, [0], 7, b"\x80")
    bad = [
        [b"a."],
        [b"a.", b"b", b"c"],
        [b"a.", b""],
        [b"a.", b"\xc1\xff"],
        [b"a.", b"\x92\x01\x02"],
        [b"a.", b"\x96\x02" + good[2:]],
        [b"\xff.", good],
        [b"a" * 255 + b".", good],
        [topics.HEARTBEAT.encode(), b"\x93\x01\x02\x03"],
    ]

    def send() -> None:
        for frames in bad:
            service.publisher._feed_socket.send_multipart(frames)
            service.publisher._beat()  # with what has too few frames, the message behind it is dropped, too

    service.call(send)
    service.append(("a.", 1))

    assert names(collect(subscriber, 1)) == ["1"]
    assert subscriber._sources[0].malformed == len(bad)


def test_a_request_is_answered_or_refused(serve: Serve, path: Path) -> None:
    """The reply is typed, an error is an exception with its code."""
    address = serve(path).address

    assert info(address).service == "test"
    with pytest.raises(ControlError, match="did you mean 'fetch'") as caught:
        request(address, "fetsh", {}, FetchReply)
    assert caught.value.code == "unknown_method"


def test_a_service_that_is_not_there_is_unavailable(serve: Serve, path: Path) -> None:
    """The text says who did not answer and how long we waited."""
    service = serve(path)
    service.stop()

    with pytest.raises(ControlError, match=r"no answer from tcp://127\.0\.0\.1:\d+ within") as caught:
        info(service.address, 0.05)
    assert caught.value.code == "unavailable"


def test_a_wrong_address_is_refused_at_once() -> None:
    """Before anything is opened."""
    with pytest.raises(AddressError):
        request("localhost:1", "info", {}, InfoReply)


@contextmanager
def answering(*replies: list[bytes]) -> Iterator[str]:
    """Run a ROUTER that answers the first request with these frames behind the sender's identity; `ID` is its id."""
    router, address = sockets.bind_control(LOCALHOST)

    def run() -> None:
        if router.poll(int(PATIENCE * TIME_FACTOR * 1000)):
            identity, request_id, *_ = router.recv_multipart()
            for frames in replies:
                router.send_multipart([identity, *(request_id if frame == b"ID" else frame for frame in frames)])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield str(address)
    finally:
        thread.join()
        router.close()


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("status", [b"ok", b"error"])
@pytest.mark.parametrize("body", [b"\xc1", b"", msgspec.msgpack.encode({"epoch": "x", "code": "x"})])
def test_an_answer_that_cannot_be_read_is_an_error(status: bytes, body: bytes) -> None:
    """A broken service does not crash its clients."""
    with answering([b"ID", status, body]) as address, pytest.raises(ControlError, match="cannot be read") as caught:
        info(address)

    assert caught.value.code == "internal"


@pytest.mark.fault(item="B2")
@pytest.mark.usefixtures("no_leaks")
def test_answers_to_nothing_that_was_asked_are_ignored() -> None:
    """Stray and malformed replies before the right one do no harm."""
    error = encode(ErrorBody(code="conflict", message="the right one", details={"a": "b"}))
    strays = [[b"999", b"ok", b"\x80"], [b"ID", b"ok"], [b"ID"], [b"", b"", b"", b""]]

    with answering(*strays, [b"ID", b"error", error]) as address, pytest.raises(ControlError) as caught:
        info(address)

    assert (caught.value.code, caught.value.details) == ("conflict", {"a": "b"})


@pytest.mark.fault(item="F42")
@pytest.mark.fault(item="B17")
def test_a_request_over_the_size_limit_cuts_the_client_off_and_nobody_else(serve: Serve, path: Path) -> None:
    """The service does not even read it."""
    address = serve(path).address

    with pytest.raises(ControlError) as caught:
        request(address, "info", {"x": b"x" * (REQUEST_LIMIT + 1)}, InfoReply, 0.3 * TIME_FACTOR)
    assert caught.value.code == "unavailable"
    assert info(address).service == "test"


def test_a_service_can_add_methods(serve: Serve, path: Path) -> None:
    """They run in the service's thread and may write to the log."""
    service = serve(path)

    def submit(_: NoParams) -> dict[str, int]:
        append(service.log, ("a.", "submitted"))
        return {"offset": service.log.head}

    def refuse(_: NoParams) -> None:
        raise InvalidInputError("name: is taken; choose another one")

    service.call(lambda: service.publisher.methods.add("submit", NoParams, submit))
    service.call(lambda: service.publisher.methods.add("refuse", NoParams, refuse))

    assert request(service.address, "submit", {}, dict[str, int]) == {"offset": 1}
    with pytest.raises(ControlError, match="choose another one"):
        request(service.address, "refuse", {}, dict[str, int])


def test_a_chain_that_is_not_known_any_more_is_nil_or_right(open_log: OpenLog, loop: Loop, path: Path) -> None:
    """After a restart the newest records are linked again; check looks into the log where the table is silent."""
    log = open_log(path)
    append(log, ("old.", 1), *(("a.", number) for number in range(10_001)))
    publisher = publish(log, loop)
    replies: list[CheckReply] = []
    asking = RequestClient(loop, str(publisher.control))
    for prefix in ("old.", "a.", "none.", ""):
        asking.ask("check", {"prefix": prefix}, CheckReply, replies.append, lambda error: pytest.fail(str(error)))
    limit = deadline()
    while len(replies) < 4 and not limit.passed:
        loop.step(limit.left)
    asking.close()
    publisher.close()

    assert [reply.last for reply in replies] == [1, 10_002, 0, 10_002]


def test_a_closed_publisher_leaves_its_log_open(open_log: OpenLog, loop: Loop, path: Path) -> None:
    """Closing a publisher does not close its log."""
    log = open_log(path)
    publisher = publish(log, loop)
    publisher.publish_ephemeral("a.", job(1))
    publisher.close()

    assert is_open(log)


def test_a_long_trimming_is_one_chain_of_steps(
    serve: Callable[[Path], Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the second strikes meanwhile: otherwise the loop would soon do nothing else."""
    steps: list[float] = []

    def trim() -> bool:
        steps.append(time.monotonic())
        return True

    service = serve(tmp_path / "trimming.db")
    monkeypatch.setattr(service.log, "trim", trim)
    for _ in range(50):
        service.call(service.publisher._tick)
    wait_until(lambda: len(steps) > 5, what="some steps")

    assert len(steps) <= 2 + (steps[-1] - steps[0]) / TRIM_GAP
