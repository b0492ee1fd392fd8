"""The fixtures of tests that join services with runners, spoil a feed, or open a queue again and again."""

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bus.config.limits import Limits
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import describe, rows
from bus.transport.loop import Loop
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.queue.service import JobService
from pipeline_runner.service import Runner
from tests.servers.sdnext import FakeSdnext
from tests.servers.swarmui import FakeSwarmui
from tests.servers.webui import FakeWebui
from tests.support.comfyui_jobs import ComfyuiJobs, open_comfyui_jobs
from tests.support.factories import ServiceThread
from tests.support.held_pipelines import Local, Remote, Start
from tests.support.helpers import LOCALHOST, Service
from tests.support.job_queues import Open
from tests.support.learning_services import Services, open_services
from tests.support.lossy_relay import Policy, Relay
from tests.support.nats_servers import NatsServers
from tests.support.painting_runner import PaintingRunner
from tests.support.scorers import ScoringRunner
from tests.support.workspace import Workspace


@pytest.fixture(autouse=True)
def _intact_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at each log that is closed: whatever was written, by whichever statement, every row has its checksum."""

    def close(log: Log) -> None:
        wrong = []
        with suppress(sqlite3.ProgrammingError):  # a test may have closed it
            names = [name for (name,) in log._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            tables = [table for name in names if (table := describe(log._db, name))]
            wrong = [(table.name, row) for table in tables for row, intact in rows(log._db, table) if not intact]
        close_log(log)
        assert not wrong

    close_log = Log.close
    monkeypatch.setattr(Log, "close", close)


@pytest.fixture
def sdnext(no_leaks: None) -> Iterator[FakeSdnext]:  # noqa: ARG001 - it looks after us
    """Return a fake SD.Next, which is stopped at the end."""
    server = FakeSdnext()
    yield server
    server.stop()


@pytest.fixture
def swarmui(no_leaks: None) -> Iterator[FakeSwarmui]:  # noqa: ARG001 - it looks after us
    """Return a fake SwarmUI, which is stopped at the end."""
    server = FakeSwarmui()
    yield server
    server.stop()


@pytest.fixture
def services(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Services]:
    """Return the means to start services in threads; those that are left are stopped."""
    with open_services(tmp_path, monkeypatch) as services:
        yield services


@pytest.fixture
def relay(no_leaks: None) -> Iterator[Callable[[Service, Policy], Relay]]:  # noqa: ARG001 - it looks after us
    """Put relays before services: their `info` reports the relay's address as the feed."""
    relays: list[Relay] = []

    def make(service: Service, policy: Policy) -> Relay:
        relays.append(Relay(service.publisher.feed, policy))
        service.publisher.feed = relays[-1].address
        return relays[-1]

    yield make
    for one in relays:
        one.close()


@pytest.fixture
def comfy(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ComfyuiJobs]:
    """Yield the comfyui pipeline at a fake server."""
    with open_comfyui_jobs(tmp_path, monkeypatch) as jobs:
        yield jobs


@pytest.fixture
def reopen(tmp_path: Path, open_log: Callable[[Path], Log]) -> Open:
    """Open the service, and again on the same file, as the next runner does; its clock counts from 1."""
    logs: list[Log] = []

    def make() -> tuple[JobService, Log]:
        for log in logs:
            log.close()
        logs[:] = [open_log(tmp_path / "runner.db")]
        ticks = iter(range(1, 1000))
        return JobService(logs[0], clock=lambda: float(next(ticks))), logs[0]

    return make


@pytest.fixture
def service(reopen: Open) -> JobService:
    """Return a service with an empty queue."""
    return reopen()[0]


@pytest.fixture
def fake_webui(no_leaks: None) -> Iterator[Callable[..., FakeWebui]]:  # noqa: ARG001 - it looks after us
    """Start fake web UIs, which are stopped at the end."""
    servers: list[FakeWebui] = []

    def make(**options: Any) -> FakeWebui:
        servers.append(FakeWebui(**options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def painting_runner(no_leaks: None, tmp_path: Path) -> Iterator[PaintingRunner]:  # noqa: ARG001 - it looks after us
    """Return a runner with the painting pipeline."""
    painting_runner = PaintingRunner(tmp_path)
    yield painting_runner
    painting_runner.runner.stop()


@pytest.fixture
def scoring_runner(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ScoringRunner]:
    """Return a runner with the painting pipeline and scorers, which are tried again soon."""
    monkeypatch.setattr("pipeline_runner.scoring.kept.REST_SECONDS", (0.01, 0.02))
    scoring_runner = ScoringRunner(tmp_path)
    yield scoring_runner
    scoring_runner.runner.stop()


@pytest.fixture
def servers_folder(tmp_path: Path) -> Iterator[Workspace]:
    """Yield the means to start servers beside a test; all of them have ended afterwards."""
    (tmp_path / "servers").mkdir()
    workspace = Workspace(tmp_path / "servers")
    yield workspace
    workspace.close()


@pytest.fixture
def nats(servers_folder: Workspace) -> NatsServers:
    """Return a cluster of one server."""
    return NatsServers(servers_folder)


@pytest.fixture
def nats_cluster(servers_folder: Workspace) -> NatsServers:
    """Return a cluster of three servers."""
    return NatsServers(servers_folder, 3)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest and ask much more often than in earnest."""
    monkeypatch.setattr("pipeline_runner.queue.retries.FIRST_REST_SECONDS", 0.02)
    monkeypatch.setattr("pipeline_runner.execution.refresher.AWAY_SECONDS", 0.02)
    monkeypatch.setattr("pipeline_runner.execution.refresher.HURRY_SECONDS", 0.01)


@pytest.fixture
def sleepless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe a program that fails, however long a busy machine kept us from looking at the disk while it ran."""
    monkeypatch.setattr("pipeline_runner.pipelines.command.pipeline.BLIND_SECONDS", math.inf)


@pytest.fixture
def local() -> Local:
    """Return the pipeline without a server."""
    return Local()


@pytest.fixture
def remote() -> Remote:
    """Return the pipeline with one."""
    return Remote()


@pytest.fixture
def start_runner(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    impatient: None,  # noqa: ARG001 - before anything is started
    tmp_path: Path,
    local: Local,
    remote: Remote,
) -> Iterator[Start]:
    """Start a runner with one worker, again and again on the same file."""
    runners: list[ServiceThread[Runner]] = []

    def hosted(limits: Limits | None = None, more: dict[str, Pipeline] | None = None) -> ServiceThread[Runner]:
        def make(log: Log, loop: Loop) -> Runner:
            log.limits = limits or log.limits
            pipelines: dict[str, Pipeline] = {"local": local, "remote": remote, **(more or {})}
            outputs = Outputs(tmp_path / "outputs")
            return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST)

        for runner in runners:
            runner.stop()
        runners.append(ServiceThread(tmp_path / "runner.db", make))
        return runners[-1]

    yield hosted
    for runner in runners:
        runner.stop()
