"""Clients as a process that ask faster than they read, and leave by a reset of their connection, again and again.

Usage: rude_clients.py ADDRESS...
"""

import itertools
import random
import sys
import time
from contextlib import ExitStack, suppress
from typing import Final

import zmq

from bus.protocol.addresses import Address, parse_address
from bus.protocol.frames import encode
from tests.support.zmtp_peer import connected, frame

AT_ONCE: Final = 4  # clients at a time
REQUESTS: Final = 200  # of each
PAUSE_SECONDS: Final = 0.2
QUESTIONS: Final = tuple(
    (method, encode(params))
    for method, params in ((b"fetch", {"after": 0}), (b"latest", {}), (b"info", {}), (b"no such method", {}))
)


def ask_raw(address: Address) -> None:
    """Ask on bare sockets, and reset the connections."""
    with ExitStack() as clients:
        for _ in range(AT_ONCE):
            client = connected(address, b"DEALER")
            clients.callback(client.reset)
            client.socket.settimeout(PAUSE_SECONDS)
            with suppress(TimeoutError):  # its requests are not taken in any more
                for number, (method, params) in zip(range(REQUESTS), itertools.cycle(QUESTIONS), strict=False):
                    client.send(frame(b"%d" % number, more=True), frame(method, more=True), frame(params))


def ask_by_library(context: zmq.Context[zmq.Socket[bytes]], address: Address) -> None:
    """Ask by libzmq, which resets a connection that it closes with replies unread."""
    clients = [context.socket(zmq.DEALER) for _ in range(AT_ONCE)]
    for client in clients:
        client.linger, client.rcvhwm, client.rcvbuf = 0, 1, 4096
        client.connect(str(address))
        for number, question in zip(range(REQUESTS), itertools.cycle(QUESTIONS), strict=False):
            client.send_multipart([b"%d" % number, *question])
    time.sleep(PAUSE_SECONDS)  # for replies to arrive that nobody reads
    for client in clients:
        client.close()


def main(*addresses: str) -> None:
    """Go on until killed; a service that is away is tried again."""
    chance = random.SystemRandom()
    with zmq.Context() as context:
        while True:
            address = parse_address(chance.choice(addresses))
            try:
                if chance.random() < 1 / 2:
                    ask_raw(address)
                else:
                    ask_by_library(context, address)
            except OSError:  # refused: it is away
                time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
