"""Everything at once: whatever happens to whom at random, the end is as if nothing had been.

`make chaos` runs it longer. The seed is in the failure; CHAOS_SEED repeats its sequence of faults, though not to the
millisecond, as processes take their own time.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bus.contracts.experiments import ExperimentView
from bus.contracts.messages import JobCompleted
from bus.protocol.control import ControlError
from tests.support.cast import RECORDERS, SLOW, TAIL_PREFIX, Cast
from tests.support.checker import check_complete, messages_of, outputs_of, torn_files
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
from tests.support.small_disk import SmallDisk
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, view_of

SECONDS: Final = float(os.environ.get("CHAOS_SECONDS", "10"))
SEED: Final = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
DRAIN_SECONDS: Final = 60.0 + SECONDS / 10  # the jobs that are left have to run
ENDED: Final = ("completed", "failed", "partial", "cancelled")
READERS: Final = {**RECORDERS, SLOW: ""}


def recorded(workspace: Workspace, name: str, service: ServiceProcess) -> list[Seen]:
    """Return what a recorder has of a service."""
    events = read(workspace.folder / f"{name}.db")
    return [Seen(None, one.offset, one.topic, one.body) for one in events if one.source == service.control]


def drain(cast: Cast) -> list[ExperimentView]:
    """Wait until every job has ended and every reader has everything and return the experiments."""
    left = set(experiments(cast.workspace))
    views: dict[str, ExperimentView] = {}

    def has_ended() -> bool:
        try:
            views.update({one: view_of(cast.learning, one) for one in left})
        except ControlError:
            return False
        left.difference_update([one for one, view in views.items() if view.status in ENDED])
        return not left

    wait_until(has_ended, DRAIN_SECONDS, what="the end of all experiments")
    unwell = {one: view.variants for one, view in views.items() if view.status != "completed"}
    assert not unwell, f"jobs have failed: {unwell}"
    wait_until(lambda: is_idle(cast), DRAIN_SECONDS, what="the end of all other jobs")
    logs = {service.control: read_log(service.control) for service in (cast.runner, cast.learning)}
    for name, prefix in READERS.items():
        for service in (cast.runner, cast.learning):
            count = sum(one.topic.startswith(prefix) for one in logs[service.control])
            wait_until(
                lambda n=name, s=service, least=count: len(recorded(cast.workspace, n, s)) >= least,  # type: ignore[misc]
                DRAIN_SECONDS,
                what=f"{count} events at {name}",
                longest_poll=0.5,
            )
    count = sum(one.topic.startswith(TAIL_PREFIX) for one in logs[cast.runner.control])
    wait_until(lambda: len(tailed(cast)) >= count, DRAIN_SECONDS, what=f"{count} lines of tail")
    return list(views.values())


def is_idle(cast: Cast) -> bool:
    """Return whether the runner has nothing left to do."""
    offer = cast.runner.ask("pipelines", {}, dict[str, object])
    return offer["queued"] == offer["running"] == 0


def tailed(cast: Cast) -> list[int]:
    """Return the offsets of the events that tail has printed, without those that are not logged."""
    offsets = [json.loads(line)["offset"] for line in cast.tail.read()]
    return [offset for offset in offsets if offset]


def experiments(workspace: Workspace) -> list[str]:
    """Return all that were planned."""
    listed = workspace.run("experiment", "list", "--json", "--limit", "1000").json
    return [one["experiment_id"] for one in listed]


def check_all(cast: Cast, views: list[ExperimentView]) -> None:
    """Check every invariant."""
    logs = {"runner": read_log(cast.runner.control), "learning": read_log(cast.learning.control)}
    for kind, service in (("runner", cast.runner), ("learning", cast.learning)):
        log = logs[kind]
        check_writes(log, [one.body for one in log], [])  # nothing twice
        for name, prefix in READERS.items():
            received = recorded(cast.workspace, name, service)
            check_subscriber(received, log, prefix)
            check_never_reused([one._replace(epoch=None) for one in log], received)
        check_bounds(service.process.popen.pid, service.data / f"{kind}.db")
    ran, learned = decoded(logs["runner"]), decoded(logs["learning"])
    assert tailed(cast) == [one.offset for one in ran if one.topic.startswith(TAIL_PREFIX)]
    check_flooded(cast, ran)
    ended = len(messages_of(ran, JobCompleted))
    outputs = outputs_of(cast.runner)
    ran = [one for one in ran if getattr(one.message, "learning_context", None)]
    for view in views:
        check_complete(view, ran, learned, outputs)
    assert torn_files(outputs) == []
    cast.look()
    cast.learning.terminate()
    assert check_learner(cast.learning.data / "learning.db", cast.runner.control, ran, was_asked=True) == len(views)
    print(summary(cast, ended))  # noqa: T201 - `make chaos` shows it


def check_flooded(cast: Cast, ran: list[Event]) -> None:
    """Check that of the jobs which were submitted at once each has ended once, if the runner has confirmed it."""
    ended = Counter(one.job_id for one in messages_of(ran, JobCompleted) if one.learning_context is None)
    assert set(ended.values()) <= {1}, "jobs ended twice"
    assert {name for name, confirmed in cast.flooded.items() if confirmed} <= set(ended) <= set(cast.flooded)


def summary(cast: Cast, jobs: int) -> str:
    """Return how much has happened, and how many jobs have ended."""
    faults = Counter(one.rpartition(" ")[0] for one in cast.history)
    told = ", ".join(f"{count} x {name}" for name, count in sorted(faults.items()))
    disk = f"; no disk of its own: {cast.disk.reason}" if cast.disk.reason else ""
    return f"CHAOS_SEED={SEED}, {SECONDS:g} s: {told}; {jobs} jobs, none lost, none twice{disk}"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Yield the disk of the data; it is there for longer than the processes of the workspace."""
    disk = SmallDisk(tmp_path / "data")
    yield disk
    disk.close()


@pytest.mark.exhaustive
@pytest.mark.timeout(240 + 3 * SECONDS)
def test_random_faults_for_a_while_leave_nothing_wrong(disk: SmallDisk, workspace: Workspace) -> None:
    """Kill, stop, continue and restart services and subscribers, fill the disk, flood, be rude; all invariants hold."""
    chance = random.Random(SEED)  # noqa: S311 - it can be repeated
    cast = Cast(workspace, disk, SECONDS)
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
    finally:
        cast.close()
