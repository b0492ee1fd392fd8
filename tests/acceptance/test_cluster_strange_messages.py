"""What is in the ledger and is no entry: NATS puts its answers wherever who asks says, whatever that one may write."""

from pathlib import Path
from typing import Final

import pytest

from bus.cluster import names
from tests.acceptance.test_cluster_learning import made_before, rename
from tests.support.clusters import connected
from tests.support.learning_nodes import LearningNode, leader_and_standby, wait_for_all, wait_for_name
from tests.support.nats_servers import NatsServers
from tests.support.workspace import Workspace

ANSWERS: Final = 3


def have_answers_in_the_ledger(nats: NatsServers) -> None:
    """Let the servers put some there."""
    with connected(nats.url) as client:
        client.have_answers_at(names.ENTRY, names.LEDGER, ANSWERS)


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
def test_answers_in_the_ledger_are_passed_over(workspace: Workspace, nats: NatsServers, tmp_path: Path) -> None:
    """Whoever leads gives its place up, as somebody else has written; all go on behind them, with the same files."""
    data, experiment = made_before(workspace)
    first, second = leader_and_standby(workspace, nats, data, tmp_path / "second")
    have_answers_in_the_ledger(nats)

    rename(second, experiment, "after")
    wait_for_all(first, second)
    first.kill()
    second.wait_to_lead()
    have_answers_in_the_ledger(nats)
    rename(second, experiment, "at last")
    third = LearningNode(workspace, nats, tmp_path / "third")
    wait_for_all(second, third)

    wait_for_name(third, experiment, "at last")
    assert "made anew" not in first.process.errors() + second.process.errors()
