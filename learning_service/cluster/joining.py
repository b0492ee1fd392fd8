"""How a file joins a ledger. No socket, no file."""

from pathlib import Path
from typing import Final, Literal

from bus.cluster.errors import ClusterRefusedError
from learning_service.cluster.places import Place

Way = Literal["follow", "begin", "restore"]
START_LINK: Final = b""


def start_of(created: int) -> Place:
    """Return the place before all entries of a ledger."""
    return Place(created, 0, START_LINK)


def judge(
    path: Path, place: Place | None, *, created: int, first: int, last: int, has_copy: bool, has_events: bool
) -> Way:
    """Return how a file joins a ledger that was created then and has the messages `first` to `last`.

    It follows from its place on; or from the beginning, where its own data may begin a ledger that is empty; or a copy
    takes its place, or, where there is none, a new file.

    Raises:
        ClusterRefusedError: it is another learning service's.
    """
    is_whole = first <= 1
    if place and place.created == created:
        if first - 1 <= place.sequence <= last:
            return "follow"
    elif (last == 0 and not has_copy) or (is_whole and not has_copy and not has_events):
        return "begin"
    elif has_events:
        text = f"{path} has experiments of its own, or of another cluster, and this cluster has others"
        raise ClusterRefusedError(f"{text}; move it away (what it lacks comes from the cluster), or choose --data-dir")
    return "restore"
