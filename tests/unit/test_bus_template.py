"""Lines from a template, and bodies as plain data."""

import math
from datetime import datetime
from typing import Any

import msgspec
import pytest
from msgspec.msgpack import Ext

from bus.console.tail import as_json, as_text
from bus.console.template import Template
from bus.protocol.json_values import to_json_value
from bus.protocol.validation import InvalidInputError
from bus.subscriber.delivery import Delivery

NOON_NS = int(datetime(2026, 5, 1, 12, 0, 5).astimezone().timestamp() * 10**9)


def event(body: Any = None, *, raw: bytes | None = None, topic: str = "a.b.") -> Delivery:
    """Make an event with any body."""
    encoded = msgspec.msgpack.encode(body or {}) if raw is None else raw
    return Delivery("tcp://h:1", "", 9, 7, topic, NOON_NS, msgspec.Raw(encoded))


BODY = {
    "status": "running",
    "fraction": 0.256,
    "steps": None,
    "ok": True,
    "result": {"images": [{"path": "one.png"}, {"path": "two.png"}], "metrics": {"a.b": 1}},
    "odd": "two\nlines\x1b[2J",
}


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{time:%H:%M:%S} {topic} {body[status]}", "12:00:05 a.b. running"),
        ("{source} {epoch} {offset:>5}", "tcp://h:1 9     7"),
        (r"{offset}\t{topic}\n\\n", "7\ta.b.\n\\n"),
        ("{body[fraction]:.0%} {body[status]:>9}|", "26%   running|"),
        ("{body[result][images][1][path]} {body[result][metrics][a.b]}", "two.png 1"),
        ("{body[ok]} {body[result][metrics]}", 'true {"a.b":1}'),
        ("{body[odd]}", "two lines [2J"),
        ("{body[status]!r} {{}}", "'running' {}"),
        # what is not there, or null, prints as nothing, whatever its format; what a format does not suit as it is
        ("[{body[steps]:.2f}{body[none]}{body[none][x]:.0%}{body[status][x]}{body[result][images][9]}]", "[]"),
        ("{body[status]:.2f} {body[ok]:%H}", "running true"),
    ],
)
def test_a_template_is_filled_from_the_event(template: str, line: str) -> None:
    """As `str.format` does it, with keys alone."""
    assert Template(template)(event(BODY)) == line


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{body.status}", "keys in brackets"),
        ("{body.__class__}", "keys in brackets"),
        ("{topic.__class__.__mro__}", "keys in brackets"),
        ("{time.year}", "keys in brackets"),
        ("{}", "there is no field '0'"),
        ("{0}", "there is no field '0'"),
        ("{topik}", "did you mean 'topic'"),
        ("{topic[0]}", "only body has"),
        ("{body[status}", "malformed"),
        ("{body[]}", "no field"),
        ("{", "malformed"),
        ("}", "malformed"),
        ("{topic:%H}", "malformed"),
        ("{offset:zzz}", "malformed"),
        ("{topic!x}", "malformed"),
    ],
)
def test_a_template_that_is_wrong_is_refused_before_any_event(template: str, words: str) -> None:
    """Attributes above all: they would reach into the program."""
    with pytest.raises(InvalidInputError, match=r"^--format: ") as caught:
        Template(template)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": math.nan, "b": [math.inf, -math.inf, 1.5]}, {"a": None, "b": [None, None, 1.5]}),
        ({"a": b"\x00\xff"}, {"a": "AP8="}),
        ({"a": Ext(5, b"x")}, {"a": {"ext": 5, "data": "eA=="}}),
        ({1: "one", None: "nil", 1.5: "a float"}, {"1": "one", "null": "nil", "1.5": "a float"}),
        ({b"k": "bytes"}, {"aw==": "bytes"}),
        ({"a": 2**64 - 1}, {"a": 2**64 - 1}),
    ],
)
def test_what_json_has_no_form_for_is_written_legibly(value: Any, expected: Any) -> None:
    """NaN and infinities as null, bytes in base64, extensions with their code, keys as texts."""
    assert to_json_value(msgspec.msgpack.encode(value)) == expected
    assert msgspec.json.decode(as_json(event(value)))["body"] == expected


@pytest.mark.parametrize("raw", [b"", b"\xc1", b"\x81\xa1\xff\x01", b"\x81\x81\x01\x02\x03", b"\x91" * 5000 + b"\x01"])
def test_a_body_that_cannot_be_decoded_is_an_error_in_its_place(raw: bytes) -> None:
    """One bad body does not end a tail, whatever the form."""
    assert "cannot be read" in to_json_value(raw)["error"]
    assert "cannot be read" in msgspec.json.decode(as_json(event(raw=raw)))["body"]["error"]
    assert "cannot be read" in as_text(event(raw=raw))
    assert Template("{topic}{body[status]}")(event(raw=raw)) == "a.b."


def test_a_message_of_another_application_is_shown_as_what_it_says() -> None:
    """It is shortened, and cannot act on the terminal."""
    foreign = msgspec.msgpack.encode({"type": "room.reading", "room": "kit\x1bchen", "celsius": 20.1})
    assert as_text(event(raw=foreign)).endswith('{"type":"room.reading","room":"kit\\u001bchen","celsius":20.1}')
    long = msgspec.msgpack.encode({"type": "room.plan", "picture": "x" * 5000})
    assert as_text(event(raw=long)).endswith("xxx…")
    assert len(as_text(event(raw=long))) < 300
