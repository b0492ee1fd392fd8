"""The connection to a cluster is there whenever a server is, and says so when none is."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlparse

import nats.errors
import pytest
from nats.aio.client import Client, Srv
from nats.aio.transport import TcpTransport

from bus.cluster import streams
from bus.cluster.access import Access, parse_access
from bus.cluster.connection import Connection, _Client
from bus.cluster.errors import ClusterError, ClusterRefusedError
from tests.support.clusters import ANSWER_SECONDS, connected
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_servers_may_come_later(nats: NatsServers) -> None:
    """Who waits for the connection goes on when the first one is there."""
    nats.nodes[0].kill()
    with connected(nats.url) as client:
        waits = client.connection.submit(client.connection.ready())
        with pytest.raises(ClusterError, match=r"not answered within 0.3 s"):
            client.connection.run(client.connection.ready(), 0.3)
        assert not client.connection.is_connected
        nats.heal()
        waits.result(ANSWER_SECONDS)
        assert client.connection.is_connected
        assert client.ensure() == 1


def test_a_server_that_is_paused_is_left_for_another_one(nats_cluster: NatsServers) -> None:
    """It keeps its connections open, and is noticed by its silence."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        used = client.connection.client.connected_url
        assert used
        node = next(one for one in nats_cluster.nodes if one.port == used.port)
        node.pause()

        def is_moved() -> bool:
            now = client.connection.client.connected_url
            return client.connection.is_connected and now is not None and now.port != node.port

        wait_until(is_moved, ANSWER_SECONDS, what="a connection to another server")

        def is_answered() -> bool:
            with suppress(ClusterError, nats.errors.Error):  # the paused one may have led the stream
                return bool(client.run(streams.exists(client.js)))
            return False

        wait_until(is_answered, ANSWER_SECONDS, what="an answer")
        node.carry_on()


@pytest.mark.exhaustive
def test_what_is_on_its_way_to_a_server_that_is_paused_holds_nobody_back(nats_cluster: NatsServers) -> None:
    """More than the systems between take, so that the connection cannot be closed in good order."""
    with connected(nats_cluster.url) as client:
        client.run(client.connection.ready())
        mine = client.connection.client
        used = mine.connected_url
        assert used
        node = next(one for one in nats_cluster.nodes if one.port == used.port)
        node.pause()
        flood = client.connection.submit(_flood(mine))
        wait_until(lambda: mine.is_connected and mine.connected_url != used, ANSWER_SECONDS, what="another server")
        node.carry_on()
        flood.cancel()


async def _flood(client: Client) -> None:
    while True:
        with suppress(nats.errors.Error):  # its own buffer is full, too
            await client.publish("some", bytes(1 << 20))
        await asyncio.sleep(0.02)


def test_two_attempts_that_are_given_up_at_once_leave_no_error() -> None:
    """A connection was closed that broke just then: the second finds that the first has said so."""
    client = _Client()
    client.options = {}

    async def chosen() -> None:
        client._current_server = Srv(urlparse("nats://127.0.0.1:9"))
        await client._attempt_reconnect()

    async def given_up() -> None:
        assert client._reconnection_task_future
        client._reconnection_task_future.set_result(True)
        raise asyncio.CancelledError

    client._reconnect_to_server_handler = None
    client._select_next_server = given_up  # type: ignore[method-assign]
    asyncio.run(chosen())


def test_who_asks_while_a_connection_is_replaced_is_told_so() -> None:
    """The client has nothing to write to then, and whoever handles no error of Python's would end."""
    client = _Client()

    async def asked() -> None:
        client._status, client._flush_queue = Client.CONNECTED, asyncio.Queue()
        client._transport = TcpTransport()  # type: ignore[no-untyped-call]  # it has no types
        await client.publish("some", b"thing")

    with pytest.raises(nats.errors.ConnectionReconnectingError):
        asyncio.run(asked())


def test_a_connection_closes_while_no_server_is_there(tmp_path: Path) -> None:
    """Whatever was begun is given up."""
    connection = Connection(parse_access("nats://127.0.0.1:9"), "test")
    waits = connection.submit(connection.ready())
    connection.close()
    wait_until(waits.cancelled, what="the end of the wait")
    assert tmp_path.exists()


def test_nothing_is_said_of_a_connection_that_was_closed_on_purpose(
    nats: NatsServers, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not lost."""
    with connected(nats.url) as client:
        client.ensure()
    assert "lost" not in caplog.text


def test_work_that_is_not_done_in_time_is_given_up(nats: NatsServers) -> None:
    """Whether it was done is not known."""
    with connected(nats.url) as client, pytest.raises(ClusterError, match=r"not answered within 0.1 s"):
        client.connection.run(asyncio.sleep(60), 0.1)


def test_an_answer_that_does_not_come_is_told_as_one(nats: NatsServers) -> None:
    """Work has limits of its own, shorter than that of who waits for it."""
    with connected(nats.url) as client:
        client.ensure()
        nats.nodes[0].pause()
        with pytest.raises(ClusterError, match=r"the cluster has not answered$"):
            client.run(client.js.publish("end.exp.0.job-1", b"", timeout=0.1))
        nats.nodes[0].carry_on()


def test_credentials_that_cannot_be_read_are_refused_at_once(tmp_path: Path) -> None:
    """The sentence names the file."""
    missing, nonsense = tmp_path / "missing", tmp_path / "ca.pem"
    nonsense.write_text("no certificate", encoding="utf-8")
    with pytest.raises(ClusterRefusedError, match="missing cannot be read"):
        Connection(Access(servers=("nats://127.0.0.1:9",), credentials=missing), "test")
    with pytest.raises(ClusterRefusedError, match="no certificates"):
        Connection(Access(servers=("nats://127.0.0.1:9",), ca=nonsense), "test")


def test_a_lost_connection_is_told(nats: NatsServers, caplog: pytest.LogCaptureFixture) -> None:
    """And that it is there again."""
    caplog.set_level(logging.INFO)
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        nats.nodes[0].kill()
        wait_until(lambda: "the connection to the cluster is lost" in caplog.text, what="the warning")
        nats.heal()
        wait_until(lambda: "connected to the cluster again" in caplog.text, ANSWER_SECONDS, what="the good news")


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"-----BEGIN NATS USER JWT-----\nx\n", b"SUAAAA", "\u00fcber".encode()]
)
def test_a_file_that_has_no_credentials_is_refused_before_anything_else(tmp_path: Path, content: bytes) -> None:
    """A client that cannot read them would never say so, and never connect."""
    path = tmp_path / "runner.seed"
    path.write_bytes(content)
    with pytest.raises(ClusterRefusedError, match="no seed of an nkey") as caught:
        Connection(Access(servers=("nats://127.0.0.1:9",), credentials=path), "test")
    assert str(path) in str(caught.value)


def test_work_that_is_cancelled_while_all_ends_is_no_other_error(nats: NatsServers) -> None:
    """The client of NATS cancels its own tasks when a connection breaks while it is closed."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with connected(nats.url) as client, pytest.raises(ClusterError, match="given up"):
        client.run(cancelled())
