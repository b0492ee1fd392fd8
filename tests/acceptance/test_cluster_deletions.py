"""Streams and buckets that a person deletes or empties while all runs: nothing that was answered is lost."""

from pathlib import Path
from typing import Final

import pytest
from nats.js.errors import NotFoundError

from bus.cluster import names
from tests.acceptance.test_cluster_learning import made_before, rename
from tests.support.cluster_services import ClusterServices, Shape
from tests.support.clusters import connected
from tests.support.helpers import PATIENCE, wait_until
from tests.support.learning_nodes import (
    TAKEOVER_SECONDS,
    LearningNode,
    leader_and_standby,
    wait_for_all,
    wait_for_leader,
    wait_for_name,
    wait_for_same_state,
)
from tests.support.nats_servers import NatsServers
from tests.support.workspace import Workspace

BUCKETS: Final = [f"KV_{names.LEADER}", f"KV_{names.RUNNERS}", f"OBJ_{names.PICTURES}", f"OBJ_{names.SNAPSHOTS}"]
STREAMS: Final = [names.JOBS, names.ENDS, names.LEDGER]
SEEN_SECONDS: Final = 5 * PATIENCE  # until who leads has looked, runners have announced themselves, and jobs have run


def delete(nats: NatsServers, deleted: list[str]) -> None:
    """Delete streams."""
    with connected(nats.url) as client:
        for name in deleted:
            client.run(client.js.delete_stream(name))


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "deleted",
    [
        pytest.param([names.LEDGER], id="ledger"),
        pytest.param([*STREAMS, *BUCKETS], id="all", marks=pytest.mark.exhaustive),
    ],
)
def test_whoever_led_begins_another_ledger_with_all_that_it_has(
    workspace: Workspace, nats: NatsServers, tmp_path: Path, deleted: list[str]
) -> None:
    """Also when nobody writes anything; whoever stands by takes its place behind it, and begins none itself."""
    data, experiment = made_before(workspace)
    first, second = leader_and_standby(workspace, nats, data, tmp_path / "second")
    rename(first, experiment, "before")
    wait_for_all(first, second)
    delete(nats, deleted)

    def is_begun() -> bool:
        with connected(nats.url) as client:
            try:
                return bool(client.run(client.js.stream_info(names.LEDGER)).state.last_seq)
            except NotFoundError:
                return False

    wait_until(is_begun, TAKEOVER_SECONDS, what="another ledger", longest_poll=0.5)
    leader = wait_for_leader(first, second)
    assert leader is first
    wait_for_all(first, second)
    wait_for_name(second, experiment, "before")
    rename(second, experiment, "after")
    wait_for_all(first, second)
    first.kill()
    second.wait_to_lead()
    wait_for_name(second, experiment, "after")


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
def test_buckets_that_are_deleted_are_made_again(workspace: Workspace, nats: NatsServers) -> None:
    """Who leads, which runners there are and pictures: without them nothing would be planned or would end."""
    services = ClusterServices(workspace, nats)
    try:
        services.start(runners=1, learners=2)
        shape = Shape(experiments=1, values=(0.01,), jobs_per_value=2)
        services.fill_up(shape, 1)
        services.drain(SEEN_SECONDS)
        delete(nats, BUCKETS)
        services.fill_up(shape, 2)
        services.drain(SEEN_SECONDS)
        accepted = services.accepted()  # one whose answer was lost may be planned, too
        assert len(accepted) == 2
        assert accepted <= {one.experiment_id for one in services.views()}
    finally:
        services.close()


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
def test_a_ledger_that_is_emptied_is_followed_again_by_a_new_machine(
    workspace: Workspace, nats: NatsServers, tmp_path: Path
) -> None:
    """Whoever leads puts a copy into the cluster then, for which the new one waits."""
    data, experiment = made_before(workspace)
    leader = LearningNode(workspace, nats, data)
    leader.wait_to_lead()
    rename(leader, experiment, "before")
    with connected(nats.url) as client:
        client.run(client.js.purge_stream(names.LEDGER))
        client.run(client.js.purge_stream(f"OBJ_{names.SNAPSHOTS}"))
    fresh = LearningNode(workspace, nats, tmp_path / "fresh")

    wait_for_all(leader, fresh)
    wait_for_name(fresh, experiment, "before")
    rename(fresh, experiment, "after")
    wait_for_all(leader, fresh)
    wait_for_same_state(leader, fresh)
