"""What makes a unit test one: no socket, no process, no database on disk."""

import socket
import sqlite3
import subprocess
from collections.abc import Callable
from typing import Any, Final, NoReturn

import pytest
import zmq

IN_MEMORY: Final = ":memory:"


def _refuse(what: str) -> NoReturn:
    pytest.fail(f"a unit test {what}: it belongs in tests/integration")


def _refusal(what: str) -> Callable[..., NoReturn]:
    return lambda *_args, **_options: _refuse(what)


def _connect(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
    if database != IN_MEMORY:
        _refuse(f"opens the database {database}")
    return _CONNECT(database, *args, **options)


_CONNECT: Final[Callable[..., sqlite3.Connection]] = sqlite3.connect


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that uses a socket, starts a process or opens a database on disk."""
    for method in ("bind", "connect", "connect_ex"):  # an event loop may have its own pair, which leads nowhere
        monkeypatch.setattr(socket.socket, method, _refusal("uses a socket"))
    monkeypatch.setattr(zmq.Context, "socket", _refusal("opens a ZeroMQ socket"))
    monkeypatch.setattr(subprocess.Popen, "__init__", _refusal("starts a process"))
    monkeypatch.setattr(sqlite3, "connect", _connect)
