"""The processes of a cluster that faults happen to at random: servers of NATS, runners, learning services.

A service that ends though nobody ended it is a failure, whatever it says.
"""

import random
import signal
import time
from collections import Counter
from typing import Final, NamedTuple

from bus.cluster import names
from tests.support.cluster_services import ClusterServices
from tests.support.helpers import TIME_FACTOR
from tests.support.nats_servers import READY_SECONDS, NatsServers
from tests.support.workspace import Running, Workspace

BEYOND_ACK_SECONDS: Final = 35.0  # for which somebody is paused at times: its jobs have gone to others by then
KINDS: Final = (*["kill"] * 6, *["pause"] * 3, *["pause long"] * 2, "leader", "leader", "two servers", "all servers")


class Fault(NamedTuple):
    """What is wrong with somebody, and when it ends."""

    name: str
    is_paused: bool
    until: float


class ClusterCast(ClusterServices):
    """Three servers, runners and learning services, and what happens to them."""

    def __init__(self, workspace: Workspace, servers: NatsServers, chance: random.Random) -> None:
        """Start nothing yet."""
        super().__init__(workspace, servers)
        self.chance = chance
        self.nodes = {node.name: node for node in servers.nodes}
        self.faults: dict[str, Fault] = {}
        self.history: list[str] = []
        self.was_emptied = False
        self._began = time.monotonic()

    def act(self) -> None:
        """Let one thing happen, and end what has lasted long enough."""
        for fault in [one for one in self.faults.values() if one.until <= time.monotonic()]:
            self._end(fault)
        kind = self.chance.choice(KINDS)
        if kind in ("two servers", "all servers"):
            self._hit_servers(kind)
        elif kind == "leader":
            self._hit(self.leader(), is_paused=self.chance.random() < 0.3, seconds=self.chance.uniform(1, 8))
        else:
            name = self.chance.choice([*self.services, *self.nodes])
            seconds = BEYOND_ACK_SECONDS if kind == "pause long" else self.chance.uniform(0.5, 8)
            self._hit(name, is_paused=kind != "kill", seconds=seconds)
        self.look()

    def empty_a_node(self) -> None:
        """Delete all that a server has stored, while the two others have it."""
        self._heal_servers()
        self.servers.wait_healthy()
        node = self.chance.choice(self.servers.nodes)
        node.kill()
        node.delete_data()
        node.start()
        self._tell(f"empty {node.name}")
        self.servers.wait_healthy()
        self.was_emptied = True

    def leader(self) -> str:
        """Return the name of the learning service that leads, or of the server that leads the ends."""
        if self.chance.random() < 0.5 and (node := self.servers.leader_of(names.ENDS)):
            return node.name
        return self.leading() or self.chance.choice([name for name in self.services if name.startswith("learning")])

    def look(self) -> None:
        """See that nobody has ended whom nobody ended."""
        for name in [name for name in (*self.services, *self.nodes) if name not in self.faults]:
            running = self._process(name)
            status = running.popen.poll()
            assert status is None, f"{name} ended by itself with status {status}:\n{running.errors()}"

    def heal(self) -> None:
        """End all faults."""
        self._heal_servers()
        for fault in list(self.faults.values()):
            self._end(fault)
        self.look()

    def summary(self) -> str:
        """Return how much has happened."""
        counts = Counter(one.split(" ", 1)[1].rpartition("-")[0] for one in self.history)
        return ", ".join(f"{count} x {what}" for what, count in sorted(counts.items()))

    def _hit(self, name: str, *, is_paused: bool, seconds: float) -> None:
        """Kill or pause somebody for some time, who is well until then."""
        if name in self.faults:
            return
        self._tell(f"{'pause' if is_paused else 'kill'} {name}")
        self.faults[name] = Fault(name, is_paused, time.monotonic() + seconds * TIME_FACTOR)
        node = self.nodes.get(name)
        if node and is_paused:
            node.pause()
        elif is_paused:
            self._process(name).send(signal.SIGSTOP)
        else:
            self._process(name).kill()

    def _hit_servers(self, kind: str) -> None:
        """Kill several servers at once."""
        count = len(self.nodes) if kind == "all servers" else 2
        seconds = self.chance.uniform(0.5, 5)
        for name in self.chance.sample(list(self.nodes), count):
            if self.faults.get(name, Fault(name, is_paused=True, until=0.0)).is_paused:
                self.faults.pop(name, None)
                self._hit(name, is_paused=False, seconds=seconds)
        self._tell(f"together {kind}-")

    def _end(self, fault: Fault) -> None:
        """Let somebody go on, or start again."""
        del self.faults[fault.name]
        node, service = self.nodes.get(fault.name), self.services.get(fault.name)
        if fault.is_paused:
            self._process(fault.name).send(signal.SIGCONT)
        if node and fault.is_paused:
            node.is_paused = False
        elif node:
            node.start()
        elif service and not fault.is_paused:
            service.start()

    def _heal_servers(self) -> None:
        for fault in [one for one in self.faults.values() if one.name in self.nodes]:
            self._end(fault)
        self.servers.wait_for_leader(READY_SECONDS)

    def _process(self, name: str) -> Running:
        node = self.nodes.get(name)
        if node:
            assert node.running, f"{name} was never started"
            return node.running
        return self.services[name].process

    def _tell(self, what: str) -> None:
        self.history.append(f"{time.monotonic() - self._began:.1f} {what}")
