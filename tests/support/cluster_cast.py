"""The processes of a cluster that faults happen to at random: servers of NATS, runners, learning services.

A service that ends though nobody ended it is a failure, whatever it says.
"""

import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import Final, NamedTuple

from bus.cluster import names
from bus.protocol.control import ControlError
from tests.support.cluster_invariants import outcome_of, read_ends
from tests.support.cluster_services import FAILS, WORKS, ClusterServices, Shape, tickets_of
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.nats_servers import READY_SECONDS, NatsServers
from tests.support.workspace import Running, ServiceProcess, Workspace

BEYOND_ACK_SECONDS: Final = 35.0  # for which somebody is paused at times: its jobs have gone to others by then
KINDS: Final = (*["kill"] * 6, *["pause"] * 3, *["pause long"] * 2, "leader", "leader", "two servers", "all servers")

LONGER_SECONDS: Final = 3.0
KILLS: Final = 'echo $PPID >> "{file}"; kill -9 $PPID'  # the runner itself


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
        self.cancelled: set[str] = set()  # experiments of which a learning service has said so
        self._long: list[Running] = []  # what plans those
        self._cancels: dict[str, Running] = {}  # the last attempts to cancel them
        self._deadly: Running | None = None
        self._killed = workspace.folder / "killed"
        self._began = time.monotonic()

    def plan(self, shape: Shape) -> None:
        """Begin to plan an experiment: of jobs that work, of some that fail, or of long ones that are cancelled."""
        script = (FAILS, WORKS, WORKS)[len(self.begun) % 3]
        is_long = len(self.begun) % 3 == 1
        if is_long:
            shape = shape._replace(values=tuple(seconds + LONGER_SECONDS for seconds in shape.values))
        begun = self.submit(shape, self.chance.choice(self.learners), script)
        if is_long:
            self._long.append(begun)

    def plan_deadly(self) -> bool:
        """Plan a job that kills each runner that takes it, and return whether a learning service has said so."""
        if self._deadly is None or self._deadly.popen.poll() not in (None, 0):
            script = KILLS.format(file=self._killed)
            self._deadly = self.submit(Shape(1, (0.02,), 1), self.chance.choice(self.learners), script)
        return self._deadly.popen.poll() == 0

    def cancel(self) -> None:
        """Cancel each experiment of long jobs once it is planned, until a learning service has said so."""
        for name in [one.text().strip() for one in self._long if one.popen.poll() == 0]:
            last = self._cancels.get(name)
            if last and last.popen.poll() == 0:
                self.cancelled.add(name)
            elif last is None or not last.lives:
                options = ("--finish-running",) if self.chance.random() < 0.3 else ()
                address = self.chance.choice(self.learners).control
                self._cancels[name] = self.workspace.command(
                    "experiment", "cancel", name, *options, "--learning", address
                )

    def act(self) -> None:
        """Let one thing happen, and end what has lasted long enough."""
        self.tend()
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

    def tend(self) -> None:
        """End what has lasted long enough: also the absence of runners that the deadly job has killed."""
        for fault in [one for one in self.faults.values() if one.until <= time.monotonic()]:
            self._end(fault)
        self.look()
        self.cancel()

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
            if status is None:
                continue
            assert self._is_killed(running), f"{name} ended by itself with status {status}:\n{running.errors()}"
            self._tell(f"deadly {name}")
            seconds = self.chance.choice((self.chance.uniform(0.5, 8), BEYOND_ACK_SECONDS))
            self.faults[name] = Fault(name, is_paused=False, until=time.monotonic() + seconds)

    def heal(self) -> None:
        """End all faults."""
        self._heal_servers()
        for fault in list(self.faults.values()):
            self._end(fault)
        self.look()

    def settle(self) -> None:
        """Wait until no runner has a job of the cluster, not even one that has just come back."""

        def is_settled() -> bool:
            self.tend()
            with suppress(ControlError):
                return not self.faults and not any(tickets_of(one) for one in self.runners)
            return False

        wait_until(is_settled, BEYOND_ACK_SECONDS, what="runners without jobs", longest_poll=0.5)

    def check_kinds(self) -> None:
        """Check that what was cancelled is, and nothing else, and that the deadly job has failed with its runners."""
        for view in self.views():
            if view.experiment_id in self.cancelled:
                assert view.status in ("cancelled", "partial", "completed"), f"{view.experiment_id} is {view.status}"
            if view.experiment_id not in self._cancels:
                assert not view.totals.cancelled, f"{view.experiment_id} was cancelled by nobody: {view.totals}"
        if self._deadly:
            name = self._deadly.text().strip()
            ends = [outcome_of(one) for one in read_ends(self.client) if one.message.job_id.startswith(f"{name}.")]
            assert ends == ["crashed"], f"the deadly job ended with {ends}"

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
            self._start(service)

    def _start(self, service: ServiceProcess) -> None:
        try:
            service.start()
        except AssertionError:  # the deadly job may be faster than the first line of its runner
            if not self._is_killed(service.process):
                raise

    def _is_killed(self, running: Running) -> bool:
        """Return whether the deadly job has killed a runner."""
        return self._killed.exists() and str(running.popen.pid) in self._killed.read_text(encoding="ascii").split()

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
