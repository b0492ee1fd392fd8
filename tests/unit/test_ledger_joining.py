"""How a file joins a ledger."""

from pathlib import Path

import pytest

from bus.cluster.errors import ClusterRefusedError
from learning_service.cluster.joining import Way, judge
from learning_service.cluster.places import Place

PATH = Path("learning.db")
HERE = 77  # when the ledger was created


def way(place: Place | None, first: int, last: int, *, has_copy: bool = False, has_events: bool = False) -> Way:
    """Judge a file at a ledger of some messages."""
    return judge(PATH, place, created=HERE, first=first, last=last, has_copy=has_copy, has_events=has_events)


@pytest.mark.parametrize("sequence", [0, 4, 9])
def test_a_file_of_this_ledger_follows_from_its_place(sequence: int) -> None:
    """As long as nothing behind it was removed."""
    assert way(Place(HERE, sequence, b"x"), 1, 9, has_events=True) == "follow"
    assert way(Place(HERE, 4, b"x"), 5, 9, has_events=True, has_copy=True) == "follow"


def test_a_file_that_the_ledger_has_left_behind_takes_a_copy() -> None:
    """And so does one that has more than a ledger that has lost its end."""
    assert way(Place(HERE, 3, b"x"), 5, 9, has_events=True, has_copy=True) == "restore"
    assert way(Place(HERE, 10, b"x"), 5, 9, has_events=True, has_copy=True) == "restore"
    assert way(Place(HERE, 10, b"x"), 1, 9, has_events=True) == "restore", "a new file, filled from the beginning"


def test_a_new_file_begins_where_the_ledger_does_or_takes_a_copy() -> None:
    """Whatever is there."""
    assert way(None, 0, 0) == "begin"
    assert way(None, 1, 9) == "begin"
    assert way(None, 1, 9, has_copy=True) == "restore"
    assert way(None, 0, 0, has_copy=True) == "restore", "somebody's data are to begin this ledger"


def test_data_may_begin_an_empty_ledger_and_no_other() -> None:
    """Those of no ledger, and those of one that is gone."""
    for place in (None, Place(5, 100, b"x")):
        assert way(place, 0, 0, has_events=True) == "begin"
        with pytest.raises(ClusterRefusedError, match="experiments of its own"):
            way(place, 1, 9, has_events=True)
        with pytest.raises(ClusterRefusedError, match="experiments of its own"):
            way(place, 0, 0, has_events=True, has_copy=True)


def test_a_ledger_that_was_cut_and_has_no_copy_is_waited_for() -> None:
    """Whoever leads makes one; until then there is nothing that a file could be replaced by."""
    for place in (None, Place(HERE, 3, b"x")):
        assert way(place, 5, 9) == "restore"
