"""What the promises of the cluster stand on: without it they break, and the checker of the other tests notices.

Each test goes through the same with and without it.
"""

import signal
from collections.abc import Iterator
from typing import Final

import pytest

from bus.cluster import names
from tests.support.cluster_services import ClusterServices, Shape
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers
from tests.support.workspace import COMMAND_SECONDS, ROOT, Workspace

SHAPE: Final = Shape(1, (0.02, 0.03), 2)
DRAIN_SECONDS: Final = 60.0
SHORT_SECONDS: Final = 15.0  # in which all would have ended
HOLD: Final = "hold"


@pytest.fixture
def services(workspace: Workspace, nats: NatsServers) -> Iterator[ClusterServices]:
    """Yield the means to start spoiled services."""
    workspace.environment |= {"PYTHONPATH": str(ROOT), "HOLD": str(workspace.folder / HOLD)}
    services = ClusterServices(workspace, nats)
    yield services
    services.close()


def start(services: ClusterServices, name: str, module: str, words: str) -> None:
    """Start a service of which something is spoiled."""
    services.workspace.environment["SPOILED"] = words
    services.start_service(name, f"tests.support.{module}")


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
@pytest.mark.parametrize("spoiled", ["", "compare"])
def test_a_late_worker_would_end_a_job_again_if_nothing_were_compared(services: ClusterServices, spoiled: str) -> None:
    """It was just about to write the end of its job when it was paused, and goes on when another one has done it."""
    start(services, "learning-0", "spoiled_learner", "")
    start(services, "runner-0", "spoiled_runner", f"hold {spoiled}")
    services.wait_for_offers()
    services.submit(SHAPE, services.learners[0])
    late = services.services["runner-0"].process
    wait_until(lambda: late.text().count("held") >= SHAPE.jobs, COMMAND_SECONDS, what="ends that are held")
    late.send(signal.SIGSTOP)
    start(services, "runner-1", "spoiled_runner", "")
    services.wait_for_ends(SHAPE.jobs)
    services.workspace.write(HOLD, "")
    late.send(signal.SIGCONT)
    wait_until(lambda: late.text().count("sent") >= SHAPE.jobs, DRAIN_SECONDS, what="the late ends")
    if spoiled:
        with pytest.raises(AssertionError, match="jobs have several ends"):
            services.check_all()
    else:
        services.drain(DRAIN_SECONDS)
        services.check_all()


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
@pytest.mark.parametrize("spoiled", ["", "positions"])
def test_an_end_that_the_cluster_lost_would_be_missed_if_no_position_were_checked(
    services: ClusterServices, spoiled: str
) -> None:
    """It was acknowledged, and is not there when the learning service comes to read it."""
    start(services, "learning-0", "spoiled_learner", spoiled)
    start(services, "runner-0", "spoiled_runner", "")
    services.wait_for_offers()
    services.submit(SHAPE, services.learners[0])
    services.wait_for_ends(SHAPE.jobs)
    services.client.run(services.client.js.delete_msg(names.ENDS, 2))
    services.workspace.write(HOLD, "")
    if spoiled:
        with pytest.raises(AssertionError, match="the end of all jobs"):
            services.drain(SHORT_SECONDS)
    else:
        services.drain(DRAIN_SECONDS)
        services.check_all(lost=1)
