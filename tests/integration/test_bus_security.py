"""CURVE and roles at a real publisher: who comes in, who does not, and what changes while it runs."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from bus.protocol.addresses import Address
from bus.protocol.control import ControlError, InfoReply, NoParams, Role, error_decoder
from bus.subscriber.sync import Subscriber
from bus.telemetry.logging import RepeatFilter
from bus.transport import authentication
from bus.transport.client import request
from bus.transport.handshakes import Handshakes
from bus.transport.keys import Keys
from tests.support.helpers import (
    PATIENCE,
    REPLY_SECONDS,
    TIME_FACTOR,
    Service,
    answers,
    append,
    collect,
    names,
    wait_until,
)
from tests.support.key_folders import enrol, write_peers
from tests.support.subscribing import serve_again

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
NOT_LONG = 0.5 * TIME_FACTOR
SOON_MS = 300  # handshake time of a test's own socket: then it tries again
NOTHING = 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.sqlite"


@pytest.fixture
def server(tmp_path: Path) -> Keys:
    """Make the keys of the publisher's machine."""
    return Keys.generate(tmp_path / "server")


@pytest.fixture
def client(tmp_path: Path, server: Keys) -> Keys:
    """Make the keys of another machine, which knows the publisher's."""
    return acquainted(tmp_path / "client", server)


def acquainted(folder: Path, server: Keys) -> Keys:
    """Make keys that know a server on this machine."""
    keys = Keys.generate(folder)
    write_peers(keys, f"server 127.0.0.1 {server.public}")
    return keys


def info(service: Service, keys: Keys | None, timeout: float = PATIENCE * TIME_FACTOR) -> InfoReply:
    """Ask who is there."""
    return request(service.address, "info", {}, InfoReply, timeout, keys=keys)


def code_of(service: Service, method: str, keys: Keys | None) -> str:
    """Ask and give how it ended: the code of the error, `unavailable` if there is no answer soon, else `ok`."""
    try:
        request(service.address, method, {}, dict[str, object], NOT_LONG, keys=keys)
    except ControlError as error:
        return error.code
    return "ok"


def is_answered(service: Service, method: str, keys: Keys | None) -> bool:
    """Ask, and return that there was an answer, however long it took; an error is raised."""
    request(service.address, method, {}, dict[str, object], REPLY_SECONDS, keys=keys)
    return True


def add_command(service: Service) -> None:
    """Add a method that changes something."""

    def write(_: NoParams) -> dict[str, int]:
        append(service.log, ("a.", "commanded"))
        return {}

    service.call(lambda: service.publisher.methods.add("write", NoParams, write))


def test_the_keys_of_one_folder_are_enough_for_one_machine(
    serve: Serve, subscribe: Subscribe, path: Path, server: Keys
) -> None:
    """Requests and the feed are encrypted, and it needs no line in any list."""
    service = serve(path, keys=server)
    add_command(service)
    subscriber = subscribe([service.address], keys=server)
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)

    service.append(("a.", 1))

    assert names(collect(subscriber, 1)) == ["1"]
    assert info(service, server).service == "test"
    assert is_answered(service, "write", server)
    assert service.publisher.authenticator
    assert service.publisher.authenticator.admitted >= 2
    assert service.publisher.authenticator.denied == 0


def test_a_reader_subscribes_and_asks_but_does_not_command(
    serve: Serve, subscribe: Subscribe, path: Path, server: Keys, client: Keys
) -> None:
    """What is refused is refused with one code and one sentence; a commander may."""
    enrol(server, "read", client.public)
    service = serve(path, keys=server)
    add_command(service)
    subscriber = subscribe([service.address], keys=client)
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    for method in ("info", "heartbeat", "check", "fetch", "latest"):
        assert is_answered(service, method, client), method

    with pytest.raises(ControlError, match="write needs the role command, your key has read; have") as caught:
        request(service.address, "write", {}, dict[str, object], keys=client)
    assert caught.value.code == "unauthorized"
    assert service.log.head == NOTHING

    enrol(server, "command", client.public)  # while it runs, and without a new connection
    assert is_answered(service, "write", client)
    assert len(collect(subscriber, 1)) == 1


