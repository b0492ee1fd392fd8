"""Catching up, step by step: what retention took and what compaction kept."""

import pytest

from bus.protocol.recovery import Check, Fetch, Latest, Recovery, Truncated


def test_what_retention_has_taken_is_told_and_the_newest_of_it_delivered() -> None:
    """The consumer gets what compaction has kept of the gap, page by page, and goes on at the first event kept."""
    recovery: Recovery[str] = Recovery(epoch=1, offset=3, everything=True)
    recovery.heartbeat(1, 12, 10, [(1, 0)])
    request = recovery.request()
    assert request == Latest("")
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(8, "eight"), (11, "still in the log"), (2, "seen")], "m.")
    assert recovery.offset == 3
    request = recovery.request()
    assert request == Latest("m.")
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(5, "five")], "")
    (notice,) = recovery.take_notices()

    assert notice == Truncated(3, 10)
    assert isinstance(notice, Truncated)
    assert notice.count == 6
    assert recovery.take() == ["five", "eight"]
    assert recovery.request() == Fetch(9, 12)


@pytest.mark.parametrize("last", [0, 7])
def test_a_check_that_finds_nothing_does_not_hide_what_retention_took(last: int) -> None:
    """All of the prefix may be gone, or all but what compaction kept: the consumer is told in both cases."""
    recovery: Recovery[str] = Recovery(epoch=1, offset=3)
    recovery.heartbeat(1, 9, 1, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Check)
    recovery.checked(request, 1, 12, 10, last)
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(7, "seven")] if last else [], "")

    assert recovery.take_notices() == [Truncated(3, 10)]
    assert recovery.take() == (["seven"] if last else [])
    assert recovery.offset == 9


def test_a_message_that_proves_that_nothing_was_missed_makes_the_gap_no_news() -> None:
    """Its chain says that the prefix had no event where retention has taken some."""
    recovery: Recovery[str] = Recovery(epoch=1, offset=3)
    recovery.heartbeat(1, 12, 10, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.message(1, 13, 2, "thirteen")
    recovery.listed(request, 1, 13, 10, [(2, "two")], "")

    assert (recovery.take_notices(), recovery.take(), recovery.offset) == ([], ["thirteen"], 13)


def test_retention_that_goes_on_while_the_newest_events_are_listed_is_told_next() -> None:
    """What the second round took is reported by itself, and its newest events are delivered then."""
    recovery: Recovery[str] = Recovery(epoch=1, offset=3)
    recovery.heartbeat(1, 12, 6, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 6, [(8, "eight")], "m.")
    recovery.heartbeat(1, 12, 10, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(5, "five")], "")
    assert (recovery.take_notices(), recovery.take()) == ([Truncated(3, 6)], ["five"])

    request = recovery.request()
    assert request == Latest("")
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(8, "eight"), (5, "five")], "")
    assert (recovery.take_notices(), recovery.take()) == ([Truncated(5, 10)], ["eight"])


def test_a_screen_that_opens_late_lists_the_newest_events_first() -> None:
    """In the order of the log, wherever retention is; what follows comes behind the head of the first page."""
    recovery: Recovery[str] = Recovery(offset=None, latest=True)
    assert recovery.request() is None
    recovery.heartbeat(1, 12, 10, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(11, "eleven"), (4, "four")], "m.")
    recovery.message(1, 13, 11, "thirteen")
    assert (recovery.take(), recovery.offset) == ([], None)
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 13, 10, [(13, "comes by fetching"), (7, "seven")], "")

    assert (recovery.take(), recovery.take_notices()) == (["four", "seven", "eleven"], [])
    assert recovery.offset == 12
    assert recovery.request() == Check(12)


def test_what_was_listed_before_the_chain_proved_that_nothing_was_missed_is_not_delivered() -> None:
    """Neither an event of an earlier page nor the damage that it reports: our position has passed both."""
    recovery: Recovery[str] = Recovery(epoch=1, offset=3)
    recovery.heartbeat(1, 12, 10, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.listed(request, 1, 12, 10, [(8, "of another prefix")], "m.", [7])
    request = recovery.request()
    assert isinstance(request, Latest)
    recovery.message(1, 13, 3, "thirteen")
    recovery.listed(request, 1, 13, 10, [], "")

    assert (recovery.take_notices(), recovery.take(), recovery.offset) == ([], ["thirteen"], 13)
