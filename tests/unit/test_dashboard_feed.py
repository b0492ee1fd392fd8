"""Which events a browser needs only the newest of."""

import asyncio
import json

import pytest
from msgspec import Raw

from bus.contracts.messages import (
    EventRejected,
    ImageRated,
    ImagesCompared,
    JobProgress,
    Message,
    VariantProgress,
    encode_body,
)
from bus.contracts.topics import subject_of
from bus.subscriber.sync import Delivery
from tests.support.factories import JobScript, context
from variantbus.dashboard.feed import Feed, key_of
from variantbus.dashboard.services import Services

JOB = JobScript(context())


def delivered(topic: str, body: bytes, offset: int = 1) -> Delivery:
    """Make an event as a subscriber delivers it."""
    return Delivery("tcp://127.0.0.1:1", "", 1, offset, topic, 1, Raw(body))


def progress(job_id: str, fraction: float) -> JobProgress:
    """Make the progress of a job."""
    return JobProgress(job_id=job_id, learning_context=None, fraction=fraction)


def rejected(offset: int, job_id: str | None = None) -> EventRejected:
    """Make the refusal of an event."""
    return EventRejected(reason="malformed", topic="job.completed.", offset=offset, job_id=job_id, detail="")


def compared(left: str, right: str) -> ImagesCompared:
    """Make an answer about two pictures."""
    return ImagesCompared(
        experiment_id="e", left=left, right=right, left_variant=0, right_variant=1, outcome="tie", compared_at=1.0
    )


def rated(sha256: str, stars: int) -> ImageRated:
    """Make a rating."""
    return ImageRated(experiment_id="e", variant_index=0, sha256=sha256, stars=stars)


@pytest.mark.parametrize(
    ("older", "newer", "other"),
    [
        (progress("a", 0.1), progress("a", 0.2), progress("b", 0.2)),
        (rated("a" * 64, 1), rated("a" * 64, 2), rated("b" * 64, 2)),
        (compared("a", "b"), compared("a", "b"), compared("a", "c")),
        (rejected(1), rejected(1), rejected(2)),
        (rejected(0, "a"), rejected(0, "a"), rejected(0, "b")),  # of events that came on no feed
    ],
)
def test_a_newer_event_about_the_same_subject_replaces_an_older_one(
    older: Message, newer: Message, other: Message
) -> None:
    """The contracts say what a message is about; another subject of the same topic is another key."""
    keys = [key_of(delivered("a.topic.", encode_body(one))) for one in (older, newer, other)]

    assert keys[0] == keys[1] != keys[2]


def test_of_a_state_its_topic_says_which_it_is() -> None:
    """How far a variant is replaces what was said before, whichever of its jobs said it."""
    one, two = (
        VariantProgress(experiment_id="e", variant_index=0, job_id=job, fraction=0.5) for job in ("first", "second")
    )

    assert key_of(delivered("variant.progress.e.0.", encode_body(one))) == key_of(
        delivered("variant.progress.e.0.", encode_body(two))
    )
    assert key_of(delivered("variant.progress.e.0.", encode_body(one))) != key_of(
        delivered("variant.progress.e.1.", encode_body(one))
    )


@pytest.mark.parametrize("body", [b"\xc1", b"\x81\xa4type\xa9new.thing"])
def test_what_this_version_cannot_read_replaces_nothing(body: bytes) -> None:
    """A damaged body, or a type of a later version: each event stands for itself."""
    assert key_of(delivered("a.", body, offset=1)) != key_of(delivered("a.", body, offset=2))


def test_every_job_event_is_about_its_job() -> None:
    """Queued, started and completed."""
    assert {subject_of(one) for one in (JOB.queued(), JOB.started(), JOB.completed())} == {JOB.name}


def test_a_stream_carries_what_it_was_asked_for_last_and_knows_when_it_has_ended() -> None:
    """From the moment of the answer on; what is for everybody comes always. Its first event names it."""

    async def run() -> None:
        feed = Feed(Services("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", None), None)
        events = feed.events(["a b"], "the token")
        hello = await anext(events)
        stream = json.loads(hello.split(b"data: ")[1])["stream"]
        assert b'"token":"the token"' in hello

        feed._deliver(delivered("job.queued.a%20b.0.", b"\x80"))
        feed._deliver(delivered("job.queued.c.0.", b"\x80"))
        feed._deliver(delivered("job.queued.", b"\x80"))  # of a job that belongs to none
        feed._deliver(delivered("experiment.status.c.", b"\x80"))
        assert topics_in(await anext(events)) == ["job.queued.a%20b.0.", "experiment.status.c."]

        assert feed.show(stream, ["c", "d"])
        for name in ("a%20b", "c", "d"):
            feed._deliver(delivered(f"job.queued.{name}.0.", b"\x80"))
        assert topics_in(await anext(events)) == ["job.queued.c.0.", "job.queued.d.0."]

        await events.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert not feed.show(stream, [])
        assert not feed.is_full

    asyncio.run(run())


def topics_in(events: bytes) -> list[str]:
    """Return the topics of server-sent events."""
    return [json.loads(one.split(b"data: ")[1])["topic"] for one in events.split(b"\n\n") if one]
