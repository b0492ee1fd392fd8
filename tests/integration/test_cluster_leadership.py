"""Who leads: one at a time, and another one when that is gone."""

from concurrent.futures import Future
from contextlib import suppress

import msgspec
import pytest

from bus.cluster import names, streams, tasks
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from learning_service.cluster import leadership
from learning_service.cluster.leadership import KEY, Leader, Lease
from tests.support.clusters import ANSWER_SECONDS, Client, connected
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("no_leaks")
SILENT_SECONDS = 2.0 * TIME_FACTOR


def lease(client: Client, name: str) -> Lease:
    """Return the lease of a learning service."""
    return Lease(client.connection, Leader(name=name, control=f"tcp://{name}:5571"))


def leader(client: Client) -> tuple[str, str] | None:
    """Return who leads, as everybody can read; None if nobody does, or no server answers."""

    async def read() -> bytes | None:
        keys = await client.js.key_value(names.LEADER)
        return (await keys.get(KEY)).value

    try:
        found = msgspec.json.decode(client.run(asked(read())), type=Leader)
    except ClusterError:
        return None
    return found.name, found.control


def test_one_leads_and_when_it_gives_up_another_one_does(nats: NatsServers) -> None:
    """At once; whoever asks is told who it is."""
    with connected(nats.url) as client:
        client.ensure()
        one, two = lease(client, "one"), lease(client, "two")
        assert leader(client) is None
        client.run(one.win())
        waiting: Future[None] = client.connection.submit(two.win())
        assert leader(client) == ("one", "tcp://one:5571")
        assert not waiting.done()
        client.run(one.release())
        waiting.result(ANSWER_SECONDS)

        assert (one.is_held, two.is_held) == (False, True)
        assert leader(client) == ("two", "tcp://two:5571")
        client.run(two.release())


def test_who_is_silent_is_followed_and_told(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is gone after its time, and belongs to another one; the first one notices when it is back."""
    with connected(nats.url) as client, connected(nats.url) as other:
        client.ensure()
        one, two = lease(client, "one"), lease(other, "two")
        lost: list[str] = []
        one.on_lost = lambda: lost.append("one")
        client.run(one.win())

        async def silent() -> int:
            raise TimeoutError

        with monkeypatch.context() as patch:
            patch.setattr(one, "_renew", silent)
            other.run(two.win())
        wait_until(lambda: lost == ["one"], what="that it is told")

        assert (one.is_held, two.is_held) == (False, True)
        other.run(two.release())


@pytest.mark.exhaustive
def test_without_servers_nobody_holds_the_key(nats: NatsServers) -> None:
    """As somebody else may have it by now; with them it can be won again."""
    with connected(nats.url) as client:
        client.ensure()
        one = lease(client, "one")
        lost: list[str] = []
        one.on_lost = lambda: lost.append("one")
        client.run(one.win())
        nats.nodes[0].kill()
        wait_until(lambda: lost == ["one"], 3 * PATIENCE, what="that it is told")
        assert leader(client) is None
        nats.nodes[0].start()
        client.run(one.win())

        assert one.is_held
        client.run(one.release())


def test_a_bucket_that_is_deleted_is_made_again(nats: NatsServers) -> None:
    """Without it nobody could lead any more."""
    with connected(nats.url) as client:
        client.ensure()
        client.run(client.js.delete_key_value(names.LEADER))
        one = lease(client, "one")
        client.run(one.win())

        assert one.is_held
        client.run(one.release())


@pytest.mark.exhaustive
def test_a_key_that_servers_with_a_wrong_clock_keep_is_taken(
    nats: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is unchanged for so long that whoever had it has given up; one that is renewed is left to its holder."""
    monkeypatch.setattr(streams, "LEADER_SECONDS", 3600.0)  # as they count an hour that has not passed
    monkeypatch.setattr(leadership, "SILENT_SECONDS", SILENT_SECONDS)
    with connected(nats.url) as client:
        client.ensure()
        one, two = lease(client, "one"), lease(client, "two")
        client.run(one.win())
        waiting: Future[None] = client.connection.submit(two.win())
        with suppress(TimeoutError):
            waiting.result(1.5 * SILENT_SECONDS)
        assert not two.is_held, "the first one renews it"

        async def die() -> None:
            keeping = one._keeping
            assert keeping
            await tasks.end(lambda: [keeping])

        client.run(die())
        waiting.result(ANSWER_SECONDS)

        assert leader(client) == ("two", "tcp://two:5571")
        client.run(two.release())
