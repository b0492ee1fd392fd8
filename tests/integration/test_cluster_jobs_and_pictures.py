"""Pictures and jobs in a cluster, by a real server."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from bus.cluster import jobs, names, pictures, streams
from bus.cluster.access import parse_access
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from tests.support.clusters import connected, wait_for_pending
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers

SECONDS = 30.0


@pytest.fixture
def connection(no_leaks: None, nats: NatsServers) -> Iterator[Connection]:  # noqa: ARG001 - it looks after us
    """Return a connection to a cluster that has its streams."""
    connection = Connection(parse_access(nats.url), "test")
    connection.run(_prepared(connection), SECONDS)
    yield connection
    connection.close()


async def _prepared(connection: Connection) -> None:
    await connection.ready()
    await streams.ensure(connection.js)


async def _read(js: JetStreamContext, picture: pictures.Picture, sha256: str) -> bytes:
    return b"".join([part async for part in pictures.parts(js, picture, sha256)])


def test_a_picture_is_put_once_read_in_parts_and_removed(connection: Connection, tmp_path: Path) -> None:
    """Who finds it there does not put it again; what is removed can be put anew."""
    data = bytes(range(256)) * 2000
    path, sha256 = tmp_path / "a.png", hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    js, run = connection.js, connection.run
    for _ in range(2):
        assert run(pictures.put(js, sha256, path, "image/png"), SECONDS)
        assert not run(pictures.put(js, sha256, path, "image/png"), SECONDS)
        found = run(pictures.find(js, sha256), SECONDS)
        assert found
        assert (found.media_type, found.bytes) == ("image/png", len(data))
        assert run(_read(js, found, sha256), SECONDS) == data
        assert run(pictures.remove(js, sha256), SECONDS)
        assert not run(pictures.remove(js, sha256), SECONDS)
        assert run(pictures.find(js, sha256), SECONDS) is None
        with pytest.raises(NotFoundError):
            run(_read(js, found, sha256), SECONDS)
    assert not run(pictures.remove(js, "0" * 64), SECONDS)


def test_nats_own_commands_read_a_picture(connection: Connection, tmp_path: Path) -> None:
    """As documented, for backups: it is an object as any other."""
    data = bytes(range(256)) * 2000
    path, sha256 = tmp_path / "a.png", hashlib.sha256(data).hexdigest()
    path.write_bytes(data)
    connection.run(pictures.put(connection.js, sha256, path, "image/png"), SECONDS)
    bucket = connection.run(connection.js.object_store(names.PICTURES), SECONDS)

    found = connection.run(bucket.get(sha256), SECONDS)

    assert found.data == data
    assert (found.info.description, found.info.size, found.info.chunks) == ("image/png", len(data), 4)
    assert [one.name for one in connection.run(bucket.list(), SECONDS)] == [sha256]


def test_a_picture_that_is_not_taken_waits_for_no_more_than_that(connection: Connection, tmp_path: Path) -> None:
    """Runners may not remove what was put of it; to ask for that all the same would only take time."""
    asked: list[str] = []

    class Deaf(JetStreamContext):
        async def publish(self, *_args: Any, **_options: Any) -> Any:
            raise TimeoutError

        async def purge_stream(self, name: str, *_args: Any, **_options: Any) -> bool:
            asked.append(name)
            return True

    path = tmp_path / "a.png"
    path.write_bytes(b"a picture")
    with pytest.raises(ClusterError):
        connection.run(pictures.put(Deaf(connection.client), "0" * 64, path, "image/png"), SECONDS)
    assert not asked


def test_a_picture_with_another_content_is_damaged(connection: Connection, tmp_path: Path) -> None:
    """What was put under a wrong hash is not believed."""
    path, sha256 = tmp_path / "a.png", "0" * 64
    path.write_bytes(b"something else")
    connection.run(pictures.put(connection.js, sha256, path, ""), SECONDS)
    found = connection.run(pictures.find(connection.js, sha256), SECONDS)
    assert found
    with pytest.raises(pictures.DamagedPictureError, match="does not match its hash"):
        connection.run(_read(connection.js, found, sha256), SECONDS)


def test_jobs_are_fetched_by_band_and_none_waits_where_none_is(connection: Connection) -> None:
    """The consumers are made when they are first asked; another pipeline has jobs of its own."""
    js, client, run = connection.js, connection.client, connection.run
    assert run(jobs.fetch(client, js, "a pipeline", 3), SECONDS) == []
    for band, name in (("low", "1"), ("normal", "a.b c"), ("high", "3"), ("normal", "4")):
        run(js.publish(names.job_subject("a pipeline", band, name), name.encode()), SECONDS)
    wait_for_pending(connection, "a pipeline", {"high": 1, "normal": 2, "low": 1})
    found = run(jobs.fetch(client, js, "a pipeline", 3), SECONDS)
    assert [(one.request, one.deliveries) for one in found] == [(b"3", 1), (b"a.b c", 1), (b"4", 1)]
    assert run(jobs.fetch(client, js, "another", 3), SECONDS) == []
    run(client.publish(found[0].reply, jobs.ACK), SECONDS)
    assert [one.request for one in run(jobs.fetch(client, js, "a pipeline", 3), SECONDS)] == [b"1"]
    assert run(js.stream_info(names.JOBS), SECONDS).state.messages == 3


def test_fewer_jobs_than_were_asked_for_are_all_that_there_are(no_leaks: None, nats_cluster: NatsServers) -> None:  # noqa: ARG001 - it looks after us
    """A server with copies says 408 behind them; were that an error, the last jobs would never run."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        assert client.run(jobs.fetch(client.connection.client, client.js, "some", 3)) == []  # the consumers are made
        for name in ("1", "2"):
            client.run(client.js.publish(names.job_subject("some", "normal", name), name.encode()))
        found: list[jobs.Delivery] = []

        def has_both() -> bool:  # the server that hands them out may hear of a job after the one that has taken it
            found.extend(client.run(jobs.fetch(client.connection.client, client.js, "some", 3)))
            return len(found) >= 2

        wait_until(has_both, what="both jobs")
        assert [(one.request, one.deliveries) for one in found] == [(b"1", 1), (b"2", 1)]


