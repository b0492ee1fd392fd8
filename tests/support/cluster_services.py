"""Runners and learning services of a cluster as processes, what they are given to do, what must be so at the end."""

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import nats.errors

from bus.cluster import names, streams
from bus.cluster.errors import ClusterError
from bus.contracts.experiments import ExperimentView
from bus.contracts.messages import LearningContext
from bus.contracts.runners import RunnerListReply
from bus.protocol.control import ControlError, MetricsReply
from tests.support.cluster_invariants import (
    FAILED,
    StoredEnd,
    check_ends,
    check_no_job_waits,
    check_numbers,
    check_outcomes,
    check_pictures,
    check_statuses,
    outcome_of,
    planned_jobs_of,
    read_ends,
    waiting_jobs,
)
from tests.support.clusters import Client
from tests.support.helpers import wait_until
from tests.support.invariants import Event, check_learner
from tests.support.nats_servers import NatsServers
from tests.support.workspace import COMMAND_SECONDS, Running, ServiceProcess, Workspace, steady_ports, view_of

RECOVERY_SECONDS: Final = 30.0  # after the last fault, until a new job has ended and is counted
WORKERS: Final = 2
CLUSTER: Final = "cluster"  # the source of ends, as learning services know it
EXPERIMENT: Final = """
name = "{name}"
pipeline = "command"
stage = "run"
jobs_per_variant = {jobs}
priority = {priority}
[variable]
name = "seconds"
values = {values}
[config]
command = ["sh", "-c", '''{script}''', "sh", "{{seconds}}", "{{seed}}", "{{output_dir}}", "{name}"]
"""
WORKS: Final = 'sleep $1; echo "$4 $1 $2" > "$3/result.txt"'
FAILS: Final = f"[ $((($2 + ${{#1}}) % 2)) = 1 ] || {{ sleep $1; exit {FAILED}; }}; {WORKS}"


class Shape(NamedTuple):
    """How much there is to do."""

    experiments: int
    values: tuple[float, ...]  # seconds that a job takes
    jobs_per_value: int

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.experiments * len(self.values) * self.jobs_per_value


