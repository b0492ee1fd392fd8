"""Each job has one end, whoever commits it, how often and in what order."""

import asyncio
from contextlib import suppress

import nats.errors
import pytest
from nats.js.errors import APIError, NoStreamResponseError

from bus.cluster import ends, names
from bus.cluster.errors import ClusterError
from bus.protocol.validation import InvalidInputError
from tests.support.clusters import Client, connected, end
from tests.support.helpers import wait_until
from tests.support.nats_servers import READY_SECONDS, NatsServers

pytestmark = pytest.mark.usefixtures("no_leaks")
SUBJECT = names.end_subject("exp", 0, "job-1")


def test_the_first_end_counts_and_others_are_fenced(nats: NatsServers) -> None:
    """Whose run it is decides, not when: who asks again with its run has won again."""
    with connected(nats.url) as client:
        client.ensure()
        first, late = end("first"), end("late", number=2)
        assert client.run(ends.find(client.js, SUBJECT)) is None
        assert client.run(ends.commit(client.js, SUBJECT, first)) == "won"
        assert client.run(ends.commit(client.js, SUBJECT, late)) == "fenced"
        assert client.run(ends.commit(client.js, SUBJECT, first)) == "won", "an answer that was lost"
        other = names.end_subject("exp", 0, "job-2")
        assert client.run(ends.commit(client.js, other, late)) == "won", "the end of another job"
        assert client.run(ends.find(client.js, SUBJECT)) == (1, first)
        assert client.run(ends.find(client.js, names.any_end_of("job-2"))) == (2, late)
        assert client.run(ends.find(client.js, names.any_end_of("job-3"))) is None


def test_of_many_at_once_one_wins(nats_cluster: NatsServers) -> None:
    """With copies on three servers too."""

    async def insist(client: Client, subject: str, run: str) -> str:
        while True:  # bounded by the limit of the test
            try:
                return await ends.commit(client.js, subject, end(run))
            except APIError:  # another one is on its way, and not there yet
                await asyncio.sleep(0.01)

    async def race(client: Client, job: int) -> list[str]:
        subject = names.end_subject("exp", 0, f"job-{job}")
        return await asyncio.gather(*(insist(client, subject, f"run-{n}") for n in range(8)))

    with connected(nats_cluster.url) as client:
        client.ensure_three()
        for job in range(10):
            outcomes = client.run(race(client, job))
            assert sorted(outcomes) == ["fenced"] * 7 + ["won"]


def test_what_is_no_end_is_not_taken_for_one(nats: NatsServers) -> None:
    """Somebody has put something else on the subject."""
    with connected(nats.url) as client:
        client.ensure()
        client.run(client.js.publish(SUBJECT, b"nonsense"))
        with pytest.raises(InvalidInputError):
            client.run(ends.find(client.js, SUBJECT))
        with pytest.raises(InvalidInputError):
            client.run(ends.commit(client.js, SUBJECT, end("first")))


def test_an_answer_of_nats_is_no_end(nats: NatsServers) -> None:
    """Whoever may ask can have one put there; the job ends behind it, once."""
    with connected(nats.url) as client:
        client.ensure()
        client.have_answers_at(SUBJECT, names.ENDS)
        assert client.run(ends.find(client.js, SUBJECT)) is None
        assert client.run(ends.commit(client.js, SUBJECT, end("first"))) == "won"
        assert client.run(ends.commit(client.js, SUBJECT, end("late"))) == "fenced"
        assert client.run(ends.find(client.js, SUBJECT)) == (2, end("first"))


def test_without_a_stream_nothing_is_committed(nats: NatsServers) -> None:
    """Neither won nor fenced is said of an end that is nowhere."""
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        with pytest.raises((APIError, NoStreamResponseError)):
            client.run(ends.commit(client.js, SUBJECT, end("first")))
        client.ensure()
        assert client.run(ends.commit(client.js, SUBJECT, end("first"))) == "won"


def test_an_end_outlives_the_death_of_all_servers(nats_cluster: NatsServers) -> None:
    """They are killed at once; what was acknowledged is there, and is the one that counts."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        assert client.run(ends.commit(client.js, SUBJECT, end("first"))) == "won"
        for node in nats_cluster.nodes:
            node.kill()
        nats_cluster.heal()
        nats_cluster.wait_for_leader()
        outcomes: list[str] = []

        def is_answered() -> bool:
            with suppress(ClusterError, nats.errors.Error):
                outcomes.append(client.run(ends.commit(client.js, SUBJECT, end("late"))))
            return bool(outcomes)

        wait_until(is_answered, READY_SECONDS, what="an answer")
        assert outcomes == ["fenced"]
        stored = client.run(ends.find(client.js, SUBJECT))
        assert stored.end.run == "first"
