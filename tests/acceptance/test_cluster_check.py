"""`variantbus cluster check`, and `variantbus check` with a cluster."""

from typing import Final

import pytest

from bus.cluster import streams
from tests.support.clusters import connected
from tests.support.helpers import wait_until
from tests.support.learning_nodes import LearningNode
from tests.support.nats_servers import READY_SECONDS, NatsServers
from tests.support.workspace import Workspace, finish, sentence_of

CHECKS: Final = 120.0  # seconds for what may need several checks


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_a_cluster_is_well_until_a_server_dies(workspace: Workspace, nats_cluster: NatsServers) -> None:
    """The report has servers, streams, who leads and which runners are there, and `check` has it in short."""
    workspace.environment["VARIANTBUS_CLUSTER"] = nats_cluster.url
    with connected(nats_cluster.url) as client:
        wait_until(lambda: client.ensure() == streams.COPIES, READY_SECONDS, what="three copies", longest_poll=0.5)
    learning = LearningNode(workspace, nats_cluster, workspace.folder / "learning")
    learning.wait_to_lead()
    workspace.runner()
    workspace.environment["VARIANTBUS_LEARNING"] = learning.control
    monitors = [word for node in nats_cluster.nodes for word in ("--monitor", node._monitor)]

    def is_well() -> bool:
        found = workspace.command("cluster", "check", "--json", *monitors)
        return found.wait() == 0

    wait_until(is_well, CHECKS, what="a cluster that is well")
    report = workspace.run("cluster", "check", "--json", *monitors).json
    assert report["cluster"]["leads"].endswith(f"({learning.control})")
    assert len(report["cluster"]["runners"]) == 1
    assert [one["syncs"] for one in report["cluster"]["servers"]] == [True] * 3
    text = workspace.run("cluster", "check").out
    assert text.startswith("ok\n")
    assert "LEDGER" in text
    numbers = workspace.run("check", "--format", "prometheus").out
    assert "variantbus_cluster_stream_copies{" in numbers
    (row,) = (line for line in workspace.run("check").out.splitlines() if line.startswith("cluster"))
    assert row.endswith("0 jobs waiting, 1 runner")

    nats_cluster.nodes[0].kill()

    told = workspace.run("cluster", "check", "--timeout", "2", code=4)
    assert f"{nats_cluster.nodes[0].url}: does not answer" in told.out
    nats_cluster.nodes[1].kill()

    def has_no_majority() -> bool:
        alone = workspace.command("cluster", "check", "--timeout", "1")
        alone.wait()
        return "has a JetStream that answers" in finish(alone).out

    wait_until(has_no_majority, CHECKS, what="a server that knows itself to be alone")
    nats_cluster.nodes[2].kill()
    assert "no server of the cluster answers" in workspace.run("cluster", "check", "--timeout", "1", code=3).out


def test_without_a_cluster_the_option_is_named(workspace: Workspace) -> None:
    """There is no usual place of a cluster."""
    assert "give --cluster" in sentence_of(workspace.run("cluster", "check", code=2))
