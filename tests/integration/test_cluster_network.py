"""A network that is cut is noticed by those who are cut off, and not missed by others."""

from collections.abc import Iterator
from contextlib import suppress

import nats.errors
import pytest

from bus.cluster import ends, names
from bus.cluster.errors import ClusterError
from tests.support.clusters import Client, connected, end
from tests.support.helpers import wait_until
from tests.support.nats_network import Network, Way
from tests.support.nats_servers import READY_SECONDS
from tests.support.workspace import Workspace


@pytest.fixture
def network(servers_folder: Workspace, no_leaks: None) -> Iterator[Network]:  # noqa: ARG001 - it looks after us
    """Yield three servers behind proxies."""
    network = Network(servers_folder)
    yield network
    network.close()


def commits(client: Client, job: str) -> bool:
    """Return whether the end of a job can be committed now."""
    with suppress(ClusterError, nats.errors.Error):
        return bool(client.run(ends.commit(client.js, names.end_subject("exp", 0, job), end("only"))) == "won")
    return False


EACH_WAY = pytest.mark.parametrize(
    "way", ["both", *(pytest.param(way, marks=pytest.mark.exhaustive) for way in ("out", "in"))]
)


@EACH_WAY
def test_a_client_that_is_cut_off_comes_back(network: Network, way: Way) -> None:
    """It knows after seconds, whichever way is cut, and another client works all the time."""
    with connected(network.url("one")) as one, connected(network.url("other")) as other:
        one.ensure_three()
        other.run(other.connection.ready())
        network.cut_client("one", way)
        wait_until(lambda: not one.connection.is_connected, READY_SECONDS, what="the notice of the cut")
        assert commits(other, "job-1")
        with pytest.raises(ClusterError):
            one.connection.run(ends.find(one.js, "end.>"), 1.0)
        network.mend()
        wait_until(lambda: commits(one, "job-1"), READY_SECONDS, what="a connection after the cut")


@EACH_WAY
def test_a_server_that_is_cut_off_is_not_missed(network: Network, way: Way) -> None:
    """The two others go on, also when it has led them, and it has all when it is back."""
    with connected(network.url("one")) as client:
        client.ensure_three()
        leader = network.servers.leader_of(names.ENDS)
        assert leader
        network.cut_node(leader, way)
        wait_until(lambda: commits(client, "job-1"), READY_SECONDS, what="an end without the server")
        network.mend()
        network.servers.wait_for_leader()
        network.servers.wait_healthy()
        wait_until(lambda: commits(client, "job-2"), READY_SECONDS, what="an end after the cut")
        assert client.run(ends.find(client.js, "end.*.*.job-2")).sequence == 2
