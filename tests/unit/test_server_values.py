"""Numbers of servers, as far as a message can hold them."""

import math
from typing import Any

import msgspec
import pytest

from pipeline_runner.pipelines.server_values import number, number_in, scalar, whole


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        (7.0, 7),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (2**64, None),
        (1e300, None),
        (10**400, None),
        (7.5, None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        ("7", None),
        (None, None),
    ],
)
def test_a_whole_number_has_64_bits(value: Any, expected: int | None) -> None:
    """Others are none, whatever JSON and Python take for numbers."""
    assert whole(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(1, 1), (0.5, 0.5), (math.inf, None), (math.nan, None), (10**400, None), (False, None)]
)
def test_a_number_is_finite(value: Any, expected: float | None) -> None:
    """Comparing and dividing it raises nothing."""
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), (True, True), (3, 3), (0.5, 0.5), (2**64, None), (math.nan, None), ([], None)]
)
def test_a_scalar_can_be_sent(value: Any, expected: Any) -> None:
    """It is encoded as it is."""
    assert scalar(value) == expected
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(scalar(value))) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0.75", 0.75), ("3", 3.0), ("many", None), ("nan", None), ("1e999", None), (None, None)]
)
def test_a_text_may_be_a_number(text: str | None, expected: float | None) -> None:
    """As in the line that a picture has of its settings."""
    assert number_in(text) == expected
