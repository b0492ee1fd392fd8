"""The disk of a server is full: that is told, nothing is lost, and all goes on after room was made."""

from collections.abc import Iterator

import pytest

from bus.contracts.experiments import ExperimentView, RenameParams
from bus.protocol.control import ControlError
from tests.acceptance.test_cluster_learning import made_before, rename
from tests.support.helpers import wait_until
from tests.support.learning_nodes import TAKEOVER_SECONDS, LearningNode, wait_for_name
from tests.support.nats_servers import NatsServers
from tests.support.small_disk import SmallDisk
from tests.support.workspace import Workspace

MIB = 1 << 20


@pytest.fixture
def disk(workspace: Workspace) -> Iterator[SmallDisk]:
    """Yield the disk of the one server."""
    folder = workspace.folder / "nats-0"
    folder.mkdir()
    small = SmallDisk(folder / "data", 32 * MIB)
    if small.reason:
        pytest.skip(f"no file system can be mounted: {small.reason}")
    yield small
    workspace.close()  # the server writes there
    small.close()


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
def test_a_full_disk_of_a_server_is_told_and_costs_nothing(disk: SmallDisk, workspace: Workspace) -> None:
    """`cluster check` names the server, and the learning service says in its log why nobody leads."""
    nats = NatsServers(workspace)
    (server,) = nats.nodes
    data, experiment = made_before(workspace)
    learning = LearningNode(workspace, nats, data)
    learning.wait_to_lead()
    rename(learning, experiment, "before")
    disk.fill()

    def is_refused() -> bool:
        try:
            learning.ask("experiment.rename", RenameParams(experiment_id=experiment, name="lost?"), ExperimentView)
        except ControlError as error:
            return error.code == "unavailable"
        return False

    wait_until(is_refused, TAKEOVER_SECONDS, what="a refusal")
    said = "nobody can become the one that leads"
    wait_until(lambda: said in learning.process.errors(), TAKEOVER_SECONDS, what="the words of the log")
    check = ("cluster", "check", "--json", "--cluster", nats.url, "--monitor", server._monitor)
    details = [one["detail"] for one in workspace.run(*check, code=4).json["problems"]]
    assert any("no space left on device; if its disk is full, make room and restart it" in one for one in details)

    disk.free()
    server.terminate()
    server.start()

    learning.wait_to_lead()
    rename(learning, experiment, "after")
    wait_for_name(learning, experiment, "after")
