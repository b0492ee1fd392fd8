"""The processes that faults happen to at random: our services, their subscribers and clients, and the disk.

A service that ends though nobody ended it is a failure, whatever it says.
"""

import os
import random
import signal
import subprocess
import sys
from typing import Final

from bus.contracts.jobs import JobRequest, SubmitParams, SubmitReply
from bus.protocol.control import ControlError
from bus.subscriber.delivery import Start
from bus.transport.client import request
from tests.support.experiment_files import program, services
from tests.support.small_disk import SmallDisk
from tests.support.workspace import ROOT, VARIANTBUS, Running, Workspace

SUPPORT: Final = ROOT / "tests" / "support"
RECORDERS: Final = {"everything": "", "statuses": "variant.status"}
SLOW: Final = "slow"  # a recorder that is never ended, and does nothing for most of the time
TAIL_PREFIX: Final = "job."
LONGEST_STALL: Final = 60.0
MOST_EXPERIMENTS: Final = 900  # which one page of the list holds
FLOOD: Final = 1000  # jobs of one request, each with three events
REQUEST_SECONDS: Final = 1.0  # for a flood: who is stopped does not answer
# what a client costs that does not read its replies, so that the bound of a service's memory holds with all of them
LIMITS: Final = "[limits]\ncontrol_send_messages = 16\n"
FAULTS: Final = (
    *["kill", "kill and start", "stop", "continue", "restart", "submit", "submit"],
    *["flood", "disk is full", "disk is free"],
)


