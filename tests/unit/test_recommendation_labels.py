"""Labels of long values: short, in one line, and different where the values are."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning_service.recommendation.labels import labels, one_line, shortened

SCENE = "a photo of a very detailed scene with many things in it, "


def test_what_fits_stays_as_it_is() -> None:
    """Also the empty text."""
    assert labels(["1", "", "a blue star"], 24) == ["1", "", "a blue star"]


@pytest.mark.fault(item="F157")
@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([SCENE * 30 + "cat", SCENE * 30 + "dog"], ["a photo of a very detailed…in it, cat", "…in it, dog"]),
        (
            [f"{SCENE}a cat{' in the light' * 9}", f"{SCENE}a dog{' in the light' * 9}"],
            ["a photo of a…cat in the light in the l…", "…dog in the light in the l…"],
        ),
        (["a" * 500, "a" * 600], ["aaaaaaaaaaaaa…aaaaaa", "aaaaaaaaaaaaa…aaaaaaaaaaaaaaaaaaaaaaaaa…"]),
        (["a b" + "x" * 90, "a c" + "x" * 90], ["a b" + "x" * 23 + "…" + "x" * 13, "a c"]),
        (["a\nb", "a b", "a b"], ["a b", "a b (2)", "a b (2)"]),
    ],
)
def test_long_texts_show_where_they_differ(texts: list[str], expected: list[str]) -> None:
    """Their ends, or a place between; two that look the same are numbered."""
    told = labels(texts, 40)

    assert told[0] == expected[0]
    assert all(part in label for label, part in zip(told, expected, strict=True))


@pytest.mark.fault(item="F157")
@given(st.lists(st.text("ab ", max_size=120), max_size=30), st.integers(24, 60))
def test_different_values_have_different_labels(texts: list[str], most: int) -> None:
    """And equal ones the same, each in one line that is not too long."""
    told = labels(texts, most)

    assert len(set(told)) == len(set(texts))
    assert dict(zip(texts, told, strict=True)) == dict(reversed(list(zip(texts, told, strict=True))))
    assert all(len(label) <= most + len(" (30)") and label.isprintable() for label in told)


def test_thousands_of_alike_texts_take_no_time() -> None:
    """Such as a text that grows by one character each time."""
    begin = time.process_time()
    told = labels(["a" * length for length in range(1500)], 40)

    assert len(set(told)) == 1500
    assert time.process_time() - begin < 2


def test_a_shortened_text_has_its_beginning_and_its_end() -> None:
    """Of whole words, where one is near."""
    assert shortened("one two three four five six seven", 24) == "one two three…seven"
    assert shortened("x" * 50, 24) == "x" * 16 + "…" + "x" * 7
    assert one_line(" a\x1b[2J\tb\u2028c ") == "a [2J b c"