def test_nobody_else_comes_in(serve: Serve, path: Path, server: Keys, client: Keys, tmp_path: Path) -> None:
    """No key, a key that is not listed, the wrong key of the server: silence, as nothing may be said to strangers."""
    service = serve(path, keys=server)
    add_command(service)
    mistaken = acquainted(tmp_path / "mistaken", client)
    enrol(server, "command", mistaken.public)

    for keys in (None, client, mistaken):
        assert code_of(service, "info", keys) == "unavailable"
        assert code_of(service, "write", keys) == "unavailable"

    assert service.log.head == NOTHING
    assert info(service, server).head == NOTHING
    methods, gate = service.publisher.methods, service.publisher.authenticator
    assert gate
    assert answers(methods) == {"ok": 1}
    assert gate.denied >= 2


def test_what_a_client_without_an_answer_is_told(serve: Serve, path: Path, server: Keys, client: Keys) -> None:
    """It cannot know the reason, so it is told where to look."""
    service = serve(path, keys=server)

    with pytest.raises(ControlError, match="if it is, it may want keys: see --keys"):
        info(service, None, NOT_LONG)
    with pytest.raises(ControlError, match="check the keys: it must list ours, and our peers file must have its own"):
        info(service, client, NOT_LONG)


def test_a_client_with_keys_does_not_talk_to_a_server_without(serve: Serve, path: Path, client: Keys) -> None:
    """Nor can somebody who takes the port of a server pretend to be it."""
    service = serve(path)

    assert code_of(service, "info", client) == "unavailable"
    assert answers(service.publisher.methods) == {}


@pytest.mark.fault(item="F41")
def test_who_is_enrolled_while_he_waits_comes_in_by_himself(
    serve: Serve, subscribe: Subscribe, path: Path, server: Keys, client: Keys
) -> None:
    """Our subscriber, and a plain socket of any language: libzmq tries again, as it was told to come later."""
    service = serve(path, keys=server)
    subscriber = subscribe([service.address], keys=client)
    with plain(zmq.DEALER, service.publisher.control, client) as dealer:
        dealer.send_multipart([b"1", b"info", b""])
        assert service.publisher.authenticator
        gate = service.publisher.authenticator
        wait_until(lambda: gate.denied >= 2, what="the refusal of both")
        assert not subscriber.wait_ready(0)

        enrol(server, "read", client.public)

        assert dealer.poll(int(PATIENCE * TIME_FACTOR * 1000)), "the plain socket did not come in"
        assert dealer.recv_multipart()[:2] == [b"1", b"ok"]
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)


def test_a_key_that_is_taken_out_loses_its_rights_at_once(serve: Serve, path: Path, server: Keys, client: Keys) -> None:
    """On the connection that it has; with a new one it does not come in any more."""
    enrol(server, "command", client.public)
    service = serve(path, keys=server)
    with plain(zmq.REQ, service.publisher.control, client) as asking:
        asking.send_multipart([b"info", b""])
        assert asking.recv_multipart()[0] == b"ok"

        write_peers(server, "")

        asking.send_multipart([b"info", b""])
        status, error = asking.recv_multipart()
    assert (status, error_decoder.decode(error).code) == (b"error", "unauthorized")
    assert code_of(service, "info", client) == "unavailable"


