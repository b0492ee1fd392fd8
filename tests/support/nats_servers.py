"""Servers of NATS as processes: one, or three that are a cluster; killed, paused, emptied and started again.

They are processes of a workspace, which leaves none behind and shows the end of their logs with a failure.
"""

import contextlib
import json
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bus.protocol.addresses import Address
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.workspace import START_SECONDS, Running, Workspace, free_ports

PROGRAM: Final = str(Path(sys.executable).with_name("nats-server"))
READY_SECONDS: Final = 40.0  # until there is a leader: elections take seconds, and processors are shared
QUESTION_SECONDS: Final = 2.0
ATTEMPTS: Final = 5  # to find ports that nobody takes before our servers do
TAKEN: Final = "address already in use"
MISSING_ROUTE: Final = "127.0.0.1:9"  # where nobody listens: servers tell each other of it, and go by their own routes
CONFIGURATION: Final = """\
server_name: {name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:-1"
ports_file_dir: {folder}
jetstream {{
  store_dir: {data}
  sync_interval: always
}}
"""
CLUSTER: Final = """\
cluster {{
  name: "{cluster}"
  listen: "127.0.0.1:{port}"
  advertise: "{advertised}"
  no_advertise: true
  pool_size: -1
  routes: {routes}
}}
"""


class PortTakenError(AssertionError):
    """Somebody else listens on a port that was chosen."""


