"""The wire format, byte by byte where other languages rely on it."""

from typing import Any

import msgspec
import pytest

from bus.contracts.messages import encode_body
from bus.protocol.control import CheckParams, ControlError, FetchParams, FetchReply, LatestParams, NoParams
from bus.protocol.frames import (
    HeartbeatFrame,
    HeartbeatInfo,
    Record,
    encode,
    encode_feed,
    feed_decoder,
    heartbeat_decoder,
)
from bus.protocol.validation import InvalidInputError, decode
from tests.support.helpers import job


def test_a_feed_frame_is_an_array_of_six() -> None:
    """`[1, epoch, offset, chain, time_ns, body]`, with the body as a map in place."""
    frame = encode_feed(5, 3, [2, 0, None], 7, encode_body(job("j1")))

    version, epoch, offset, chain, time_ns, body = msgspec.msgpack.decode(frame)

    assert (version, epoch, offset, chain, time_ns) == (1, 5, 3, [2, 0, None], 7)
    assert body["type"] == "job.queued"
    assert body["job_id"] == "j1"


def test_a_feed_frame_is_read_back_with_its_body_untouched() -> None:
    """The body stays encoded until somebody wants it."""
    body = encode_body(job("j1"))

    frame = feed_decoder.decode(encode_feed(2**63 - 1, 2**63 - 1, [None], 1, body))

    assert (frame.epoch, frame.offset, frame.chain) == (2**63 - 1, 2**63 - 1, [None])
    assert bytes(frame.body) == body


def test_the_smallest_feed_frame_has_known_bytes() -> None:
    """Pinned, so that a change of the format cannot go unnoticed."""
    assert encode_feed(5, 1, [0, None], 7, b"\x80") == b"\x96\x01\x05\x01\x92\x00\xc0\x07\x80"


def test_a_heartbeat_is_an_array_with_a_map_at_its_end() -> None:
    """`[1, epoch, head, first, time_ns, info]`; a reader takes longer arrays and more fields of newer writers."""
    info = HeartbeatInfo(service="s", version="1", control="tcp://127.0.0.1:1", epochs=[(4, 0), (5, 2)])
    plain = msgspec.msgpack.decode(encode(HeartbeatFrame(1, 5, 9, 3, 7, info)))

    assert plain[:5] == [1, 5, 9, 3, 7]
    assert plain[5] == {
        "service": "s",
        "version": "1",
        "control": "tcp://127.0.0.1:1",
        "epochs": [[4, 0], [5, 2]],
        "closing": False,
    }
    plain[5]["added"] = 1
    beat = heartbeat_decoder.decode(msgspec.msgpack.encode([*plain, "added"]))
    assert beat == HeartbeatFrame(1, 5, 9, 3, 7, info)


def test_a_fetch_reply_has_arrays_for_events() -> None:
    """`events: [[offset, topic, time_ns, body] …]`."""
    row = Record(2, "a.", 7, msgspec.Raw(b"\x81\xa1x\x01"))
    plain = msgspec.msgpack.decode(encode(FetchReply(epoch=5, first=1, head=2, next=2, events=[row])))

    assert plain == {"epoch": 5, "first": 1, "head": 2, "next": 2, "events": [[2, "a.", 7, {"x": 1}]], "damaged": []}


@pytest.mark.parametrize("kind", [CheckParams, FetchParams, LatestParams, NoParams])
def test_all_parameters_have_defaults(kind: type[msgspec.Struct]) -> None:
    """An empty map is a valid request of every built-in method."""
    assert msgspec.convert({}, kind) == kind()


@pytest.mark.parametrize("after", [-1, 2**63, 1.5, "1", None])
def test_an_offset_that_no_log_can_have_is_refused(after: object) -> None:
    """Offsets are 0 to 2^63 - 1."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"after": after}, FetchParams)


def test_a_control_error_carries_code_text_and_details() -> None:
    """Details are never missing."""
    error = ControlError("not_found", "no such job")

    assert (error.code, error.message, error.details, str(error)) == ("not_found", "no such job", {}, "no such job")
    assert ControlError("conflict", "x", {"id": "1"}).details == {"id": "1"}


@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 1])
def test_offsets_and_epochs_that_no_log_can_have_are_malformed(number: int) -> None:
    """They would be an error only in the consumer's database, on every try again."""
    frames: list[tuple[msgspec.msgpack.Decoder[Any], object]] = [
        (feed_decoder, (1, number, 1, [], 0, {})),
        (feed_decoder, (1, 1, number, [], 0, {})),
        (feed_decoder, (1, 1, 1, [number], 0, {})),
        (msgspec.msgpack.Decoder(FetchReply), {"epoch": 1, "first": 1, "head": 1, "next": number, "events": []}),
        (
            msgspec.msgpack.Decoder(FetchReply),
            {"epoch": 1, "first": 1, "head": 1, "next": 1, "events": [[number, "", 0, {}]]},
        ),
        (msgspec.msgpack.Decoder(FetchReply), {"epoch": 1, "first": 1, "head": number, "next": 1, "events": []}),
    ]
    for decoder, value in frames:
        with pytest.raises(InvalidInputError):
            decode(decoder, msgspec.msgpack.encode(value))
