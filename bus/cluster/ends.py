"""Ends of jobs: of each job one, whoever commits it. The server compares and sets, and no time decides anything."""

from typing import Final, Literal, NamedTuple

from nats.js import JetStreamContext
from nats.js.api import Header
from nats.js.errors import APIError, NotFoundError

from bus.cluster import names
from bus.cluster.messages import End, decode_as, encode

Outcome = Literal["won", "fenced"]
WRONG_SEQUENCE: Final = (10071, 10164)  # errors: there is a message on the subject


class Stored(NamedTuple):
    """An end as it is in the stream, and at which place."""

    sequence: int
    end: End


async def commit(js: JetStreamContext, subject: str, end: End) -> Outcome:
    """Commit an end if its job has none, and return whether it is the one that counts.

    An error says nothing of whether it was committed: call this again with the same `run` then.

    Raises:
        APIError, NoStreamResponseError, TimeoutError, nats.errors.Error: the cluster does not answer.
        InvalidInputError: what is there is no end.
    """
    try:
        await js.publish(
            subject, encode(end), stream=names.ENDS, headers={Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
        )
    except APIError as error:
        if error.err_code not in WRONG_SEQUENCE:
            raise
        stored = await find(js, subject)
        if stored is None:  # it was there a moment ago; whoever calls again will see
            raise
        return "won" if stored.end.run == end.run else "fenced"
    return "won"


async def find(js: JetStreamContext, subject: str) -> Stored | None:
    """Return the end on a subject, which may have wildcards; None if there is none.

    Raises:
        APIError, TimeoutError, nats.errors.Error: the cluster does not answer.
        InvalidInputError: what is there is no end.
    """
    try:
        found = await js.get_last_msg(names.ENDS, subject)
    except NotFoundError:
        return None
    return Stored(found.seq or 0, decode_as(End, found.data or b""))
