"""Recovery step by step: gaps, heartbeats, epochs and damaged records."""

import pytest

from bus.config.limits import DEFAULT_LIMITS
from bus.protocol.frames import Epochs
from bus.protocol.recovery import Check, Damaged, Fetch, Info, Latest, Recovery, Rewound, resume_offset

EPOCHS: Epochs = [(11, 0), (12, 7), (13, 5), (14, 9)]


@pytest.mark.parametrize(
    ("epoch", "offset", "resumed"),
    [
        (14, 12, 12),  # the present one
        (13, 8, 8),  # nothing was lost
        (13, 12, 9),  # seen beyond what survived
        (12, 6, 5),  # the next one began at 5
        (12, 4, 4),
        (11, 20, 5),  # the lowest start on the way counts
        (11, 3, 3),
        (99, 3, 0),  # another log
        (None, 3, 0),
    ],
)
def test_a_consumer_resumes_at_the_lowest_point_that_survived(epoch: int | None, offset: int, resumed: int) -> None:
    """Every epoch behind the consumer's own may have begun below its position."""
    assert resume_offset(epoch, offset, EPOCHS) == resumed


def follow(epoch: int | None = 1, offset: int = 0, head: int = 0, *, everything: bool = False) -> Recovery[str]:
    """Return a `Recovery` that has heard the heartbeat of epoch 1."""
    recovery: Recovery[str] = Recovery(epoch=epoch, offset=offset, everything=everything)
    recovery.heartbeat(1, head, 1, [(1, 0)])
    return recovery


def test_a_message_that_follows_the_last_one_is_delivered_without_a_question() -> None:
    """The chain proves that nothing is missing, also across offsets of other prefixes."""
    recovery = follow()
    recovery.message(1, 3, 0, "three")
    recovery.message(1, 9, 3, "nine")

    assert recovery.take() == ["three", "nine"]
    assert recovery.take() == []
    assert recovery.request() is None
    assert (recovery.epoch, recovery.offset) == (1, 9)


def test_a_gap_is_fetched_just_as_far_as_the_chain_says() -> None:
    """What came behind the gap waits, and is not fetched again."""
    recovery = follow()
    recovery.message(1, 9, 4, "nine")
    request = recovery.request()

    assert request == Fetch(0, 4)
    assert recovery.request() is None
    assert recovery.take() == []
    assert isinstance(request, Fetch)
    recovery.fetched(request, 1, 1, 4, [(2, "two"), (4, "four")])
    assert recovery.take() == ["two", "four", "nine"]
    assert recovery.refetched == 2


def follow_densely() -> tuple[Recovery[str], Fetch]:
    """Return a `Recovery` that has a full page of a long gap, with the request for the next one."""
    recovery = follow(head=9, everything=True)
    request = recovery.request(2)
    assert request == Fetch(0, 9, 2)
    assert isinstance(request, Fetch)
    assert recovery.request(2) is None
    recovery.fetched(request, 1, 1, 2, [(1, "1"), (2, "2")])
    assert recovery.take() == ["1", "2"]
    request = recovery.request(2)
    assert isinstance(request, Fetch)
    return recovery, request


def test_a_page_of_a_long_gap_is_asked_for_before_the_one_in_front_of_it_is_here() -> None:
    """At most two are under way, and it ends with the gap."""
    recovery, third = follow_densely()
    fifth = recovery.request(2)
    assert (third, fifth) == (Fetch(2, 9, 2), Fetch(4, 9, 2))
    assert recovery.request(2) is None

    recovery.fetched(third, 1, 1, 4, [(3, "3"), (4, "4")])
    seventh = recovery.request(5)
    assert seventh == Fetch(6, 9, 5)
    assert isinstance(fifth, Fetch)
    recovery.fetched(fifth, 1, 1, 6, [(5, "5"), (6, "6")])
    assert recovery.request(2) is None
    assert isinstance(seventh, Fetch)
    recovery.fetched(seventh, 1, 1, 9, [(7, "7"), (8, "8"), (9, "9")])

    assert (recovery.take(), recovery.request(2)) == ([str(offset) for offset in range(3, 10)], None)
    assert (recovery.refetched, recovery.gaps) == (9, 1)


