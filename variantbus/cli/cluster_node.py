"""A server of NATS as a child process of a command: this process becomes the server, and does not outlive the command.

The server knows nothing of the pipe that ends with the command (`bus.console.process.end_with_parent`), so a process of
ours stays beside it that does.
"""

import os
import select
import signal
import sys

from bus.console.process import LIFELINE, STOP_SECONDS


def main() -> None:
    """Run the program that the arguments name."""
    lifeline = int(os.environ[LIFELINE].partition(" ")[0])
    end_of_server, kept_by_server = os.pipe()
    server = os.getpid()
    if os.fork() == 0:
        os.close(kept_by_server)
        _end_with(lifeline, server, end_of_server)
        os._exit(0)
    os.set_inheritable(lifeline, False)
    os.set_inheritable(kept_by_server, True)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the program that the command has found


def _end_with(lifeline: int, server: int, end_of_server: int) -> None:
    """End the server when the command is gone: ask, and force. What ends first is told by the end of its pipe."""
    ended, _, _ = select.select([lifeline, end_of_server], [], [])
    for number in (signal.SIGTERM, signal.SIGKILL):
        if end_of_server in ended:
            return
        os.kill(server, number)
        ended, _, _ = select.select([end_of_server], [], [], STOP_SECONDS)


if __name__ == "__main__":
    main()