class Node:
    """One server."""

    def __init__(self, workspace: Workspace, number: int, port: int, route_port: int) -> None:
        """Start nothing yet."""
        self._workspace = workspace
        self.number, self.name = number, f"nats-{number}"
        self.port, self.route_port = port, route_port
        self._folder = workspace.folder / self.name
        self.data = self._folder / "data"
        self.running: Running | None = None
        self.is_paused = False
        self._monitor = ""

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def lives(self) -> bool:
        """Whether it runs; it may be paused."""
        return self.running is not None and self.running.lives

    def configure(self, cluster: str, routes: list[str]) -> None:
        """Write its configuration; without routes it is no member of a cluster."""
        self._folder.mkdir(parents=True, exist_ok=True)
        quoted = {"folder": json.dumps(str(self._folder)), "data": json.dumps(str(self.data))}
        text = CONFIGURATION.format(name=self.name, port=self.port, **quoted)
        if routes:
            members = {"cluster": cluster, "port": self.route_port, "advertised": MISSING_ROUTE}
            text += CLUSTER.format(routes=json.dumps(routes), **members)
        (self._folder / "nats.conf").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start it, again on the same ports and with the data that it has, and wait until it listens.

        Raises:
            PortTakenError: somebody else listens there.
        """
        running = self._workspace.start(self.name, PROGRAM, "-c", str(self._folder / "nats.conf"))
        self.running, self.is_paused = running, False
        ports = self._folder / f"nats-server_{running.popen.pid}.ports"

        def listens() -> bool:
            # while it is being written there is no JSON in it
            with contextlib.suppress(OSError, ValueError):
                self._monitor = json.loads(ports.read_text(encoding="utf-8"))["monitoring"][0]
                return True
            return not running.lives

        wait_until(listens, START_SECONDS, what=f"{self.name} that listens")
        if not running.lives:
            kind = PortTakenError if TAKEN in running.errors() else AssertionError
            raise kind(f"{self.name} ended with {running.popen.poll()}:\n{running.errors()}")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._known().kill()

    def terminate(self) -> None:
        """Ask it to end, and wait for that."""
        self._known().terminate(START_SECONDS)

    def pause(self) -> None:
        """Stop it where it is; its connections stay open, and nobody answers."""
        self._known().send(signal.SIGSTOP)
        self.is_paused = True

    def carry_on(self) -> None:
        """Let it go on."""
        self._known().send(signal.SIGCONT)
        self.is_paused = False

    def delete_data(self) -> None:
        """Delete what it has stored; it must not run."""
        assert not self.lives, f"{self.name} still runs"
        shutil.rmtree(self.data, ignore_errors=True)

    def ask(self, path: str) -> dict[str, Any]:
        """Return what its monitoring says, which is nothing while it does not answer."""
        if not self.lives or self.is_paused:
            return {}
        limit = QUESTION_SECONDS * TIME_FACTOR
        try:
            with urllib.request.urlopen(f"{self._monitor}/{path}", timeout=limit) as reply:  # noqa: S310 - it is http
                found = json.loads(reply.read())
        except urllib.error.HTTPError as error:  # it is not healthy, and says why
            with error:
                found = json.loads(error.read() or b"{}")
        except (OSError, ValueError):
            return {}
        assert isinstance(found, dict)
        return found

    @property
    def is_healthy(self) -> bool:
        """Whether it has all that it must have."""
        return self.ask("healthz").get("status") == "ok"

    def _known(self) -> Running:
        assert self.running, f"{self.name} was never started"
        return self.running


Via = Callable[[Node, Node], Address | None]


class NatsServers:
    """One server, or several that are a cluster; `nodes` can be hit one by one."""

    def __init__(self, workspace: Workspace, count: int = 1, *, first: int = 0, via: Via | None = None) -> None:
        """Start them, or the `first` of them, and wait until they have a leader.

        `via` returns on which address one node finds another one, for proxies between them; it is asked once the ports
        are chosen, and None stands for the node's own one.
        """
        self._workspace = workspace
        self.nodes: list[Node] = []
        for attempt in range(ATTEMPTS):
            ports = free_ports(2 * count)
            pairs = zip(range(count), ports[:count], ports[count:], strict=True)
            self.nodes = [Node(workspace, *one) for one in pairs]
            try:
                self._start(first or count, via or _direct)
            except PortTakenError:
                for node in self.nodes:
                    if node.lives:
                        node.kill()
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                break
        self.wait_for_leader()

    @property
    def url(self) -> str:
        """What is given as `--cluster`."""
        return ",".join(node.url for node in self.nodes)

    @property
    def awake(self) -> list[Node]:
        """Those that run and are not paused."""
        return [node for node in self.nodes if node.lives and not node.is_paused]

    def leader(self) -> Node | None:
        """Return who leads them all, as the others know it; one server leads itself."""
        if len(self.nodes) == 1:
            return next(iter(self.awake), None)
        named = (node.ask("jsz").get("meta_cluster", {}).get("leader") for node in self.awake)
        return next((self._called(name) for name in named if name), None)

    def leader_of(self, stream: str) -> Node | None:
        """Return who leads a stream, as the others know it."""
        for node in self.awake:
            for account in node.ask("jsz?accounts=true&streams=true").get("account_details", []):
                for one in account.get("stream_detail", []):
                    if one["name"] == stream and "cluster" not in one:
                        return node
                    if one["name"] == stream and (leader := one["cluster"].get("leader")):
                        return self._called(leader)
        return None

    def wait_for_leader(self, seconds: float = READY_SECONDS) -> None:
        """Wait until all that are awake know a leader that is awake, and it knows all of them."""

        def is_led() -> bool:
            if len(self.nodes) == 1:
                return self.nodes[0].is_healthy
            awake = {node.name for node in self.awake}
            known = [node.ask("jsz").get("meta_cluster", {}) for node in self.awake]
            leaders = {one.get("leader") for one in known}
            followers = {two["name"] for one in known for two in one.get("replicas", []) if not two.get("offline")}
            return len(leaders) == 1 and leaders <= awake <= leaders | followers

        self._wait(is_led, seconds, "a leader of the cluster")

    def wait_healthy(self, seconds: float = READY_SECONDS) -> None:
        """Wait until each node has all that the cluster has."""
        self._wait(lambda: all(node.is_healthy for node in self.nodes), seconds, "the health of all nodes")

    def heal(self) -> None:
        """Let all nodes run again, whatever was done to them."""
        for node in self.nodes:
            if not node.lives:
                node.start()
            elif node.is_paused:
                node.carry_on()

    def report(self) -> str:
        """Return the end of each node's log."""
        return self._workspace.report([node.running for node in self.nodes if node.running])

    def _start(self, first: int, via: Via) -> None:
        for node in self.nodes:
            others = [one for one in self.nodes if one is not node]
            routes = [via(node, one) or Address("127.0.0.1", one.route_port) for one in others]
            node.configure(self._workspace.mark, [f"nats://{one.host}:{one.port}" for one in routes])
        for node in self.nodes[:first]:
            node.start()

    def _called(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        try:
            wait_until(condition, seconds, what=what, longest_poll=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None


def _direct(_node: Node, _other: Node) -> None:
    """Return that nothing is between two nodes."""
