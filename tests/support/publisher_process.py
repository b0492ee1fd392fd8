"""`publisher.py` as a process of a workspace: it publishes what it is asked to, and can be killed and started again."""

import sys
from typing import Final

import psutil

from bus.transport.client import request
from tests.support.helpers import TIME_FACTOR
from tests.support.publisher import PublishParams
from tests.support.workspace import ROOT, Workspace, steady_ports

SUPPORT: Final = ROOT / "tests" / "support"


class PublisherProcess:
    """`publisher.py` on steady ports."""

    def __init__(self, workspace: Workspace, environment: dict[str, str] | None = None) -> None:
        """Start it."""
        self._workspace, self._environment = workspace, environment
        self._ports = steady_ports()
        self.database = workspace.folder / "publisher.db"
        self.start()

    def start(self) -> None:
        """Start it, again where it was."""
        feed, control = (str(port) for port in self._ports)
        arguments = [sys.executable, str(SUPPORT / "publisher.py"), str(self.database), feed, control]
        self.process = self._workspace.start("publisher", *arguments, environment=self._environment)
        self.process.wait_for_line("listening")
        self.address = f"tcp://127.0.0.1:{control}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.popen.pid

    @property
    def memory(self) -> int:
        """Bytes that are resident."""
        return psutil.Process(self.pid).memory_info().rss

    def publish(self, count: int, size: int = 0) -> int:
        """Ask it to publish, and return the head."""
        return request(self.address, "publish", PublishParams(count, size), dict[str, int], 20 * TIME_FACTOR)["head"]
