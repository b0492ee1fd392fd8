"""Validation at the door: one kind of error, one sentence, and the field's name first."""

import re
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contracts import messages
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.feedback import RateParams
from bus.contracts.outputs import OutputFindParams, Sha256
from bus.protocol import validation
from bus.protocol.control import FetchParams, error_decoder
from bus.protocol.doors import take
from bus.protocol.frames import feed_decoder, heartbeat_decoder
from bus.protocol.places import VALUE, named
from bus.protocol.validation import InvalidInputError, convert, decode, near_miss

FETCH = msgspec.msgpack.Decoder(FetchParams)
DECODERS: list[msgspec.msgpack.Decoder[Any]] = [
    FETCH,
    feed_decoder,
    heartbeat_decoder,
    error_decoder,
    messages._decoder,
    msgspec.msgpack.Decoder(Any),
]


class Forms(msgspec.Struct, forbid_unknown_fields=True):
    """Texts in a form: one that says so in words, in a list, and one that has no words for it."""

    hashes: list[Sha256] = []
    bare: Annotated[str, msgspec.Meta(pattern="^a")] = "a"


@pytest.mark.fault(item="B33")
@pytest.mark.fault(item="B34")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"variabel": 1}, "variabel: unknown key; did you mean 'variable'?"),
        (
            {"zzz": 1},
            (
                "zzz: unknown key; known are: blocks, budget, config, exclusive, goal, jobs_per_variant, mode, name, "
                "objective, origin, paired, pipeline, priority, sample, score, seed, seeds, skip, stage, stop_p_best "
                "and 3 others"
            ),
        ),
        ({"name": ""}, "name: must be text of 1 to 200 characters"),
        ({"variable": {"values": [1]}}, "variable.name: missing; add it"),
        ({"variable": {"name": "v", "valeus": []}}, "variable.valeus: unknown key; did you mean 'values'?"),
        (
            {"variable": {"name": "v", "values": [1, []]}},
            "variable.values #2: must be a number, text, true or false, not a list",
        ),
        ({"config": {"steps": 5, "seed": 2**64}}, "config.seed: a whole number has 64 bits at most: -2^63 to 2^64-1"),
        ({"config": {"a": [2**64]}}, "config.a #1: a whole number has 64 bits at most: -2^63 to 2^64-1"),
        (
            {"variable": {"name": "v", "values": [1, -(10**30)]}},
            "variable.values #2: a whole number has 64 bits at most: -2^63 to 2^64-1",
        ),
        ({"seed": 2**64}, "seed: a whole number has 64 bits at most: -2^63 to 2^64-1"),
        ({"seed": -1}, "seed: must be a whole number of at least 0"),
        ({"jobs_per_variant": 0}, "jobs_per_variant: must be a whole number from 1 to 256"),
        ({"jobs_per_variant": "4"}, "jobs_per_variant: must be a whole number, not text"),
    ],
)
def test_the_error_names_the_field_and_says_what_to_do(changes: dict[str, object], text: str) -> None:
    """The path of nested fields, what was perhaps meant, what is missing."""
    definition = {"name": "x", "variable": {"name": "v"}} | changes

    with pytest.raises(InvalidInputError) as caught:
        take(definition, ExperimentDefinition)

    assert str(caught.value) == text


def test_a_missing_field_at_the_top_is_named() -> None:
    """Without any path it is the field alone."""
    with pytest.raises(InvalidInputError, match=r"^name: missing; add it$"):
        convert({"variable": {"name": "v"}}, ExperimentDefinition)


def test_of_a_table_the_key_is_named() -> None:
    """Also if others before it are right."""

    class Job(msgspec.Struct):
        config: dict[str, int]

    with pytest.raises(InvalidInputError, match=r"^config\.steps: "):
        convert({"config": {"seed": 1, "steps": "many"}}, Job)


def test_valid_data_passes() -> None:
    """Plain data becomes the Struct."""
    definition = convert({"name": "x", "variable": {"name": "v", "values": [1, 2.5]}}, ExperimentDefinition)

    assert definition.knobs[0].values == [1, 2.5]


def test_a_near_miss_is_suggested_else_all_is_listed() -> None:
    """The end of a sentence about an unknown word."""
    assert near_miss("fetsh", ["fetch", "latest"]) == "did you mean 'fetch'?"
    assert near_miss("zzz", ["b", "a"]) == "known are: a, b"
    assert near_miss("zzz", []) == "there are none"


@pytest.mark.fault(item="B3")
@pytest.mark.fault(item="B5")
@pytest.mark.fault(item="B7")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"\xff" * 10,
        b"\x91" * 100_000,
        b"\x81\xa1x" * 100_000,
        b"\x81\xa6prefix\xa2\xff\xfe",
        b"\x81\xa2\xff\xfe\x01",
        b"\x80\x80",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffx",
        b"\x81\xa5after\xcf" + b"\xff" * 8,
    ],
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_hostile_bytes_are_an_input_error(decoder: msgspec.msgpack.Decoder[Any], data: bytes) -> None:
    """Deep nesting, bad UTF-8, false lengths, trailing and missing bytes never raise anything else."""
    try:
        decode(decoder, data)
    except InvalidInputError as error:
        assert str(error)  # noqa: PT017 - some decoders take some of these


def test_deep_nesting_says_so() -> None:
    """The text is for people."""
    with pytest.raises(InvalidInputError, match=r"^input: nested too deeply$"):
        decode(msgspec.msgpack.Decoder(Any), b"\x91" * 100_000)


@given(st.binary(max_size=60), st.sampled_from(DECODERS))
def test_random_bytes_never_raise_anything_else(data: bytes, decoder: msgspec.msgpack.Decoder[Any]) -> None:
    """Whatever arrives is valid, or one InvalidInputError."""
    try:
        decode(decoder, data)
    except InvalidInputError as error:
        assert str(error)  # noqa: PT017 - some of the bytes are valid


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(plain)
def test_well_formed_data_of_another_shape_never_raises_anything_else(value: object) -> None:
    """Valid msgpack that is not what was declared is one InvalidInputError, too."""
    for decoder in DECODERS:
        try:
            decode(decoder, msgspec.msgpack.encode(value))
        except InvalidInputError as error:
            assert str(error)  # noqa: PT017 - some of the values fit


def test_errors_of_any_kind_are_explained() -> None:
    """An error without a text still gives one."""
    assert validation.explain(MemoryError(), int) == "input: too large"


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ({"experiment_id": "a", "image": "zz", "stars": 3}, RateParams, "image: must be 4 to 64 hexadecimal digits"),
        ({"prefix": "abc"}, OutputFindParams, "prefix: must be 8 to 64 hexadecimal digits"),
        ({"hashes": ["A" * 64]}, Forms, "hashes #1: must be 64 hexadecimal digits"),
        ({"bare": "b"}, Forms, "bare: must be text in another form"),
    ],
)
def test_a_text_in_a_wrong_form_is_refused_in_words(value: object, kind: type[msgspec.Struct], text: str) -> None:
    """Nobody has to read a regular expression, wherever the field says in words what it takes."""
    with pytest.raises(InvalidInputError, match=f"^{re.escape(text)}"):
        convert(value, kind)


def test_a_table_has_the_name_of_the_value_that_is_refused() -> None:
    """Its place stays as it is where each value is taken alone."""
    assert named(VALUE, {"a": 1, "b": "x"}, dict[str, int]) == ".b"
    assert named(VALUE, {"a": 1}, dict[str, int]) == VALUE