def test_a_consumer_of_which_a_server_hears_late_is_asked_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three servers another one may have made it; whoever warned of that would wait before it looks again."""
    make, late = jobs._make, list[asyncio.Task[None]]()

    async def made_late(*arguments: Any) -> None:
        async def made() -> None:
            await asyncio.sleep(0.2)
            await make(*arguments)

        late.append(asyncio.create_task(made()))

    monkeypatch.setattr(jobs, "_make", made_late)
    js, run = connection.js, connection.run
    run(js.publish(names.job_subject("some", "high", "1"), b"1"), SECONDS)
    assert [one.request for one in run(jobs.fetch(connection.client, js, "some", 1), SECONDS)] == [b"1"]
    assert len(late) == 1


def test_jobs_that_came_before_a_refusal_are_kept(connection: Connection) -> None:
    """Whoever leads the jobs may go while it answers; what it has sent would come again only after half a minute."""
    client, run = connection.client, connection.run

    async def answer(request: Msg) -> None:
        await client.publish(request.reply, b"job", reply="as.of.the.server.1.7.7.1.0")
        await client.publish(request.reply, headers={"Status": "409", "Description": "Leadership Change"})

    run(
        client.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.{names.JOBS}.{names.consumer_of('some', 'high')}", cb=answer),
        SECONDS,
    )
    found = run(jobs.fetch(client, connection.js, "some", 2), SECONDS)
    assert [(one.request, one.deliveries) for one in found] == [(b"job", 1)]


def test_all_that_the_client_raises_is_one_error(connection: Connection) -> None:
    """Whoever waits for an answer has one thing to handle."""
    run = connection.run
    run(connection.js.delete_stream(names.JOBS), SECONDS)
    with pytest.raises(ClusterError, match="stream not found"):
        run(asked(jobs.fetch(connection.client, connection.js, "nothing", 1)), SECONDS)
