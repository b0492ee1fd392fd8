"""What a subscriber is told of events that it cannot get, as a person reads it."""

import pytest

from bus.protocol.recovery import Damaged, Rewound, Truncated


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        (Truncated(3, 5), "retention has removed event 4; at most 1 event is gone"),
        (Truncated(3, 10), "retention has removed events 4 to 9; at most 6 events are gone"),
        (Rewound(10, 7), "the log is another one or lost its end: reading continues after event 7, it was at 10"),
        (Damaged(8), "event 8 is damaged in the publisher's log and cannot be delivered"),
    ],
)
def test_a_notice_names_the_events_that_are_missing(notice: Truncated | Rewound | Damaged, text: str) -> None:
    """One sentence with the offsets."""
    assert str(notice) == text
