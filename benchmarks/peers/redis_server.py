"""The server that several peers share: Redis with nothing but its log for durability, and redis-py with hiredis."""

import importlib.util
import shutil

from redis import Redis

from benchmarks.crew import Crew
from benchmarks.peers.ports import free_port
from benchmarks.role import Setup


def missing() -> str:
    """It takes a server and a library."""
    if not shutil.which("redis-server"):
        return "redis-server is not installed; on Debian: apt-get install redis-server"
    # without it redis-py works too, but not at its best
    return "" if importlib.util.find_spec("hiredis") else "hiredis is not installed; `make bench` installs it"


def serve(crew: Crew) -> dict[str, str]:
    """Start a server on a free port, and say where it is."""
    port = str(free_port())
    server = crew.start(
        "redis-server",
        *("redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", str(crew.folder)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    )
    server.wait_for_line("Ready to accept connections")
    return {"port": port}


def connect(setup: Setup) -> Redis:
    """Return a client; it connects with its first command."""
    return Redis(host="127.0.0.1", port=int(setup.addresses["port"]))


def url(setup: Setup) -> str:
    """Return the server's address as libraries take it."""
    return f"redis://127.0.0.1:{setup.addresses['port']}/0"
