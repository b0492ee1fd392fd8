"""A runner that dies, as by `kill -9`, at the Nth step that the disk or another process can notice.

    python dying_runner.py BEGIN N REACHED [options of the runner]

A step is a moment before or after a commit, a sync, a rename, a removal, and before a message goes out. They are
counted from a moment on: `start`, or the first call of a method of `JobService`, such as `submit`. The file REACHED is
made when the last one was reached.
"""

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bus.transport import sockets
from pipeline_runner import main as runner
from pipeline_runner.queue import service

_counting = threading.Lock()
_left = 0
_begun = False
_reached = Path()


def step() -> None:
    """Count one, and die at the last: nothing after it happens, not even in other threads."""
    global _left  # noqa: PLW0603 - one process, one count
    with _counting:
        if _left == 0:
            return
        _left -= 1
        if _left == 0:
            _reached.touch()
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


class Connection(sqlite3.Connection):
    """Makes steps of its commits."""

    def execute(self, statement: str, *params: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        if statement != "COMMIT":
            return super().execute(statement, *params)
        step()
        done = super().execute(statement)
        step()
        return done


def before(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a step before a function."""

    def stepping(*arguments: Any, **named: Any) -> Any:
        step()
        return function(*arguments, **named)

    return stepping


def around(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make steps before and after a function."""
    stepping = before(function)

    def finishing(*arguments: Any, **named: Any) -> Any:
        done = stepping(*arguments, **named)
        step()
        return done

    return finishing


def begin(method: Callable[..., Any], steps: int) -> Callable[..., Any]:
    """Count from the first call of a method on."""

    def counting(*arguments: Any, **named: Any) -> Any:
        global _left, _begun
        if not _begun:
            _begun, _left = True, steps
        return method(*arguments, **named)

    return counting


def main() -> None:
    """Run the runner, to its end."""
    global _left, _reached  # noqa: PLW0603 - one process, one count
    start, steps, _reached = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    connect = sqlite3.connect
    sqlite3.connect = lambda *where, **how: connect(*where, **how, factory=Connection)  # type: ignore[assignment]  # as it is used
    os.fsync = around(os.fsync)
    os.rename = around(os.rename)
    os.unlink = around(os.unlink)
    Path.replace = around(Path.replace)  # type: ignore[method-assign]  # the same function, with steps
    Path.unlink = around(Path.unlink)  # type: ignore[method-assign]  # the same function, with steps
    sockets.send_pair = before(sockets.send_pair)
    if start == "start":
        _left = steps
    else:
        setattr(service.JobService, start, begin(getattr(service.JobService, start), steps))
    runner.main(sys.argv[4:])


if __name__ == "__main__":
    main()
