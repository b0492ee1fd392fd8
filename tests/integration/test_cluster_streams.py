"""Streams and buckets of the cluster are made once, by whoever comes first, and get more copies with more servers."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from nats.errors import Error as NatsError

from bus.cluster import ends, names, streams
from bus.cluster.errors import ClusterError, ClusterRefusedError
from tests.support.clusters import Client, connected, end
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.nats_servers import READY_SECONDS, NatsServers
from tests.support.scripted_cluster import insist
from tests.support.workspace import Workspace

pytestmark = pytest.mark.usefixtures("no_leaks")
BUCKETS = [f"KV_{name}" for name in (names.LEADER, names.RUNNERS)]
OBJECTS = [f"OBJ_{name}" for name in (names.PICTURES, names.SNAPSHOTS)]
ALL = sorted([names.JOBS, names.ENDS, names.LEDGER, *BUCKETS, *OBJECTS])


def copies(client: Client) -> dict[str, int]:
    """Return how many copies each stream has."""
    found = client.run(client.js.streams_info())
    return {one.config.name: one.config.num_replicas for one in found}


def wait_for_copies(client: Client, number: int) -> None:
    """Wait until each stream has so many copies; while servers choose who leads it, it tells nothing."""

    def are_there() -> bool:
        with suppress(ClusterError, NatsError):
            return copies(client) == dict.fromkeys(ALL, number)
        return False

    wait_until(are_there, READY_SECONDS, what=f"{number} copies of everything", longest_poll=0.2)


@pytest.mark.exhaustive
def test_a_server_that_is_away_is_no_reason_for_fewer_copies(nats_cluster: NatsServers) -> None:
    """They are made while all are there; who looks later finds them as they are."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        nats_cluster.nodes[0].kill()
        nats_cluster.wait_for_leader()
        wait_until(lambda: nats_cluster.leader_of(names.ENDS) in nats_cluster.awake, READY_SECONDS, what="a leader")
        found: list[int] = []
        insist(lambda: found.append(client.ensure()))
        assert found == [3]


def test_they_are_made_once(nats: NatsServers) -> None:
    """Whoever makes them again changes nothing, and loses nothing."""
    subject = names.end_subject("exp", 0, "job-1")
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        assert not client.run(streams.exists(client.js))
        assert client.ensure() == 1
        assert client.run(streams.exists(client.js))
        assert copies(client) == dict.fromkeys(ALL, 1)
        client.run(ends.commit(client.js, subject, end("first")))
        assert client.ensure() == 1
        assert client.run(ends.find(client.js, subject)) == (1, end("first"))


def test_two_services_may_make_them_at_once(nats_cluster: NatsServers) -> None:
    """Neither fails because the other one was quicker."""

    async def both(one: Client) -> list[int]:
        return list(await asyncio.gather(streams.ensure(one.js), streams.ensure(one.js)))

    with connected(nats_cluster.url) as client:
        client.run(client.connection.ready())
        assert len(client.run(both(client))) == 2
        client.ensure_three()
        wait_for_copies(client, 3)


def test_a_cluster_that_grows_gets_more_copies(servers_folder: Workspace) -> None:
    """Two of three servers are not enough for copies; with the third one all that is there is copied."""
    nats = NatsServers(servers_folder, 3, first=2)
    subject = names.end_subject("exp", 0, "job-1")
    with connected(nats.url) as client:
        assert client.ensure() == 1
        assert client.run(ends.commit(client.js, subject, end("first"))) == "won"
        nats.heal()
        nats.wait_for_leader()
        client.ensure_three()
        wait_for_copies(client, 3)
        found: list[object] = []
        insist(lambda: found.append(client.run(ends.find(client.js, subject))))
        insist(lambda: found.append(client.run(ends.commit(client.js, subject, end("late")))))
        assert found == [(1, end("first")), "fenced"]