class ClusterServices:
    """Some of each, with a client that looks at the streams."""

    def __init__(self, workspace: Workspace, servers: NatsServers, url: Callable[[str], str] | None = None) -> None:
        """Start nothing yet; `url` returns by which addresses somebody reaches the servers."""
        self.workspace, self.servers = workspace, servers
        self._url = url or (lambda _name: servers.url)
        self.services: dict[str, ServiceProcess] = {}
        self.begun: list[Running] = []
        self.client = Client(servers.url)

    @property
    def runners(self) -> list[ServiceProcess]:
        """All of them."""
        return [one for name, one in self.services.items() if name.startswith("runner")]

    @property
    def learners(self) -> list[ServiceProcess]:
        """All learning services."""
        return [one for name, one in self.services.items() if name.startswith("learning")]

    def start(self, *, runners: int, learners: int) -> None:
        """Start so many, and wait until an experiment can be planned, with all copies that there will be."""
        if len(self.servers.nodes) == streams.COPIES:
            self.client.ensure_three()
        for number in range(learners):
            self.start_service(f"learning-{number}", "learning_service")
        for number in range(runners):
            self.start_service(f"runner-{number}", "pipeline_runner", "--workers", str(WORKERS))
        self.wait_for_offers()

    def wait_for_offers(self) -> None:
        """Wait until an experiment can be planned at each learning service."""
        wait_until(self._has_offers, COMMAND_SECONDS, what="learning services that know runners", longest_poll=0.2)

    def start_service(self, name: str, module: str, *options: str) -> ServiceProcess:
        """Start one; its folder is called as it is."""
        words = ("--cluster", self._url(name), *options)
        service = ServiceProcess(self.workspace, module, words, steady_ports(), self.workspace.folder / name)
        self.services[name] = service
        return service

    def submit(self, shape: Shape, learner: ServiceProcess, script: str = WORKS) -> Running:
        """Begin to plan an experiment at a learning service, which may be away, and then does not get it."""
        name = f"exp {len(self.begun)}"
        values = list(shape.values)
        text = EXPERIMENT.format(name=name, jobs=shape.jobs_per_value, values=values, priority=0, script=script)
        file = self.workspace.write(f"{len(self.begun)}.toml", text)
        self.begun.append(self.workspace.command("experiment", "run", file, "--learning", learner.control))
        return self.begun[-1]

    def accepted(self) -> set[str]:
        """Return the ids of all experiments of which a command has said that they are planned."""
        return {one.text().strip() for one in self.begun if one.wait(COMMAND_SECONDS) == 0}

    def fill_up(self, shape: Shape, count: int) -> None:
        """Plan experiments until so many are accepted: one that was sent to somebody who was away is not."""

        def is_full() -> bool:
            while len(self.accepted()) < count:
                self.submit(shape, self.learners[len(self.begun) % len(self.learners)])
                if self.begun[-1].wait(COMMAND_SECONDS) != 0:
                    return False
            return True

        wait_until(is_full, COMMAND_SECONDS, what=f"{count} experiments", longest_poll=0.5)

    def views(self) -> list[ExperimentView]:
        """Return all experiments, as a learning service has them, once it does not wait for another one to lead."""
        first, found = self.learners[0], list[ExperimentView]()

        def are_told() -> bool:
            found.clear()
            with suppress(ControlError, AssertionError):
                command = ("experiment", "list", "--json", "--limit", "1000", "--learning", first.control)
                found.extend(view_of(first, one["experiment_id"]) for one in self.workspace.run(*command).json)
                return True
            return False

        wait_until(are_told, RECOVERY_SECONDS, what="a list of all experiments", longest_poll=0.2)
        return found

    def leading(self) -> str:
        """Return the name of the learning service that leads, as the cluster knows it."""
        with suppress(ClusterError, nats.errors.Error, ValueError):
            found = self.client.connection.run(_told_leader(self.client), 2.0)
            return next((name for name, one in self.services.items() if one.control == found), "")
        return ""

    def wait_for_ends(self, count: int) -> None:
        """Wait until so many jobs have ended."""

        def has_ended() -> bool:
            with suppress(ClusterError, nats.errors.Error):
                return int(self.client.run(self.client.js.stream_info(names.ENDS)).state.messages) >= count
            return False

        wait_until(has_ended, COMMAND_SECONDS, what=f"{count} ends", longest_poll=0.2)

    def tend(self) -> None:
        """Do what has to be done while somebody waits: nothing, where nothing happens any more."""

    def recover(self) -> float:
        """Plan an experiment after the last fault, and return after how many seconds its jobs were counted."""
        began = time.monotonic()
        text = EXPERIMENT.format(name=f"probe {began}", jobs=2, values=[0.02, 0.03], priority=5, script=WORKS)
        file = self.workspace.write("probe.toml", text)
        planned: list[str] = []

        def is_counted() -> bool:
            self.tend()
            with suppress(ControlError, AssertionError):  # while nobody leads, an experiment is refused
                if not planned:
                    command = ("experiment", "run", file, "--learning", self.learners[0].control)
                    planned.append(self.workspace.run(*command).out.strip())
                return view_of(self.learners[0], planned[0]).status == "completed"
            return False

        wait_until(is_counted, RECOVERY_SECONDS, what="the recovery", longest_poll=0.2)
        return time.monotonic() - began

    def drain(self, seconds: float) -> float:
        """Wait until every job has an end, is counted, and waits nowhere; return after how many seconds."""
        began = time.monotonic()
        self.accepted()  # once all commands have ended, no experiment is added
        left: set[str] = {view.experiment_id for view in self.views()}

        def has_ended() -> bool:
            self.tend()
            for one in list(left):
                with suppress(ControlError):
                    totals = view_of(self.learners[0], one).totals
                    if totals.completed + totals.failed + totals.cancelled == totals.jobs and not totals.running:
                        left.discard(one)
            return not left

        wait_until(has_ended, seconds, what="the end of all jobs", longest_poll=0.5)
        wait_until(self._is_empty, seconds, what="an empty queue", longest_poll=0.5)
        return time.monotonic() - began

    def check_all(self, lost: int = 0) -> tuple[int, str]:
        """Check every invariant, stop the learning services, and return how many ends and what else there was.

        The stream of ends has so many holes, of ends that were lost on purpose.
        """
        views, ends = self.views(), read_ends(self.client)
        unknown = self.accepted() - {view.experiment_id for view in views}
        assert not unknown, f"experiments that were accepted are lost: {unknown}"
        check_ends(ends, [name for view in views for name in planned_jobs_of(view)], lost)
        check_numbers(ends)
        check_no_job_waits(self.client)
        check_outcomes(ends)
        for view in views:
            check_statuses(view, [one for one in ends if _experiment_of(one) == view.experiment_id])
            for learner in self.learners:
                self._check_same(learner, view.experiment_id)
        pictures = check_pictures(self.runners, ends)
        wait_until(self._are_equal, RECOVERY_SECONDS, what="files that are as far as each other", longest_poll=0.2)
        events = [Event(one.sequence, one.subject, one.message) for one in ends]
        for learner in self.learners:
            assert learner.terminate() == 0
            found = check_learner(learner.data / "learning.db", CLUSTER, events, was_asked=True)
            assert found == len(views), f"{learner.data.name} has {found} experiments of {len(views)}"
        how = Counter(outcome_of(one) for one in ends)
        told = ", ".join(f"{count} {what}" for what, count in sorted(how.items()))
        return len(ends), f"{len(ends)} jobs ({told}), {pictures} files at each of {len(self.runners)} runners"

    def close(self) -> None:
        """End what the workspace does not know."""
        self.client.connection.close()

    def _check_same(self, learner: ServiceProcess, name: str) -> None:
        """See that a learning service has an experiment as the first one has, at once or as soon as it has read it."""
        first = self.learners[0]

        def is_same() -> bool:
            with suppress(ControlError):  # while who leads is changing
                return view_of(learner, name) == view_of(first, name)
            return False

        wait_until(is_same, what=f"the same of {name} at {learner.data.name}")

    def _are_equal(self) -> bool:
        """Return whether all learning services have written as much of the ledger: who stands by does so later."""
        with suppress(ControlError):
            return len({metric_of(one, "variantbus_ledger_sequence") for one in self.learners}) == 1
        return False

    def _is_empty(self) -> bool:
        with suppress(ClusterError, nats.errors.Error):
            return not waiting_jobs(self.client)
        return False

    def _has_offers(self) -> bool:
        with suppress(ControlError):
            some = [one.ask("runner.list", {}, RunnerListReply).runners for one in self.learners]
            return all(runner.answers for runners in some for runner in runners) and all(some)
        return False


def tickets_of(runner: ServiceProcess) -> float:
    """Return how many jobs of the cluster a runner has taken and not done with."""
    return metric_of(runner, "variantbus_cluster_tickets")


def metric_of(service: ServiceProcess, name: str) -> float:
    """Return the value of a metric that has no labels."""
    found = service.ask("metrics", {}, MetricsReply).metrics
    return next(one.samples[0].value for one in found if one.name == name)


def _experiment_of(one: StoredEnd) -> str:
    mark = one.message.learning_context
    return mark.experiment_id if isinstance(mark, LearningContext) else ""


async def _told_leader(client: Client) -> str:
    found = await client.js.get_last_msg(f"KV_{names.LEADER}", f"$KV.{names.LEADER}.leader")
    return str(json.loads(found.data or b"{}").get("control", ""))
