"""The fixture that starts our commands as processes and leaves none behind."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.dashboard import Dashboard, Deployment
from tests.support.experiment_files import services
from tests.support.nats_servers import NatsServers
from tests.support.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, no_leaks: None) -> Iterator[Workspace]:  # noqa: ARG001 - asked for what it does
    """Yield a folder and the means to start processes in it; all of them have ended afterwards."""
    workspace = Workspace(tmp_path)
    yield workspace
    workspace.close()


@pytest.fixture
def deployment(workspace: Workspace) -> Deployment:
    """Return runner, learning service and dashboard."""
    runner, learning = services(workspace)
    return workspace, runner, learning, Dashboard(workspace)


@pytest.fixture
def nats(workspace: Workspace) -> NatsServers:
    """Return a cluster of one server."""
    return NatsServers(workspace)


@pytest.fixture
def nats_cluster(workspace: Workspace) -> NatsServers:
    """Return a cluster of three servers."""
    return NatsServers(workspace, 3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the end of every process's stderr into the report of a failure."""
    report = yield
    workspace = getattr(item, "funcargs", {}).get("workspace")
    if report.failed and isinstance(workspace, Workspace):
        report.sections.append(("stderr of the processes", workspace.report()))
    return report