@pytest.mark.exhaustive
def test_who_leads_looks_for_servers_that_have_come(servers_folder: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there are three copies of all, and of what each consumer knows."""
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.5)
    nats = NatsServers(servers_folder, 3, first=2)
    with connected(nats.url) as client:
        assert client.ensure() == 1
        client.run(client.js.add_consumer(names.JOBS, streams.job_consumer("noop", "normal", 1)))
        keeping = client.connection.submit(streams.keep(client.js))
        nats.heal()
        wait_for_copies(client, 3)
        consumer = names.consumer_of("noop", "normal")

        def has_three() -> bool:
            with suppress(ClusterError, NatsError):
                cluster = client.run(client.js.consumer_info(names.JOBS, consumer)).cluster
                return len(cluster.replicas or []) == 2
            return False

        wait_until(has_three, READY_SECONDS, what="three copies of the consumer")
        keeping.cancel()


def test_who_leads_makes_again_what_somebody_deletes(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """But the ledger: with what another one begins, a learning service decides that."""
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.1)
    with connected(nats.url) as client:
        client.ensure()
        keeping = client.connection.submit(streams.keep(client.js))
        for name in ALL:
            if name != names.LEDGER:
                client.run(client.js.delete_stream(name))
                wait_for_copies(client, 1)
        assert not keeping.done()
        client.run(client.js.delete_stream(names.LEDGER))
        keeping.result(READY_SECONDS * TIME_FACTOR)
        assert names.LEDGER not in copies(client)


def test_copies_that_are_there_are_never_taken_away(servers_folder: Workspace) -> None:
    """Though there is no place for three of a new stream now."""
    nats = NatsServers(servers_folder, 3, first=2)
    with connected(nats.url) as client:
        assert client.ensure() == 1
        jobs = client.run(client.js.stream_info(names.JOBS)).config
        client.run(client.js.update_stream(jobs.evolve(num_replicas=2)))
        assert client.ensure() == 1
        assert copies(client) == {**dict.fromkeys(ALL, 1), names.JOBS: 2}


def test_a_job_is_given_again_when_its_worker_says_nothing(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes away once it is acknowledged, even late."""
    monkeypatch.setattr(streams, "ACK_SECONDS", 1.0)

    async def take(client: Client) -> object:
        consumer = streams.job_consumer("noop", "normal", 1)
        await client.js.add_consumer(names.JOBS, consumer)
        some = await client.js.pull_subscribe_bind(consumer.durable_name, names.JOBS)
        (first,) = await some.fetch(1, timeout=20)
        (again,) = await some.fetch(1, timeout=20)
        assert (first.metadata.num_delivered, again.metadata.num_delivered) == (1, 2)
        assert first.data == again.data == b"job"
        await first.ack_sync()
        await some.unsubscribe()
        return (await client.js.stream_info(names.JOBS)).state.messages

    with connected(nats.url) as client:
        client.ensure()
        client.run(client.js.publish(names.job_subject("noop", "normal", "job-1"), b"job"))
        assert client.run(take(client)) == 0


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("JOBS", {"subjects": ["job.>"]}, "JOBS cannot be made: somebody has made a stream of this name"),
        ("ENDS", {"subjects": ["end.>"], "storage": "memory"}, "ENDS cannot be made: somebody has made a stream"),
        ("OTHER", {"subjects": ["job.*.x.>"]}, "JOBS cannot be made: other streams of the account have its subjects"),
    ],
)
def test_streams_of_somebody_else_are_left_as_they_are(
    nats: NatsServers, name: str, settings: dict[str, Any], problem: str
) -> None:
    """And what is in their way is named; one that can be made as it must be is changed."""
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        client.run(client.js.add_stream(name=name, **settings))
        with pytest.raises(ClusterRefusedError, match=problem):
            client.ensure()
        client.run(client.js.delete_stream(name))
        client.run(client.js.add_stream(name=names.ENDS, subjects=["end.>"], max_msgs=10))
        client.ensure()
        assert client.run(client.js.stream_info(names.ENDS)).config.max_msgs == -1
