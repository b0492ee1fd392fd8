"""Addresses that several processes have to know before one of them listens there."""

import socket


def free_port() -> int:
    """Return a TCP port of the loopback interface that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
