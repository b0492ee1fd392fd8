"""On what *ready* rests: libzmq sends subscriptions in order, and the heartbeat's last, also after a reconnect."""

import socket
from typing import Final

import pytest
import zmq

from bus.protocol import topics
from bus.protocol.addresses import Address
from bus.transport import sockets
from tests.support.helpers import PATIENCE, TIME_FACTOR, deadline
from tests.support.zmtp_peer import GREETING_BYTES, greeting, ready

PREFIXES: Final = ("b.", "a.", "a.%C3.", "a.z.", "zz.", "A.", "_.", topics.HEARTBEAT)


class FakePublisher:
    """A listening TCP socket that takes one connection after the other and notes which subscriptions arrive."""

    def __init__(self) -> None:
        """Listen."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE * TIME_FACTOR)
        self.address = str(Address("127.0.0.1", self._listening.getsockname()[1]))

    def take(self, subscriber: sockets.Socket, count: int) -> list[str]:
        """Accept a connection, read so many subscriptions, and cut it; the subscriber is polled meanwhile."""
        connection, _ = self._listening.accept()
        with connection:
            connection.sendall(greeting())
            connection.sendall(ready(b"PUB"))
            connection.settimeout(0.01)
            received = b""
            limit = deadline()
            while len(found := subscriptions(received[GREETING_BYTES:])) < count:
                assert not limit.passed, f"only {found} arrived"
                subscriber.poll(10)  # libzmq subscribes again when the socket is used
                try:
                    received += connection.recv(65_536)
                except TimeoutError:
                    continue
            return found

    def close(self) -> None:
        """Stop listening."""
        self._listening.close()


def subscriptions(received: bytes) -> list[str]:
    """Return what is subscribed to by the frames behind a greeting (in ZMTP 3.0: messages that begin with 1)."""
    found = []
    while len(received) > 1:
        flags, size = received[0], received[1]
        assert not flags & 2, "no frame is so long"
        if flags == 0 and len(received) >= 2 + size:
            found.append(received[3 : 2 + size].decode())
        received = received[2 + size :]
    return found


@pytest.mark.usefixtures("no_leaks")
def test_subscriptions_arrive_in_order_and_the_heartbeats_last() -> None:
    """In the order of the calls at first; after a reconnect sorted by bytes, in which `~` is behind all else."""
    publisher = FakePublisher()
    subscriber = sockets.connect_feed(publisher.address)
    subscriber.setsockopt(zmq.RECONNECT_IVL, 10)
    try:
        for prefix in PREFIXES:
            subscriber.subscribe(prefix.encode())
        first = publisher.take(subscriber, len(PREFIXES))
        again = publisher.take(subscriber, len(PREFIXES))
    finally:
        subscriber.close()
        publisher.close()

    assert first == list(PREFIXES)
    assert again == sorted(PREFIXES)
    assert again[-1] == topics.HEARTBEAT


def test_the_order_of_what_stands_in_a_topic_puts_the_heartbeat_last() -> None:
    """Every byte that a topic can begin with sorts before `~`."""
    for code in range(1, 256):
        assert topics.encode_token(chr(code)) < topics.HEARTBEAT
