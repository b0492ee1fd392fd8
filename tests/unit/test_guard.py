"""The guard of conftest.py: what would make a unit test slow or uncertain fails it."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest
import zmq

NOWHERE = ("127.0.0.1", 9)


def connect() -> None:
    """Connect a socket."""
    with socket.socket() as one:
        one.connect(NOWHERE)


OUTSIDE: dict[str, Callable[[], object]] = {
    "socket": connect,
    "ZeroMQ socket": lambda: zmq.Context.instance().socket(zmq.SUB),
    "process": lambda: subprocess.run([sys.executable, "--version"], check=True),
    "database": lambda: sqlite3.connect("never-made.db"),
}


@pytest.mark.parametrize("call", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_leaves_the_process_is_refused(call: Callable[[], object]) -> None:
    """The failure says where such a test belongs."""
    with pytest.raises(pytest.fail.Exception, match=r"belongs in tests/integration"):
        call()


def test_what_stays_inside_is_allowed() -> None:
    """A database may be in memory."""
    database = sqlite3.connect(":memory:")
    assert database.execute("SELECT 1").fetchone() == (1,)
    database.close()
