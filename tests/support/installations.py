"""`variantbus up` in tests: an installation with ports of its own, and what is left of it."""

import os
import pty
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from bus.protocol.control import ControlError, InfoReply
from bus.transport.client import request
from tests.support.helpers import Deadline, wait_until
from tests.support.workspace import Workspace, steady_ports

UP_SECONDS: Final = 30.0
TAIL_BYTES: Final = 2000
IN_TERMINAL: Final = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
PORTS: Final = ("RUNNER_FEED_PORT", "RUNNER_CONTROL_PORT", "LEARNING_FEED_PORT", "LEARNING_CONTROL_PORT")


def settings_for(data: Path) -> dict[str, str]:
    """Return the variables of an installation whose usual ports are taken; the dashboard takes any."""
    numbers = dict(zip(PORTS, map(str, (*steady_ports(), *steady_ports())), strict=True))
    return {
        **{f"VARIANTBUS_{name}": number for name, number in numbers.items()},
        "VARIANTBUS_DASHBOARD_PORT": "0",
        "VARIANTBUS_DATA_DIR": str(data),
    }


def addresses(settings: dict[str, str]) -> list[str]:
    """Return where runner and learning service of an installation answer."""
    return [f"tcp://127.0.0.1:{settings[f'VARIANTBUS_{name}_CONTROL_PORT']}" for name in ("RUNNER", "LEARNING")]


def answers(address: str) -> bool:
    """Return whether a service answers."""
    try:
        return bool(request(address, "info", {}, InfoReply, timeout=1.0))
    except ControlError:
        return False


def wait_for_services(workspace: Workspace, settings: dict[str, str] | None = None) -> None:
    """Wait until both services answer."""
    for one in addresses(settings or workspace.environment):
        wait_until(lambda one=one: answers(one), UP_SECONDS, what=f"an answer of {one}")  # type: ignore[misc]


def are_free(settings: dict[str, str]) -> bool:
    """Return whether the ports of an installation can be bound."""
    for name in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(settings[f"VARIANTBUS_{name}"])))
            except OSError:
                return False
    return True


class Terminal:
    """A terminal with one program in it, which can be closed like a window."""

    def __init__(self, workspace: Workspace, *arguments: str) -> None:
        """Start the program as the leader of the terminal's session, as a shell is."""
        self._window, terminal = pty.openpty()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", IN_TERMINAL, *arguments],
                cwd=workspace.folder,
                env=workspace.environment,
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
        finally:
            os.close(terminal)
        self._shown = b""
        self._closed = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process, whatever the test has found."""
        self.process.kill()
        self.process.wait()
        self.close()

    def wait_for(self, text: str) -> None:
        """Wait until the program has written a text."""
        limit = Deadline(UP_SECONDS)
        while text.encode() not in self._shown:
            assert not limit.passed, f"no {text!r} in {self._shown[-TAIL_BYTES:]!r}"
            if select.select([self._window], [], [], 0.1)[0]:
                self._shown += os.read(self._window, 4096)

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._window, text.encode())

    def close(self) -> None:
        """Close the window: the session gets SIGHUP, and nothing can be written any more."""
        if not self._closed:
            os.close(self._window)
        self._closed = True