@pytest.mark.fault(item="F40")
def test_a_gate_that_fails_lets_nobody_in_and_stays(
    serve: Serve,
    path: Path,
    server: Keys,
    client: Keys,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who is connected is served on, and when the cause has gone the others come in: the handler is not dead."""
    enrol(server, "read", client.public)
    service = serve(path, keys=server)
    real = Keys.role_of

    def role_of(self: Keys, public: str) -> Role | None:
        if public == client.public:
            raise ZeroDivisionError
        return real(self, public)

    with monkeypatch.context() as patch:
        patch.setattr(Keys, "role_of", role_of)
        assert code_of(service, "info", client) == "unavailable"
        assert is_answered(service, "info", server)

    assert "the peers file cannot be consulted" in caplog.text
    assert info(service, client).service == "test"


def test_several_publishers_in_one_process_have_gates_of_their_own(
    serve: Serve, path: Path, server: Keys, client: Keys
) -> None:
    """With and without keys, side by side, and one after the other at the same ports."""
    first = serve(path, keys=server)
    second = serve(path.with_name("second.sqlite"), keys=client)
    third = serve(path.with_name("third.sqlite"))

    write_peers(client, "")
    for service, own, other in ((first, server, client), (second, client, server)):
        assert is_answered(service, "info", own)
        assert code_of(service, "info", other) == "unavailable"
    assert is_answered(third, "info", None)

    feed, control = first.publisher.feed, first.publisher.control
    first.stop()
    again = serve_again(serve, path, control, feed, server)
    assert info(again, server).service == "test"


def test_a_stranger_does_not_hear_the_feed(serve: Serve, path: Path, server: Keys, client: Keys) -> None:
    """Subscribed or not, with keys of its own or without any."""
    service = serve(path, keys=server)
    with (
        plain(zmq.SUB, service.publisher.feed, client) as unlisted,
        plain(zmq.SUB, service.publisher.feed) as keyless,
    ):
        for socket in (unlisted, keyless):
            socket.subscribe(b"")
        assert service.publisher.authenticator
        gate = service.publisher.authenticator
        wait_until(lambda: gate.denied >= 1, what="the refusal")
        service.append(*(("a.", number) for number in range(100)))
        with plain(zmq.SUB, service.publisher.feed, server) as listed:
            listed.subscribe(b"")
            assert listed.poll(int(PATIENCE * TIME_FACTOR * 1000))  # heartbeats go out
            assert not unlisted.poll(NOTHING)
            assert not keyless.poll(NOTHING)


def test_strangers_at_the_gate_are_no_flood_in_the_log(
    serve: Serve,
    path: Path,
    server: Keys,
    client: Keys,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A line names address and key, so that the key can be enrolled; the others are counted. No other line is added."""
    authentication.logger.filters[:] = [RepeatFilter(clock=lambda: 0.0)]  # all in one minute, however slow we are
    ends: list[int] = []
    end = Handshakes.end

    def counted(self: Handshakes, descriptor: int) -> tuple[str, str] | None:
        try:
            return end(self, descriptor)
        finally:
            ends.append(descriptor)

    monkeypatch.setattr(Handshakes, "end", counted)
    service = serve(path, keys=server)
    sockets = [plain(zmq.DEALER, service.publisher.control, client) for _ in range(20)]
    for socket in sockets:
        socket.send(b"")
    assert service.publisher.authenticator
    gate = service.publisher.authenticator
    wait_until(lambda: gate.denied >= 20, what="the refusal of all")
    for socket in sockets:
        socket.close()
    wait_until(lambda: len(ends) >= 20, what="the end of all their connections")
    service.stop()

    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(lines) <= 10
    assert set(lines) == {f"127.0.0.1 may not connect: its key {client.public} is not in the peers file"}


@pytest.fixture(params=["0.0.0.0", "[::]", "[::1]"])  # noqa: S104 - to every interface, on purpose
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a host to bind."""
    return request.param  # type: ignore[no-any-return]  # one of the above


def test_a_publisher_on_every_interface_is_found_at_the_one_that_was_asked(
    serve: Serve, subscribe: Subscribe, path: Path, server: Keys, host: str
) -> None:
    """Its `info` cannot know which address of the machine the client used, so the client puts its own in."""
    service = serve(path, keys=server, feed=Address(host, 0), control=Address(host, 0))
    there = Address("127.0.0.1" if host == "0.0.0.0" else "[::1]", service.publisher.control.port)  # noqa: S104
    subscriber = subscribe([str(there)], keys=server)

    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    service.append(("a.", 1))

    assert names(collect(subscriber, 1)) == ["1"]
    feed = subscriber._sources[0]._feed  # here 0.0.0.0 would do, too; from another machine it would not
    assert feed
    assert feed.getsockopt_string(zmq.LAST_ENDPOINT) == f"tcp://{there.host}:{service.publisher.feed.port}"


def plain(kind: int, address: Address, keys: Keys | None = None) -> zmq.Socket[bytes]:
    """Make a socket as docs/protocol.md says, with pyzmq alone."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    socket.linger, socket.rcvtimeo, socket.handshake_ivl = 0, int(PATIENCE * TIME_FACTOR * 1000), SOON_MS
    if keys:
        curve = keys.curve_for(f"tcp://127.0.0.1:{address.port}")
        socket.curve_publickey, socket.curve_secretkey = curve.public, curve.secret
        socket.curve_serverkey = curve.server
    socket.connect(f"tcp://127.0.0.1:{address.port}")
    return socket
