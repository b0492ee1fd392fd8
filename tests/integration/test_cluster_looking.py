"""What is asked beside a cluster may be something else: it is told, and ends nothing."""

from urllib.parse import urlsplit

import pytest

from bus.cluster.access import parse_access
from tests.support.nats_servers import NatsServers
from variantbus.cluster.configuration import Node
from variantbus.cluster.local import is_healthy
from variantbus.cluster.looking import look


def test_the_port_for_clients_is_no_monitoring(nats: NatsServers, caplog: pytest.LogCaptureFixture) -> None:
    """It answers, but not in HTTP."""
    port = urlsplit(nats.url).port
    assert port
    view, _ = look(parse_access(nats.url), [f"http://127.0.0.1:{port}"], 5.0)
    assert [(one.syncs, one.problem) for one in view.servers] == [(None, "")]
    assert "does not tell how a server is" in caplog.text
    assert not is_healthy(Node(name="nats-1", monitor=port))
