"""`variantbus cluster check`, and `variantbus check` with a cluster."""

from typing import Final

import pytest

from tests.support.clusters import connected
from tests.support.helpers import wait_until
from tests.support.learning_nodes import LearningNode
from tests.support.nats_servers import NatsServers
from tests.support.workspace import Finished, Workspace, finish, sentence_of

CHECKS: Final = 120.0  # seconds for what may need several checks


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_a_cluster_is_well_until_a_server_dies(workspace: Workspace, nats_cluster: NatsServers) -> None:
    """The report has servers, streams, who leads and which runners are there, and `check` has it in short."""
    workspace.environment["VARIANTBUS_CLUSTER"] = nats_cluster.url
    with connected(nats_cluster.url) as client:
        client.ensure_three()
    learning = LearningNode(workspace, nats_cluster, workspace.folder / "learning")
    learning.wait_to_lead()
    workspace.runner()
    workspace.environment["VARIANTBUS_LEARNING"] = learning.control
    monitors = [word for node in nats_cluster.nodes for word in ("--monitor", node._monitor)]

    def when(code: int, said: str, *arguments: str) -> Finished:
        """Check until the status is as expected and something is said: what is so is known after a while."""
        tried: list[Finished] = []

        def is_so() -> bool:
            running = workspace.command(*arguments)
            running.wait()
            tried.append(finish(running))
            return tried[-1].code == code and said in tried[-1].out

        wait_until(is_so, CHECKS, what=f"{code} and {said!r} of {arguments}")
        return tried[-1]

    report = when(0, "", "cluster", "check", "--json", *monitors).json
    assert report["cluster"]["leads"].endswith(f"({learning.control})")
    assert len(report["cluster"]["runners"]) == 1
    assert [one["syncs"] for one in report["cluster"]["servers"]] == [True] * 3
    text = when(0, "", "cluster", "check").out
    assert text.startswith("ok\n")
    assert "LEDGER" in text
    when(0, "variantbus_cluster_stream_copies{", "check", "--format", "prometheus")
    (row,) = (line for line in when(0, "", "check").out.splitlines() if line.startswith("cluster"))
    assert row.endswith("0 jobs waiting, 1 runner")

    nats_cluster.nodes[0].kill()

    when(4, f"{nats_cluster.nodes[0].url}: does not answer", "cluster", "check", "--timeout", "2")
    nats_cluster.nodes[1].kill()

    when(3, "has a JetStream that answers", "cluster", "check", "--timeout", "1")
    nats_cluster.nodes[2].kill()
    assert "no server of the cluster answers" in workspace.run("cluster", "check", "--timeout", "1", code=3).out


def test_without_a_cluster_the_option_is_named(workspace: Workspace) -> None:
    """There is no usual place of a cluster."""
    assert "give --cluster" in sentence_of(workspace.run("cluster", "check", code=2))
