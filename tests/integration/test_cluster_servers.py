"""The servers that tests of the cluster stand on do what those tests ask of them."""

import pytest

from bus.cluster import names, streams
from bus.cluster.access import parse_access
from bus.cluster.connection import Connection
from tests.support.clusters import connected
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers

SECONDS = 30.0


@pytest.mark.usefixtures("no_leaks")
def test_one_server_is_a_cluster_that_can_be_killed_and_started_again(nats: NatsServers) -> None:
    """It keeps its address and what it has stored."""
    connection = Connection(parse_access(nats.url), "test")
    try:
        assert connection.run(streams.ensure(connection.js), SECONDS) == 1
        nats.nodes[0].kill()
        wait_until(lambda: not connection.is_connected, what="a broken connection")
        nats.heal()
        nats.wait_for_leader()
        wait_until(lambda: connection.is_connected, what="a new connection")
        assert connection.run(streams.exists(connection.js), SECONDS)
    finally:
        connection.close()


@pytest.mark.exhaustive
@pytest.mark.usefixtures("no_leaks")
def test_three_servers_have_leaders_and_lose_one_with_all_that_it_had(nats_cluster: NatsServers) -> None:
    """The leader of a stream is paused and another one leads; a node without its data gets it back."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        leader = nats_cluster.leader_of(names.ENDS)
        assert leader
        leader.pause()
        wait_until(lambda: nats_cluster.leader_of(names.ENDS) not in (None, leader), SECONDS, what="another leader")
        leader.carry_on()
        leader.kill()
        leader.delete_data()
        nats_cluster.heal()
        nats_cluster.wait_healthy()
        assert (leader.data / "jetstream").is_dir()
