"""Indices on a command line: numbers and ranges, in any order."""

import click
import pytest

from bus.console.indices import IndexSet


@pytest.mark.parametrize(
    ("text", "indices"), [("7", (7,)), ("0-3,7", (0, 1, 2, 3, 7)), (" 5 , 1-2,2", (1, 2, 5)), ("3-3", (3,))]
)
def test_indices_and_ranges_are_read(text: str, indices: tuple[int, ...]) -> None:
    """Each once, in their order; what is read already stays."""
    assert IndexSet().convert(text, None, None) == indices
    assert IndexSet().convert(indices, None, None) == indices


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1,,2", "1-", "12345678"])
def test_what_is_no_index_is_refused(text: str) -> None:
    """With the part that is wrong, and an example."""
    with pytest.raises(click.BadParameter, match="is no index or range; write for example 0-3,7"):
        IndexSet().convert(text, None, None)
