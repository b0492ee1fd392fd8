"""Bodies as plain data that JSON can express."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bus.protocol.json_values import to_json_value


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"a": [1, "b", None, True]}, {"a": [1, "b", None, True]}),
        ([1.5, float("nan"), float("inf")], [1.5, None, None]),
        (b"ab", "YWI="),
        (msgspec.msgpack.Ext(7, b"ab"), {"ext": 7, "data": "YWI="}),
        (datetime(2026, 5, 1, 12, tzinfo=UTC), "2026-05-01T12:00:00+00:00"),
        ({1: "a", b"b": 2}, {"1": "a", "Yg==": 2}),
    ],
)
def test_each_type_has_one_form_in_json(body: Any, expected: Any) -> None:
    """What JSON cannot hold gets the form that the docstring promises."""
    assert to_json_value(msgspec.msgpack.encode(body)) == expected


def test_a_body_that_cannot_be_decoded_says_why() -> None:
    """It is data for people, so it raises nothing."""
    assert to_json_value(b"\xc1")["error"].startswith("cannot be read: ")
