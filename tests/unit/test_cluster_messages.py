"""What travels in the cluster comes out as it went in, and nonsense is refused."""

import msgspec
import pytest

from bus.cluster.messages import Announcement, CancelNews, End, RepeatRequest, decode_as, encode
from bus.contracts.jobs import PipelinesReply
from bus.protocol.validation import InvalidInputError
from tests.support.clusters import end

OFFERS = PipelinesReply(queued=1, running=2, pipelines={}, lanes={}, outputs="/outputs")


@pytest.mark.parametrize(
    "message",
    [
        end("a" * 32),
        Announcement(runner="machine-1", control="tcp://machine:5562", offers=OFFERS),
        CancelNews(experiment_id="exp", finish_running=True),
        RepeatRequest(epoch=5, number=7),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_is_read_as_it_was_written(message: msgspec.Struct) -> None:
    """Field by field."""
    assert decode_as(type(message), encode(message)) == message


@pytest.mark.parametrize("data", [b"", b"\xc1", encode(RepeatRequest(epoch=5, number=7)), b"\x80"])
def test_what_is_no_end_is_refused(data: bytes) -> None:
    """Nothing, nonsense, another message, an empty one."""
    with pytest.raises(InvalidInputError):
        decode_as(End, data)


@pytest.mark.parametrize("field", ["epoch", "number", "complete"])
@pytest.mark.parametrize("value", [-1, 1 << 63])
def test_a_number_that_no_database_takes_is_refused(field: str, value: int) -> None:
    """It would stop whoever writes it down, and stop it again at each start."""
    with pytest.raises(InvalidInputError, match=field):
        decode_as(End, encode(end("a", **{field: value})))
    with pytest.raises(InvalidInputError, match="epoch"):
        decode_as(RepeatRequest, encode(RepeatRequest(epoch=value, number=0)))


def test_fields_of_a_later_version_are_ignored() -> None:
    """As those of the bus are."""
    later = msgspec.msgpack.encode({"epoch": 5, "number": 7, "reason": "unknown yet"})
    assert decode_as(RepeatRequest, later) == RepeatRequest(epoch=5, number=7)
