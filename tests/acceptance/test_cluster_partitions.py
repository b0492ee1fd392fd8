"""A server, a learning service or a runner is cut off, both ways and one way; each job ends once and counts once."""

import time
from collections.abc import Iterator
from typing import Final

import pytest

from bus.cluster import names
from tests.support.cluster_cast import BEYOND_ACK_SECONDS
from tests.support.cluster_services import ClusterServices, Shape, metric_of
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.nats_network import Network, Way
from tests.support.workspace import ServiceProcess, Workspace

SHAPE: Final = Shape(1, (0.05, 0.2, 0.5, 1.0, 2.0), 4)
CUT_SECONDS: Final = 8.0  # longer than it takes anybody to notice
DRAIN_SECONDS: Final = 2 * BEYOND_ACK_SECONDS
WAYS: Final[tuple[Way, ...]] = ("both", "out", "in")


@pytest.fixture
def network(workspace: Workspace) -> Iterator[Network]:
    """Yield three servers behind proxies."""
    network = Network(workspace)
    yield network
    network.close()


@pytest.fixture
def services(workspace: Workspace, network: Network) -> Iterator[ClusterServices]:
    """Yield two runners and two learning services, each with an own way to each server."""
    services = ClusterServices(workspace, network.servers, network.url)
    services.start(runners=2, learners=2)
    yield services
    services.close()


def leader_of(services: ClusterServices) -> str:
    """Return the name of the learning service that leads."""
    return services.leading() or "learning-0"


def fenced(runner: ServiceProcess) -> float:
    """Return how many ends of a runner were refused, as its jobs had ended elsewhere."""
    return metric_of(runner, "variantbus_cluster_ends_fenced_total")


def cut(network: Network, services: ClusterServices, victim: str, way: Way) -> None:
    """Cut somebody off."""
    if victim == "server":
        network.cut_node(network.servers.leader_of(names.ENDS) or network.servers.nodes[0], way)
    else:
        network.cut_client(leader_of(services) if victim == "learning" else "runner-0", way)


@pytest.mark.exhaustive
@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["server", "learning", "runner"])
def test_who_is_cut_off_and_back_neither_loses_nor_repeats_a_job(
    network: Network, services: ClusterServices, victim: str
) -> None:
    """Cut off for some seconds, one way after the other; the leader of the learning services, and that of the ends."""
    for way in WAYS:
        services.submit(SHAPE, services.learners[1])
        cut(network, services, victim, way)
        time.sleep(CUT_SECONDS * TIME_FACTOR)  # there is no condition to wait for: whoever is cut off cannot be asked
        network.mend()
    network.servers.wait_for_leader()
    services.recover()
    services.drain(DRAIN_SECONDS)
    services.check_all()


@pytest.mark.exhaustive
@pytest.mark.timeout(400)
def test_a_runner_that_is_cut_off_for_longer_than_its_jobs_are_kept_for_it(
    network: Network, services: ClusterServices
) -> None:
    """Others have ended them by then: its own ends are refused."""
    services.submit(SHAPE, services.learners[0])
    services.wait_for_ends(5)
    network.cut_client("runner-0")
    time.sleep(BEYOND_ACK_SECONDS)  # that of the servers, which nothing scales
    network.mend()
    services.recover()
    services.drain(DRAIN_SECONDS)
    wait_until(lambda: fenced(services.services["runner-0"]), what="ends that are refused")
    services.check_all()