@pytest.mark.fault(item="F140")
def test_a_page_behind_one_that_is_shorter_than_expected_is_asked_for_again() -> None:
    """Large events fill a page before it has as many as were asked for: nothing between the two is passed over."""
    recovery, third = follow_densely()
    fifth = recovery.request(2)
    recovery.fetched(third, 1, 1, 3, [(3, "3")])
    assert recovery.request(2) is None
    assert isinstance(fifth, Fetch)
    recovery.fetched(fifth, 1, 1, 6, [(5, "5"), (6, "6")])

    assert (recovery.take(), recovery.offset) == (["3"], 3)
    assert recovery.request(2) == Fetch(3, 9, 2)
    assert recovery.request(2) is None


@pytest.mark.fault(item="F140")
def test_a_page_that_is_lost_is_asked_for_again_and_so_is_the_one_behind_it() -> None:
    """The answer to the second request alone is of no use."""
    recovery, third = follow_densely()
    fifth = recovery.request(2)
    recovery.failed(third)
    assert isinstance(fifth, Fetch)
    recovery.fetched(fifth, 1, 1, 6, [(5, "5"), (6, "6")])

    assert (recovery.take(), recovery.request(2)) == ([], Fetch(2, 9, 2))


def test_no_page_is_asked_for_ahead_while_it_is_not_known_whose_log_it_is() -> None:
    """A message of another epoch comes first: the question about it waits for the answer under way."""
    recovery, third = follow_densely()
    recovery.message(2, 1, 0, "one")

    assert recovery.request(2) is None
    recovery.failed(third)
    assert recovery.request(2) == Info(2)


def test_the_second_of_two_requests_may_fail_alone() -> None:
    """It is asked again, ahead, as it was."""
    recovery, _ = follow_densely()
    fifth = recovery.request(2)
    assert isinstance(fifth, Fetch)
    recovery.failed(fifth)

    assert recovery.request(2) == Fetch(4, 9, 2)


def test_pages_of_a_rare_prefix_are_asked_for_one_by_one() -> None:
    """Where a page ends is not known if not every event has the prefix: a second request would ask for the same."""
    recovery = follow(head=9, everything=True)
    request = recovery.request(2)
    assert isinstance(request, Fetch)
    recovery.fetched(request, 1, 1, 3, [(1, "1"), (3, "3")])

    assert recovery.request(2) == Fetch(3, 9, 2)
    assert recovery.request(2) is None


def test_a_message_without_a_chain_makes_the_consumer_ask() -> None:
    """The publisher may have forgotten the prefix: then everything before the message is fetched."""
    recovery = follow()
    recovery.message(1, 9, None, "nine")

    assert recovery.request() == Fetch(0, 8)


def test_a_lost_last_message_is_found_by_the_heartbeat() -> None:
    """Behind the head, a narrow prefix asks first whether that concerns it; everything fetches at once."""
    narrow, everything = follow(head=5), follow(head=5, everything=True)
    request = narrow.request()

    assert everything.request() == Fetch(0, 5)
    assert request == Check(0)
    assert isinstance(request, Check)
    narrow.checked(request, 1, 5, 1, 3)
    assert narrow.request() == Fetch(0, 3)


def test_a_head_that_does_not_concern_the_prefix_moves_the_position_on() -> None:
    """So an idle prefix does not fall behind retention."""
    recovery = follow(head=5)
    request = recovery.request()
    assert isinstance(request, Check)
    recovery.checked(request, 1, 6, 1, 0)

    assert recovery.offset == 6
    assert recovery.request() is None


def test_a_request_that_failed_is_asked_again() -> None:
    """Nothing is forgotten when the publisher does not answer; its late answer is ignored."""
    recovery = follow(head=2, everything=True)
    first = recovery.request()
    assert isinstance(first, Fetch)
    recovery.failed(first)
    second = recovery.request()

    assert second == first
    recovery.fetched(first, 1, 1, 2, [(1, "late"), (2, "late")])
    assert recovery.take() == []
    assert isinstance(second, Fetch)
    recovery.fetched(second, 1, 1, 2, [(1, "one"), (2, "two")])
    assert recovery.take() == ["one", "two"]


def test_messages_before_the_first_heartbeat_are_fetched_later() -> None:
    """Until the epoch is settled, nothing is trusted: the consumer asks which one it is."""
    recovery: Recovery[str] = Recovery(epoch=7, offset=1)
    recovery.message(8, 2, 1, "two")
    request = recovery.request()

    assert recovery.take() == []
    assert isinstance(request, Info)
    recovery.informed(request, 8, 2, 1, [(7, 0), (8, 1)])
    assert recovery.request() == Check(1)


