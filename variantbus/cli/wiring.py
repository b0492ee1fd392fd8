"""Where the processes of one `variantbus up` listen, and how they find each other."""

import errno
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bus.protocol.addresses import Address
from bus.transport.sockets import BindError

EVERY_INTERFACE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - and where it is found on this machine
Settings = Mapping[str, Any]  # the options of a command, as the process itself will read them


@dataclass(frozen=True, slots=True)
class Wiring:
    """Addresses and keys for commands, and the arguments that each process gets besides its settings."""

    runner: str  # the control address, as of the learning service
    learning: str
    keys: Path | None  # the folder, if there is one
    arguments: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Port:
    """A port that a process will listen on, and the variable that sets it."""

    process: str
    host: str
    number: int
    variable: str


def wire(runner: Settings, learning: Settings, page: Settings, others: Iterable[str] = ()) -> Wiring:
    """Connect the processes with each other, whatever the variables for commands say; `others` are further runners.

    Raises:
        BindError: ports are taken, or a host is none of this machine.
    """
    ports = [
        Port("runner", runner["host"], runner["feed_port"], "VARIANTBUS_RUNNER_FEED_PORT"),
        Port("runner", runner["host"], runner["control_port"], "VARIANTBUS_RUNNER_CONTROL_PORT"),
        Port("learning", learning["host"], learning["feed_port"], "VARIANTBUS_LEARNING_FEED_PORT"),
        Port("learning", learning["host"], learning["control_port"], "VARIANTBUS_LEARNING_CONTROL_PORT"),
        Port("dashboard", page["host"], page["port"], "VARIANTBUS_DASHBOARD_PORT"),
    ]
    runner_feed, runner_control, learning_feed, learning_control, page_port = free_ports(ports)
    at_runner = str(Address(_reached(runner["host"]), runner_control))
    at_learning = str(Address(_reached(learning["host"]), learning_control))
    its_names = {at_runner, at_runner.replace("//127.0.0.1:", "//localhost:")}
    followed = [at_runner, *(one for one in dict.fromkeys(others) if one not in its_names)]
    arguments = {
        "runner": [f"--feed-port={runner_feed}", f"--control-port={runner_control}"],
        "learning": [
            f"--feed-port={learning_feed}",
            f"--control-port={learning_control}",
            *(f"--runner={one}" for one in followed),
        ],
        "dashboard": [f"--port={page_port}", f"--runner={at_runner}", f"--learning={at_learning}"],
        "notify": [f"--learning={at_learning}"],
        "logger": [f"--learning={at_learning}"],
    }
    keys = runner["keys"]
    return Wiring(at_runner, at_learning, keys.folder if keys else None, arguments)


def free_ports(ports: Sequence[Port]) -> list[int]:
    """Return the numbers of ports that are free, and a free one for each 0.

    Raises:
        BindError: some are taken; the text names all of them and their variables.
    """
    taken, numbers = [], []
    with ExitStack() as bound:  # until all are chosen, or two zeros could get the same number
        for port in ports:
            probe = bound.enter_context(socket.socket(socket.AF_INET6 if ":" in port.host else socket.AF_INET))
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if port.number in numbers:
                    raise OSError(errno.EADDRINUSE, "")  # noqa: TRY301 - as if it were bound already, which it will be
                probe.bind((port.host.strip("[]"), port.number))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    text = f"cannot bind port {port.number} of {port.host} for the {port.process}: {error.strerror}"
                    raise BindError(f"{text}; {port.variable} sets another port") from None
                taken.append(port)
            else:
                numbers.append(probe.getsockname()[1])
    if taken:
        shown = ", ".join(f"{port.number} ({port.variable})" for port in taken)
        what = "cannot bind port" if len(taken) == 1 else "cannot bind ports"
        text = "perhaps another `variantbus up` uses what is taken: stop it, or set these variables to free ports"
        raise BindError(f"{what} {shown}; {text}")
    return numbers


def _reached(host: str) -> str:
    """Return the host at which processes of this machine find what is bound there."""
    return EVERY_INTERFACE.get(host, host)
