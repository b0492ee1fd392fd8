"""The ends of jobs are read on, whatever the client of NATS raises."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bus.cluster import tail
from tests.support.clusters import connected
from tests.support.factories import well
from tests.support.helpers import wait_until
from tests.support.learning_services import ALL, create, wait_for
from tests.support.nats_servers import NatsServers
from tests.support.scripted_cluster import ClusterRunner, learning_of

pytestmark = pytest.mark.usefixtures("no_leaks")


async def broken(*_arguments: Any) -> AsyncIterator[list[tail.Stored]]:
    """Raise what a client raises whose connection breaks just then."""
    raise AttributeError("'NoneType' object has no attribute 'write'")
    yield []


def test_what_the_client_raises_in_surprise_ends_no_reading(
    nats: NatsServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The service would lead on, and hear of no end any more."""
    with connected(nats.url) as client:
        client.ensure()
        runner = ClusterRunner(client)
        with monkeypatch.context() as patch:
            patch.setattr(tail, "follow", broken)
            learning = learning_of(nats.url, tmp_path / "learning.db")
            wait_until(lambda: "work at the cluster failed" in caplog.text, what="a surprise")
        try:
            create(learning)
            for job_id in runner.take_all(len(ALL)):
                runner.finish(job_id, well("a"))
            wait_for(learning, "completed")
        finally:
            learning.stop()
