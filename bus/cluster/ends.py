"""Ends of jobs: of each job one, whoever commits it. The server compares and sets, and no time decides anything."""

import logging
from typing import Final, Literal, NamedTuple

from nats.js import JetStreamContext
from nats.js.api import Header, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from bus.cluster import names
from bus.cluster.messages import End, decode_as, encode, is_answer

Outcome = Literal["won", "fenced"]
WRONG_SEQUENCE: Final = (10071, 10164)  # errors: there is a message on the subject

logger = logging.getLogger(__name__)


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
        await _publish(js, subject, end, behind=0)
    except APIError as error:
        if error.err_code not in WRONG_SEQUENCE:
            raise
        last = await _last(js, subject)
        if last is None:  # it was there a moment ago; whoever calls again will see
            raise
        if not is_answer(last.data or b""):
            return "won" if decode_as(End, last.data or b"").run == end.run else "fenced"
        logger.warning("an answer of NATS is in the place of %s, and passed over: a seed is misused", subject)
        await _publish(js, subject, end, behind=last.seq or 0)
    return "won"


async def find(js: JetStreamContext, subject: str) -> Stored | None:
    """Return the end on a subject, which may have wildcards; None if there is none.

    Raises:
        APIError, TimeoutError, nats.errors.Error: the cluster does not answer.
        InvalidInputError: what is there is no end.
    """
    last = await _last(js, subject)
    if last is None or is_answer(last.data or b""):
        return None
    return Stored(last.seq or 0, decode_as(End, last.data or b""))


async def _publish(js: JetStreamContext, subject: str, end: End, *, behind: int) -> None:
    """Publish an end unless there is a message on its subject behind a place."""
    headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(behind)}
    await js.publish(subject, encode(end), stream=names.ENDS, headers=headers)


async def _last(js: JetStreamContext, subject: str) -> RawStreamMsg | None:
    try:
        return await js.get_last_msg(names.ENDS, subject)
    except NotFoundError:
        return None
