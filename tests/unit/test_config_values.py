"""Values of configurations: lists and tables within each other, the same on the wire, in JSON and from a file."""

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contracts.asyncapi import document
from bus.contracts.fields import NESTING, SEED_MAX
from bus.contracts.jobs import JobRequest
from bus.contracts.pipeline_specs import VariableSpec, check_value
from bus.protocol.validation import InvalidInputError, convert, decode
from tests.support.factories import definition
from variantbus.reports.job_file import job_text

TABLE = VariableSpec(kind="map")
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), SEED_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
)
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5)
# three levels by chance, within a table: more come from the deterministic cases
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=3)


def deep(levels: int) -> Any:
    """Return lists and tables within each other."""
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def request(value: object) -> dict[str, Any]:
    """Return a job with a setting."""
    return {"job_id": "x", "pipeline": "p", "stage": "s", "config": {"a": value}}


@given(TABLES)
def test_a_value_is_the_same_from_a_file_and_on_the_wire(value: dict[str, Any]) -> None:
    """What a check takes can be sent, stored, and written as a file for `job submit`."""
    job = convert(request(value), JobRequest)
    check_value("config.a", TABLE, job.config["a"])

    assert decode(msgspec.msgpack.Decoder(JobRequest), msgspec.msgpack.encode(job)) == job
    assert msgspec.json.decode(msgspec.json.encode(job), type=JobRequest) == job
    text = job_text(msgspec.structs.replace(definition([2.0]), config=job.config), {}, "a job")
    assert tomllib.loads(text)["config"]["a"] == value


def test_levels_are_counted() -> None:
    """As many as are promised are taken; one more is refused at its place."""
    assert convert(request(deep(NESTING)), JobRequest).config["a"] == deep(NESTING)
    with pytest.raises(InvalidInputError, match=r"^config\.a\.a #1\.a #1\.a #1: must be a number, text"):
        convert(request(deep(NESTING + 1)), JobRequest)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"b": [{"c": 2**64}]}, "config.a.b #1.c: a whole number has 64 bits at most: -2^63 to 2^64-1"),
        ({"b": {1: 2}}, "config.a.b: a key must be text, not a whole number"),
        ({"b": [tomllib.loads("d = 2026-11-28")["d"]]}, "config.a.b #1: must be a number, text, a list, a table"),
    ],
)
def test_what_json_does_not_know_is_refused_at_its_place(value: object, sentence: str) -> None:
    """Also deep within a value."""
    with pytest.raises(InvalidInputError) as refused:
        convert(request(value), JobRequest)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("value", [{"b": [b"x"]}, [msgspec.msgpack.Ext(1, b"x")], {"b": {1: 2}}])
def test_the_wire_holds_nothing_that_json_does_not_know(value: object) -> None:
    """A foreign program may send it; a reader that took it could not write it down."""
    with pytest.raises(InvalidInputError, match=r"^config"):
        decode(msgspec.msgpack.Decoder(JobRequest), msgspec.msgpack.encode(request(value)))


def test_the_document_says_it_once() -> None:
    """A value is one schema that refers to itself, and all configurations refer to it."""
    schemas = document()["components"]["schemas"]
    ref = {"$ref": "#/components/schemas/ConfigValue"}

    assert schemas["JobRequest"]["properties"]["config"]["additionalProperties"] == ref
    inner = [one.get("items", one.get("additionalProperties")) for one in schemas["ConfigValue"]["anyOf"]]
    assert [one for one in inner if one] == [ref, ref]