class Cast:
    """The processes that faults happen to."""

    def __init__(self, workspace: Workspace, disk: SmallDisk, seconds: float) -> None:
        """Start them all for a run of so many seconds; the disk is that of the workspace's data."""
        self.workspace, self.disk = workspace, disk
        workspace.environment["VARIANTBUS_CONFIG"] = str(workspace.write("variantbus.toml", LIMITS))
        self.runner, self.learning = services(workspace, steady=True)
        self.recorders = {name: self.record(name, prefix) for name, prefix in RECORDERS.items()}
        stall = {"STALL_SECONDS": str(min(LONGEST_STALL, seconds / 3))}
        self.slow = self.record(SLOW, "", **stall)
        self.rude = self.support("rude_clients", self.runner.control, self.learning.control)
        self.tail = Unread(workspace, "tail", TAIL_PREFIX, "--from", self.runner.control, "--all", "--json")
        self.stopped: list[Running] = []
        self.dead: set[str] = set()
        self.history: list[str] = []
        self.healed = False  # no client is rude any more
        self.submitted = 0
        self.flooded: dict[str, bool] = {}  # jobs that were asked for, and whether the runner has said ok
        self.floods_left = max(2, int(seconds / 60))

    def support(self, name: str, *arguments: str, **environment: str) -> Running:
        """Start one of the programs beside this file."""
        script = str(SUPPORT / f"{name}.py")
        return self.workspace.start(name, sys.executable, script, *arguments, environment=environment)

    def record(self, name: str, prefix: str, **environment: str) -> Running:
        """Start a subscriber that stores events with its position."""
        addresses = [self.runner.control, self.learning.control]
        database = str(self.workspace.folder / f"{name}.db")
        return self.support("recorder", database, Start.BEGINNING.value, prefix, *addresses, **environment)

    def process(self, name: str) -> Running:
        """Find a process by its part."""
        services = {"runner": self.runner, "learning": self.learning}
        return services[name].process if name in services else self.recorders[name]

    def start(self, name: str) -> None:
        """Start somebody again; a service needs room on its disk for that."""
        if name in self.recorders:
            self.recorders[name] = self.record(name, RECORDERS[name])
        else:
            self.disk.free()
            (self.runner if name == "runner" else self.learning).start()
        self.dead.discard(name)

    def act(self, chance: random.Random) -> None:
        """Let one thing happen."""
        name = chance.choice(["runner", "learning", *RECORDERS])
        what = chance.choice(FAULTS)
        self.history.append(f"{what} {name}")
        match what:
            case "submit":
                self.submit()
            case "flood":
                self.flood()
            case "continue":
                self.carry_on()
            case "disk is full":
                self.disk.fill()
            case "disk is free":
                self.disk.free()
            case _:
                self.hit(name, what)
        self.look()

    def hit(self, name: str, what: str) -> None:
        """Kill, stop or restart somebody, or start who is dead."""
        if name in self.dead:
            self.start(name)
        elif what == "stop":
            self.process(name).send(signal.SIGSTOP)
            self.stopped.append(self.process(name))
        elif what == "restart" and self.process(name) not in self.stopped and name not in self.recorders:
            assert self.process(name).terminate() == 0
            self.start(name)
        else:
            self.process(name).kill()
            self.dead.add(name)
            if what == "kill and start":
                self.start(name)

    def look(self) -> None:
        """See that nobody has ended whom nobody ended."""
        parts = {name: self.process(name) for name in ("runner", "learning", *RECORDERS) if name not in self.dead}
        for name, running in {**parts, SLOW: self.slow, **({} if self.healed else {"rude clients": self.rude})}.items():
            status = running.popen.poll()
            assert status is None, f"{name} ended by itself with status {status}:\n{running.errors()}"
        assert self.tail.popen.poll() is None, f"tail ended with status {self.tail.popen.returncode}"

    def submit(self) -> None:
        """Plan an experiment; where somebody is away, nobody knows whether it was planned."""
        if self.submitted == MOST_EXPERIMENTS:
            return
        self.submitted += 1
        file = self.workspace.write(f"{self.submitted}.toml", program(values=3, jobs=6, script="sleep 0.02"))
        self.workspace.command("experiment", "run", file)

    def flood(self) -> None:
        """Submit many jobs at once, which leaves whoever is slow far behind."""
        if not self.floods_left:
            return
        self.floods_left -= 1
        names = [f"flood-{self.floods_left}-{number}" for number in range(FLOOD)]
        self.flooded.update(dict.fromkeys(names, False))
        jobs = [JobRequest(job_id=name, pipeline="noop", stage="run", config={"level": 1}) for name in names]
        try:
            request(self.runner.control, "job.submit", SubmitParams(jobs=jobs), SubmitReply, timeout=REQUEST_SECONDS)
        except ControlError:
            return
        self.flooded.update(dict.fromkeys(names, True))

    def carry_on(self) -> None:
        """Continue all that were stopped."""
        for running in self.stopped:
            if running.lives:
                running.send(signal.SIGCONT)
        self.stopped.clear()

    def heal(self) -> None:
        """End all faults: continue stopped processes, start dead ones, make room, and let no client be rude or slow."""
        self.carry_on()
        self.disk.free()
        for name in sorted(self.dead, reverse=True):  # the runner before the learning service, for quicker work
            self.start(name)
        self.look()
        self.healed = True
        self.rude.kill()
        self.slow.send(signal.SIGUSR1)

    def close(self) -> None:
        """End what the workspace does not know."""
        self.tail.popen.kill()
        self.tail.popen.communicate()


class Unread:
    """A command whose output goes into a pipe that nobody reads until it is asked for."""

    def __init__(self, workspace: Workspace, *arguments: str) -> None:
        """Start it."""
        self._errors = workspace.folder / "unread.err"
        with self._errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [VARIANTBUS, *arguments],
                cwd=workspace.folder,
                env=dict(workspace.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._lines: list[bytes] = []
        self._rest = b""

    def read(self) -> list[bytes]:
        """Read what has come by now and return all lines so far."""
        assert self.popen.stdout
        file = self.popen.stdout.fileno()
        os.set_blocking(file, False)
        try:
            while part := os.read(file, 1 << 16):
                *lines, self._rest = (self._rest + part).split(b"\n")
                self._lines += lines
        except BlockingIOError:
            pass
        return self._lines
