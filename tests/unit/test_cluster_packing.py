"""Large messages of the cluster are compressed, and small ones are not."""

import zlib

import pytest

from bus.cluster import messages
from bus.cluster.messages import Announcement, CancelNews, encode, pack, unpack
from bus.contracts.jobs import PipelinesReply
from bus.protocol.validation import InvalidInputError


def announcement(outputs: str) -> Announcement:
    """Return what a runner says of itself."""
    return Announcement(
        runner="a", control="tcp://a:1", offers=PipelinesReply(pipelines={}, outputs=outputs, queued=0, running=0)
    )


def test_what_is_packed_is_unpacked() -> None:
    """The size decides how it travels."""
    for outputs, is_small in (("", True), ("x" * 100_000, False)):
        data = pack(announcement(outputs))
        assert unpack(Announcement, data) == announcement(outputs)
        assert (data == encode(announcement(outputs))) == is_small
        assert len(data) < messages.LARGE_BYTES


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x78nonsense", "cannot be decompressed"),
        (zlib.compress(b"\0" * (17 << 20)), "has more"),
        (b"\xc0", "must be a table"),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, text: str) -> None:
    """Also what would fill the memory."""
    with pytest.raises(InvalidInputError, match=text):
        unpack(CancelNews, data)