def test_a_power_cut_takes_the_consumer_back_to_what_survived() -> None:
    """It is told, and gets what the publisher gave the same offsets to."""
    recovery = follow(offset=10, head=10)
    recovery.heartbeat(2, 8, 1, [(1, 0), (2, 7)])

    assert recovery.take_notices() == [Rewound(10, 7)]
    assert recovery.take_notices() == []
    assert (recovery.epoch, recovery.offset) == (2, 7)
    recovery.message(2, 8, 7, "eight again")
    assert recovery.take() == ["eight again"]


def test_a_new_epoch_that_lost_nothing_is_no_news() -> None:
    """A consumer that had not seen beyond the start of the new epoch just goes on."""
    recovery = follow(offset=7, head=7)
    recovery.message(1, 9, 8, "of the old epoch")
    recovery.heartbeat(2, 7, 1, [(1, 0), (2, 7)])

    assert recovery.take_notices() == []
    assert recovery.request() is None
    recovery.message(2, 8, 0, "eight")
    assert recovery.take() == ["eight"]


def test_a_straggling_heartbeat_of_an_old_epoch_changes_nothing() -> None:
    """It may come from a dead process or from a restored backup: only asking tells."""
    recovery = follow()
    recovery.heartbeat(2, 0, 1, [(1, 0), (2, 0)])
    recovery.heartbeat(1, 5, 1, [(1, 0)])
    request = recovery.request()

    assert recovery.epoch == 2
    assert isinstance(request, Info)
    recovery.informed(request, 2, 0, 1, [(1, 0), (2, 0)])
    assert recovery.request() is None


@pytest.mark.fault(item="F20")
def test_a_restored_backup_takes_the_consumer_back_to_its_end() -> None:
    """The same epoch with a head before our position: only asking tells that it is so, then its offsets are read."""
    recovery = follow(offset=10, head=10)
    recovery.heartbeat(1, 5, 1, [(1, 0)])

    request = recovery.request()
    assert request == Info(10)
    recovery.informed(request, 1, 5, 1, [(1, 0)])

    assert recovery.take_notices() == [Rewound(10, 5)]
    recovery.message(1, 6, 5, "six")
    assert recovery.take() == ["six"]


def test_a_heartbeat_that_a_reply_has_overtaken_takes_nothing_back() -> None:
    """Its head is old, which the answer to `info` shows."""
    recovery = follow(offset=10, head=10)
    recovery.heartbeat(1, 9, 1, [(1, 0)])

    request = recovery.request()
    assert isinstance(request, Info)
    recovery.informed(request, 1, 10, 1, [(1, 0)])

    assert (recovery.take_notices(), recovery.offset) == ([], 10)


def test_a_damaged_record_is_told_and_passed_over() -> None:
    """Its offset is named, and what follows is delivered."""
    recovery = follow(head=3)
    request = recovery.request()
    assert request == Check(0)
    recovery.checked(request, 1, 3, 1, 3)
    request = recovery.request()
    assert isinstance(request, Fetch)

    recovery.fetched(request, 1, 1, 3, [(1, "one"), (3, "three")], [2])

    assert (recovery.take(), recovery.take_notices()) == (["one", "three"], [Damaged(2)])


def test_a_newest_event_that_is_damaged_is_told() -> None:
    """Of what lies behind our offset; with the beginner's listing it is all."""
    recovery = Recovery[str](offset=None, latest=True)
    recovery.heartbeat(1, 9, 1, [(1, 0)])
    request = recovery.request()
    assert isinstance(request, Latest)

    recovery.listed(request, 1, 9, 1, [(4, "four")], "", [7])

    assert (recovery.take(), recovery.take_notices()) == (["four"], [Damaged(7)])


def test_only_so_many_messages_wait_for_a_gap_to_close() -> None:
    """What is dropped beyond the limit is fetched later."""
    recovery = follow()
    last = DEFAULT_LIMITS.pending_messages + 50
    for offset in range(2, last + 1):
        recovery.message(1, offset, offset - 1, str(offset))
    assert len(recovery._pending) == DEFAULT_LIMITS.pending_messages

    request = recovery.request()
    assert isinstance(request, Fetch)
    recovery.fetched(request, 1, 1, 1, [(1, "1")])
    assert len(recovery.take()) == DEFAULT_LIMITS.pending_messages + 1
    assert recovery.request() == Check(DEFAULT_LIMITS.pending_messages + 1)


def test_the_next_offset_needs_no_chain() -> None:
    """A publisher that has forgotten the prefix cannot make the consumer ask where the offsets themselves prove it."""
    recovery = follow(offset=4, head=4)
    recovery.message(1, 5, None, "five")

    assert recovery.take() == ["five"]
    assert recovery.request() is None
