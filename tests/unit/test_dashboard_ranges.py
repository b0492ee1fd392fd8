"""Parts of a file as a player asks for them."""

import pytest

from variantbus.dashboard.ranges import Span, UnsatisfiableError, span_of


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", None),
        ("bytes=0-", Span(0, 100)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes = 10-19", Span(10, 20)),
        ("bytes=90-500", Span(90, 100)),
        ("bytes=-10", Span(90, 100)),
        ("bytes=-500", Span(0, 100)),
        ("bytes=-", None),
        ("bytes=5-3", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
        ("bytes=" + 30 * "9" + "-", None),
    ],
)
def test_a_part_is_what_the_header_says(header: str, span: Span | None) -> None:
    """What is no range of one part is answered with the whole file, as HTTP allows."""
    assert span_of(header, 100) == span


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_part_behind_the_end_is_refused(header: str, size: int) -> None:
    """The player asks for it if a file was replaced by a shorter one."""
    with pytest.raises(UnsatisfiableError):
        span_of(header, size)
