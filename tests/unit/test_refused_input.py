"""What is said of input that a door refuses: plain words for each kind of mistake, at any depth."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from bus.contracts.methods import METHODS
from bus.protocol.doors import strict, take
from bus.protocol.validation import InvalidInputError, decode
from tests.support.samples import Sample
from tests.unit.test_tolerant_readers import DOORS

# Names of types, patterns, signs and words of the library: nothing for people.
FOREIGN: Final = re.compile(
    r"`|\$|\\|\[|\]|[<>=]="
    r"|\b(int|str|float|bool|null|none|NoneType|array|object|dict|enum|regex|msgspec|ext)\b",
    re.IGNORECASE,
)
BIN_ADVICE: Final = "; send text as str, not as bin"  # in the words of msgpack, for authors of clients
EXAMPLE: Final = re.compile(r"; write \w+ = \[.*\]$")


class First(Struct, tag_field="type", tag="first"):
    """One of two that are told apart by their type."""

    x: int = 0


class Second(Struct, tag_field="type", tag="second"):
    """The other one."""

    x: int = 0


class Pair(Struct, array_like=True):
    """A map that travels as an array."""

    left: int
    right: int


class Form(Struct, forbid_unknown_fields=True):
    """A field of each kind."""

    whole: int = 0
    part: float = 0.0
    share: Annotated[float, Meta(gt=0.5, lt=1)] = 0.7
    count: Annotated[int, Meta(ge=1, le=9)] = 1
    least: Annotated[int, Meta(ge=2)] = 2
    most: Annotated[int, Meta(le=2)] = 2
    even: Annotated[int, Meta(multiple_of=2)] = 2
    text: str = ""
    named: Annotated[str, Meta(min_length=1)] = "x"
    short: Annotated[str, Meta(max_length=3)] = "x"
    form: Annotated[str, Meta(pattern="^a", description="a text that begins with a")] = "a"
    bare: Annotated[str, Meta(pattern="^a")] = "a"
    flag: bool = False
    word: Literal["red", "green", "blue"] = "red"
    number: Literal[1, 2] = 1
    values: list[int | float | str] | Literal["all"] | None = None
    names: list[str] = []
    few: Annotated[list[str], Meta(max_length=1)] = []
    some: Annotated[list[str], Meta(min_length=1)] | None = None
    small: Annotated[dict[str, int], Meta(max_length=1)] = {}
    table: dict[str, int] = {}
    deep: dict[str, dict[str, list[int]]] = {}
    both: First | Second | None = None
    pair: Pair | None = None
    two: tuple[int, int] | None = None
    at: dt.datetime | None = None
    any: Any = None


MISTAKES: Final[list[tuple[str, object, str]]] = [
    ("whole", "4", "must be a whole number, not text"),
    ("whole", 2.5, "must be a whole number, not a decimal number"),
    ("whole", True, "must be a whole number, not true or false"),
    ("whole", None, "must be a whole number, not nothing"),
    ("whole", [1], "must be a whole number, not a list"),
    ("whole", {"a": 1}, "must be a whole number, not a table"),
    ("part", "x", "must be a number, not text"),
    ("share", 0.5, "must be a number above 0.5 and below 1"),
    ("count", 0, "must be a whole number from 1 to 9"),
    ("count", 10, "must be a whole number from 1 to 9"),
    ("least", 1, "must be a whole number of at least 2"),
    ("most", 3, "must be a whole number of at most 2"),
    ("even", 3, "must be a whole number divisible by 2"),
    ("text", 5, "must be text, not a whole number"),
    ("text", b"x", "must be text, not bytes; send text as str, not as bin"),
    ("named", "", "must be text that is not empty"),
    ("short", "long", "must be text of at most 3 characters"),
    ("form", "b", "must be a text that begins with a"),
    ("bare", "b", "must be text in another form"),
    ("flag", 1, "must be true or false, not a whole number"),
    ("word", "gren", "must be red, green or blue, not 'gren'; did you mean 'green'?"),
    ("word", "xyz", "must be red, green or blue, not 'xyz'"),
    ("word", 5, "must be red, green or blue, not a whole number"),
    ("number", 3, "must be 1 or 2, not 3"),
    ("values", 5, "must be a list or the word all, not a whole number; write values = [1, 2, 3]"),
    ("values", "5,7", "must be a list or the word all, not '5,7'; write values = [1, 2, 3]"),
    ("names", "a", 'must be a list, not text; write names = ["a", "b"]'),
    ("few", ["a", "b"], "must be a list of at most 1 entry"),
    ("some", [], "must be a list that is not empty"),
    ("small", {"a": 1, "b": 2}, "must be a table of at most 1 entry"),
    ("table", [], "must be a table, not a list"),
    ("table", {5: 1}, "a key must be text, not a whole number"),
    ("both", 5, "must be a table, not a whole number; its keys are x"),
    ("pair", [1], "must be a list of at least 2 entries"),
    ("two", [1], "must be a list of 2 entries"),
    ("at", "noon", "must be in another form"),
]
INNER: Final[list[tuple[dict[str, object], str]]] = [
    ({"values": [1, 2, {}]}, "values #3: must be a number or text, not a table"),
    ({"both": {"type": "third"}}, "both.type: must be first or second, not 'third'"),
    ({"both": {"type": 5}}, "both.type: must be first or second, not a whole number"),
    ({"both": {}}, "both.type: missing; add it"),
    ({"wohle": 1}, "wohle: unknown key; did you mean 'whole'?"),
    ({"pair": [1, "x"]}, "pair #2: must be a whole number, not text"),
]


class Outer(Struct, forbid_unknown_fields=True):
    """The form, at several depths."""

    form: Form | None = None
    forms: list[Form] = []
    others: dict[str, Form] = {}


def said(value: object, kind: Any = Outer) -> tuple[str, str]:
    """Return what is said of plain data, as in a file, and of a message with the same content."""
    with pytest.raises(InvalidInputError) as taken:
        take(value, kind)
    with pytest.raises(InvalidInputError) as decoded:
        decode(msgspec.msgpack.Decoder(strict(kind)), msgspec.msgpack.encode(value))
    return str(taken.value), str(decoded.value)


@pytest.mark.parametrize(("field", "value", "sentence"), MISTAKES)
def test_each_kind_of_mistake_is_told_in_plain_words(field: str, value: object, sentence: str) -> None:
    """The place as people count, what it must be, and what is there instead."""
    wrong = {field: value}

    assert said(wrong, Form) == (f"{field}: {sentence}",) * 2
    assert said({"form": wrong}) == (f"form.{field}: {sentence}",) * 2
    assert said({"forms": [{}, wrong]}) == (f"forms #2.{field}: {sentence}",) * 2
    in_a_file, in_a_message = said({"others": {"first": {}, "last": wrong}})
    assert in_a_file == f"others.last.{field}: {sentence}"
    assert in_a_message.startswith("others: a")  # where msgspec does not tell the key


@pytest.mark.parametrize(("wrong", "sentence"), INNER)
def test_a_mistake_inside_is_told_by_its_place(wrong: dict[str, object], sentence: str) -> None:
    """Items are counted from 1."""
    assert said(wrong, Form) == (sentence, sentence)
    assert said({"forms": [wrong]}) == (f"forms #1.{sentence}",) * 2


def test_of_tables_in_tables_each_key_is_named() -> None:
    """In a file; in a message only where the tables begin."""
    wrong = {"deep": {"a": {}, "b": {"c": [1], "d": [1, "x"]}}}

    assert said(wrong, Form) == (
        "deep.b.d #2: must be a whole number, not text",
        "deep: a value must be a whole number, not text",
    )


def test_what_is_no_table_at_all_is_told_without_a_place() -> None:
    """As a list of parameters in a request."""
    assert said([], Outer) == ("input: must be a table, not a list; its keys are form, forms, others",) * 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "input: ends too early"),
        (b"\xc1", "input: is no valid MessagePack: invalid opcode '\\xc1' (byte 0)"),
        (b"\x80\x80", "input: is no valid MessagePack: trailing characters (byte 1)"),
        (b"\x81\xa4text\xa2\xff\xfe", "input: is not UTF-8"),
        (b"\x81\xa3any" + b"\x91" * 100_000, "input: nested too deeply"),
    ],
)
def test_bytes_that_are_no_message_are_told_apart(data: bytes, sentence: str) -> None:
    """Cut off, another format, another encoding."""
    with pytest.raises(InvalidInputError, match=f"^{re.escape(sentence)}$"):
        decode(msgspec.msgpack.Decoder(Form), data)


WRONG: Final[tuple[object, ...]] = (
    *(None, True, -1, 5, 2.5, 2**62, "", "zz zz", "Ü" * 5000, [], [[]], [{}], {}, {"a": {"b": {"c": 1}}}, b"\x00"),
    dt.date(2026, 1, 1),
)


def wrong_fields(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield samples of a type of which one field has another value."""
    sample = Sample(kind)
    for _, of, data in sample.places:
        if isinstance(data, dict):
            for name in of.__struct_fields__:
                before = data.get(name)
                for value in WRONG:
                    data[name] = value
                    yield name, sample.data
                if before is None:
                    del data[name]
                else:
                    data[name] = before


@pytest.mark.parametrize("kind", DOORS.values(), ids=DOORS)
def test_no_door_of_ours_says_anything_in_foreign_words(kind: type[Struct]) -> None:
    """Each field of each request and file, at each depth, with a value of each other type."""
    for name, data in wrong_fields(kind):
        try:
            take(data, kind)
        except InvalidInputError as error:
            text = str(error)
            plain = EXAMPLE.sub("", text.replace(BIN_ADVICE, "").replace(repr(name), ""))
            assert not FOREIGN.search(plain), text
            assert "other form" not in text


def test_every_request_is_among_them() -> None:
    """What has no parameters can be refused for nothing."""
    assert {method.name for method in METHODS if method.params.__struct_fields__} <= DOORS.keys()
