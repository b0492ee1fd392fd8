"""Everything at once: whoever is killed, stopped, continued or restarted at random, the end is as if nothing had been.

`make chaos` runs it longer. The seed is in the failure; CHAOS_SEED repeats its sequence of faults, though not to the
millisecond, as processes take their own time.
"""

import os
import random
import signal
import sys
import time
from typing import Final

import pytest

from bus.protocol.control import ControlError
from bus.subscriber.delivery import Start
from tests.support.checker import check_everything, messages_of
from tests.support.experiment_files import program, services
from tests.support.helpers import wait_until
from tests.support.invariants import (
    Event,
    Seen,
    check_bounds,
    check_learner,
    check_never_reused,
    check_subscriber,
    check_writes,
    decoded,
    read_log,
)
from tests.support.recorder import read
from tests.support.workspace import COMMAND_SECONDS, ROOT, Running, ServiceProcess, Workspace, view_of

SECONDS: Final = float(os.environ.get("CHAOS_SECONDS", "10"))
SEED: Final = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
RECORDERS: Final = {"everything": "", "statuses": "variant.status"}
DRAIN_SECONDS: Final = 60.0  # the jobs that are left have to run
RECORDER: Final = str(ROOT / "tests" / "support" / "recorder.py")


class Cast:
    """The processes that faults happen to."""

    def __init__(self, workspace: Workspace) -> None:
        """Start them all."""
        self.workspace = workspace
        self.runner, self.learning = services(workspace, steady=True)
        self.recorders = {name: self.record(name) for name in RECORDERS}
        self.stopped: list[Running] = []
        self.dead: set[str] = set()
        self.history: list[str] = []
        self.submitted = 0

    def record(self, name: str) -> Running:
        """Start a subscriber that stores events with its position."""
        addresses = [self.runner.control, self.learning.control]
        database = str(self.workspace.folder / f"{name}.db")
        return self.workspace.start(
            name, sys.executable, RECORDER, database, Start.BEGINNING.value, RECORDERS[name], *addresses
        )

    def process(self, name: str) -> Running:
        """Find a process by its part."""
        services = {"runner": self.runner, "learning": self.learning}
        return services[name].process if name in services else self.recorders[name]

    def start(self, name: str) -> None:
        """Start somebody again."""
        if name in self.recorders:
            self.recorders[name] = self.record(name)
        else:
            (self.runner if name == "runner" else self.learning).start()
        self.dead.discard(name)

    def act(self, chance: random.Random) -> None:
        """Let one thing happen."""
        name = chance.choice(["runner", "learning", *RECORDERS])
        what = chance.choice(["kill", "kill and start", "stop", "continue", "restart", "submit", "submit"])
        self.history.append(f"{what} {name}")
        if what == "submit":
            self.submit()
        elif what == "continue":
            self.carry_on()
        elif name in self.dead:
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

    def submit(self) -> None:
        """Plan an experiment; where somebody is away, nobody knows whether it was planned."""
        self.submitted += 1
        file = self.workspace.write(f"{self.submitted}.toml", program(values=3, jobs=6, script="sleep 0.02"))
        self.workspace.command("experiment", "run", file)

    def carry_on(self) -> None:
        """Continue all that were stopped."""
        for running in self.stopped:
            if running.lives:
                running.send(signal.SIGCONT)
        self.stopped.clear()

    def heal(self) -> None:
        """Continue stopped processes and start dead ones."""
        self.carry_on()
        for name in sorted(self.dead, reverse=True):  # the runner before the learning service, for quicker work
            self.start(name)


def recorded(workspace: Workspace, name: str, service: ServiceProcess) -> list[Seen]:
    """Return what a recorder has of a service."""
    events = read(workspace.folder / f"{name}.db")
    return [Seen(None, one.offset, one.topic, one.body) for one in events if one.source == service.control]


def drain(cast: Cast) -> list[str]:
    """Wait until every experiment has ended and every recorder has everything and return the experiments."""

    def has_ended() -> bool:
        try:
            ids = experiments(cast.workspace)
            return all(view_of(cast.learning, one).status == "completed" for one in ids)
        except ControlError:
            return False

    wait_until(has_ended, DRAIN_SECONDS, what="the end of all experiments")
    for name, prefix in RECORDERS.items():
        for service in (cast.runner, cast.learning):
            count = sum(one.topic.startswith(prefix) for one in read_log(service.control))
            wait_until(
                lambda n=name, s=service, least=count: len(recorded(cast.workspace, n, s)) >= least,  # type: ignore[misc]
                DRAIN_SECONDS,
                what=f"{count} events at {name}",
            )
    return experiments(cast.workspace)


def experiments(workspace: Workspace) -> list[str]:
    """Return all that were planned."""
    listed = workspace.run("experiment", "list", "--json", "--limit", "1000").json
    return [one["experiment_id"] for one in listed]


def check_all(cast: Cast, ids: list[str]) -> None:
    """Check every invariant."""
    logs = {"runner": read_log(cast.runner.control), "learning": read_log(cast.learning.control)}
    for kind, service in (("runner", cast.runner), ("learning", cast.learning)):
        log = logs[kind]
        bodies = [one.body for one in log]
        check_writes(log, bodies, [])  # nothing twice
        for name, prefix in RECORDERS.items():
            received = recorded(cast.workspace, name, service)
            check_subscriber(received, log, prefix)
            check_never_reused([one._replace(epoch=None) for one in log], received)
        check_bounds(service.process.popen.pid, service.data / f"{kind}.db")
    for experiment_id in ids:
        check_everything(cast.runner, cast.learning, experiment_id)
    events: list[Event] = decoded(logs["runner"])
    cast.learning.terminate()
    assert check_learner(cast.learning.data / "learning.db", cast.runner.control, events) == len(ids)
    assert messages_of(events, object)


@pytest.mark.timeout(180 + 3 * SECONDS)
def test_random_faults_for_a_while_leave_nothing_wrong(workspace: Workspace) -> None:
    """Kill, stop, continue and restart the runner, the learning service and subscribers; then all invariants hold."""
    chance = random.Random(SEED)  # noqa: S311 - it can be repeated
    cast = Cast(workspace)
    try:
        cast.submit()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            cast.act(chance)
            time.sleep(chance.random() * 0.4)  # faults have no condition to wait for: their pace is part of the chance
        cast.heal()
        for command in [one for one in workspace.started if "-experiment" in one.name]:
            assert command.wait(COMMAND_SECONDS) in (0, 3, 5), command.errors()
        check_all(cast, drain(cast))
    except BaseException:
        print(f"CHAOS_SEED={SEED}: {cast.history}")  # noqa: T201 - pytest shows it with the failure
        raise
