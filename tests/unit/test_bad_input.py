"""Bad input on the wire and in topics, as a table: what each decoder makes of it, without a socket."""

import tracemalloc
from typing import Any, Final

import msgspec
import pytest

from bus.contracts import messages
from bus.contracts.experiments import CreateParams
from bus.contracts.jobs import SubmitParams
from bus.contracts.messages import LearningContext, decode_body
from bus.protocol import topics
from bus.protocol.control import FetchParams, FetchReply, LatestReply, error_decoder
from bus.protocol.frames import feed_decoder, heartbeat_decoder
from bus.protocol.topics import TopicError
from bus.protocol.validation import InvalidInputError, decode
from bus.transport.server import MethodServer

encode: Final = msgspec.msgpack.encode
FETCH: Final = msgspec.msgpack.Decoder(FetchParams)
DECODERS: Final[list[msgspec.msgpack.Decoder[Any]]] = [
    FETCH,
    feed_decoder,
    heartbeat_decoder,
    error_decoder,
    messages._decoder,
    *(msgspec.msgpack.Decoder(kind) for kind in (SubmitParams, CreateParams, FetchReply, LatestReply)),
]
MEBIBYTE: Final = 1 << 20


def refused(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> str:
    """Decode what must be refused and return the sentence."""
    with pytest.raises(InvalidInputError) as caught:
        decode(decoder, data)
    return str(caught.value)


@pytest.mark.fault(item="B4")
@pytest.mark.parametrize("depth", [1500, 100_000])
@pytest.mark.parametrize("decoder", DECODERS)
def test_deep_nesting_is_refused_also_where_nobody_looks(decoder: msgspec.msgpack.Decoder[Any], depth: int) -> None:
    """At the top, and in a field that is not known and only skipped."""
    for data in (b"\x91" * depth + b"\xc0", b"\x81\xa7unknown" + b"\x91" * depth + b"\xc0"):
        assert refused(decoder, data)


@pytest.mark.fault(item="B5")
@pytest.mark.parametrize("head", ["dd", "df", "c6", "db", "c9"], ids=["array", "map", "bytes", "text", "extension"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_length_that_lies_costs_no_memory(decoder: msgspec.msgpack.Decoder[Any], head: str) -> None:
    """Four billion elements in five bytes."""
    tracemalloc.start()
    refused(decoder, bytes.fromhex(head) + b"\xff" * 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEBIBYTE


@pytest.mark.fault(item="B6")
@pytest.mark.parametrize("decoder", DECODERS)
def test_many_small_objects_are_not_built_where_none_are_declared(decoder: msgspec.msgpack.Decoder[Any]) -> None:
    """Two million empty arrays would be 140 MB of objects if anything were decoded without a type."""
    many = b"\xdd" + (2_000_000).to_bytes(4, "big") + b"\x90" * 2_000_000
    tracemalloc.start()
    for data in (many, b"\x81\xa6prefix" + many, b"\x81\xa6config" + many, b"\x81\xa4jobs" + many):
        refused(decoder, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MEBIBYTE


@pytest.mark.fault(item="B7")
def test_text_that_is_no_utf8_is_refused() -> None:
    """In a value, in a key, and in the topic of a request."""
    assert refused(FETCH, b"\x81\xa6prefix\xa2\xff\xfe")
    assert refused(FETCH, b"\x81\xa2\xff\xfe\x01")


@pytest.mark.fault(item="B8")
def test_of_a_repeated_key_the_last_one_counts() -> None:
    """As in every msgpack library that reads into a map; nothing else depends on it."""
    assert decode(FETCH, b"\x82\xa5after\x01\xa5after\x02").after == 2


@pytest.mark.fault(item="B9")
def test_unknown_fields_are_ignored_in_messages_and_refused_in_requests() -> None:
    """A newer writer adds fields to messages; a request with a field that nobody reads is a mistake."""
    assert decode(feed_decoder, encode([1, 2, 3, [0], 4, {}, "more"])).offset == 3
    assert refused(FETCH, encode({"aftre": 3})) == "aftre: unknown key; did you mean 'after'?"


@pytest.mark.fault(item="B10")
@pytest.mark.parametrize("body", [{}, {"job_id": "x"}, {"type": None}, {"type": 5}, {"type": ["job.queued"]}, [], 7])
def test_a_body_without_a_type_is_refused(body: object) -> None:
    """A missing or wrong tag is no message of an unknown type."""
    with pytest.raises(InvalidInputError):
        decode_body(encode(body))


@pytest.mark.fault(item="B10")
def test_the_type_may_stand_last() -> None:
    """The order of fields means nothing."""
    body = messages.encode_body(messages.JobProgress(job_id="j", learning_context=None, fraction=0.5))
    fields = msgspec.msgpack.decode(body)
    fields["type"] = fields.pop("type")
    assert decode_body(encode(fields)) == decode_body(body)


@pytest.mark.fault(item="B11")
@pytest.mark.parametrize(
    ("decoder", "value"),
    [
        (feed_decoder, {"version": 1, "epoch": 1, "offset": 1, "chain": [], "time_ns": 1, "body": {}}),
        (FETCH, ["a.", 1, 2, 3]),
        (messages._decoder, ["job.queued", "j"]),
    ],
)
def test_a_map_for_an_array_and_the_reverse_are_refused(decoder: msgspec.msgpack.Decoder[Any], value: object) -> None:
    """Each has one form."""
    assert refused(decoder, encode(value))


@pytest.mark.fault(item="B12")
@pytest.mark.fault(item="B13")
@pytest.mark.fault(item="B14")
@pytest.mark.parametrize("after", [True, 1.0, "1", None, -1, 2**63, 2**64 - 1, float("nan"), float("inf"), [1]])
def test_an_offset_that_no_log_has_is_refused(after: object) -> None:
    """Another type, negative, larger than SQLite can hold, or no number."""
    assert refused(FETCH, encode({"after": after})).startswith("after: ")


@pytest.mark.fault(item="B15")
@pytest.mark.parametrize(
    "data",
    [
        encode(msgspec.msgpack.Ext(5, b"x")),
        encode({"prefix": msgspec.msgpack.Ext(5, b"x")}),
        b"\x81\xa5after\xc7\x0c\xff" + b"\xff" * 12,  # a time stamp out of range
    ],
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_extension_types_are_refused(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> None:
    """The protocol has none."""
    assert refused(decoder, data)


@pytest.mark.fault(item="B16")
@pytest.mark.parametrize("key", [b"\x91\x01", b"\xcb\x7f\xf8" + bytes(6), b"\x80", b"\x01", b"\xc0"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_keys_that_are_no_text_are_refused(decoder: msgspec.msgpack.Decoder[Any], key: bytes) -> None:
    """Lists, maps, numbers, not-a-number and nil."""
    assert refused(decoder, b"\x81" + key + b"\x01")


@pytest.mark.fault(item="B69")
@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"prefix": b"a."}, "prefix: must be text, not bytes; send text as str, not as bin"),
        ({b"prefix": "a."}, "input: a key must be text, not bytes; send text as str, not as bin"),
        ({"after": b"1"}, "after: must be a whole number, not bytes"),
    ],
)
def test_text_that_is_sent_as_bin_is_refused_with_advice(params: object, sentence: str) -> None:
    """Libraries write byte strings so: Ruby's binary ones, Go's []byte."""
    assert refused(FETCH, encode(params)) == sentence


@pytest.mark.fault(item="B69")
def test_a_key_that_is_bin_is_named_by_its_place() -> None:
    """Also deep inside."""
    with pytest.raises(InvalidInputError, match=r"^jobs #1\.config: a key must be text, not a whole number$"):
        decode(msgspec.msgpack.Decoder(SubmitParams), encode({"jobs": [{"config": {1: 2}}]}))


@pytest.mark.fault(item="B2")
def test_an_unknown_method_is_named_and_cut_short() -> None:
    """However long and strange it is."""
    methods = MethodServer()
    methods.add("fetch", FetchParams, lambda _: {})
    for method in (b"fetsh", b"x" * 10_000, b"\xff\x00\n", b""):
        reply = methods.answer([b"1", method, b""])
        error = error_decoder.decode(reply[2])
        assert (reply[1], error.code) == (b"error", "unknown_method")
        assert len(error.message) < 400
        assert error.message.isprintable()


@pytest.mark.fault(item="B21")
@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"limit": -1}, "limit: "),
        ({"until": -1}, "until: "),
        ({"after": 2**64 - 1}, "after: "),
        ({"prefix": "x" * 10_000_000}, "prefix: "),
        ({"prefix": 5}, "prefix: "),
        ({"prefix": None}, "prefix: "),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_by_its_field(params: dict[str, object], problem: str) -> None:
    """What is only too much is clamped by the publisher instead: see the integration tests."""
    if isinstance(params.get("prefix"), str):
        with pytest.raises(TopicError) as caught:
            topics.check(str(params["prefix"]))
        assert len(str(caught.value)) < 300
    else:
        assert refused(FETCH, encode(params)).startswith(problem)


@pytest.mark.fault(item="B25")
@pytest.mark.fault(item="B26")
@pytest.mark.fault(item="B28")
@pytest.mark.parametrize(
    "topic",
    [
        *("", "\0.", "\x01.", "a\x00.", "a\x1b[31m.", "a\n.", "a.\n", "a b.", ".", "..", "a..b.", ".a.", "a", "a.b"),
        *("*.", ">.", "#.", "$SYS.", "~heartbeat.", "a.*.", "é.", "e\u0301.", "\u0430.", "a%2f.", "a%.", "a%ZZ."),
        *("x" * 255 + ".", "a." * 9),
    ],
)
def test_what_is_no_topic_is_refused_in_a_short_printable_sentence(topic: str) -> None:
    """Empty tokens, control characters, wildcards of others, reserved names, anything but ASCII, too long, too deep."""
    with pytest.raises(TopicError) as caught:
        topics.check(topic)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.fault(item="B27")
def test_a_prefix_ends_with_its_token() -> None:
    """`temp` means `temp.`, which `temperature.` does not begin with."""
    assert not "temperature.".startswith(topics.as_prefix("temp"))


@pytest.mark.fault(item="B28")
def test_ids_that_look_alike_are_different_topics() -> None:
    """Composed and decomposed letters, and letters of other alphabets, stay what they are, byte by byte."""
    forms = ["é", "e\u0301", "e", "\u0435", "E"]
    assert len({topics.build("a.", one) for one in forms}) == len(forms)
    assert [topics.split(topics.build("a.", one))[1] for one in forms] == forms


@pytest.mark.fault(item="B30")
@pytest.mark.parametrize("index", [-1, 2**63 - 1, -(2**63)])
def test_an_absurd_index_is_a_message_that_the_router_judges(index: int) -> None:
    """It is published as rejected with its reason; see the rules of the learning service."""
    context = LearningContext(
        experiment_id="e", experiment_name="e", variant_index=index, variable_under_test="v", variant_value=1
    )
    progress = messages.JobProgress(job_id="j", learning_context=context, fraction=0.5)
    assert decode_body(messages.encode_body(progress)) == progress
