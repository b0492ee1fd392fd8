"""Whether a feed belongs to the publisher that was asked."""

import pytest

from bus.protocol.addresses import Address, AddressError, Advertised
from bus.protocol.identity import FeedIdentity, WrongFeed
from bus.protocol.validation import InvalidInputError
from bus.subscriber.base import feeds_by_address

A, B, FEED = "tcp://127.0.0.1:5561", "tcp://127.0.0.1:5571", "tcp://127.0.0.1:6560"


def test_a_heartbeat_with_the_epoch_that_info_told_confirms_the_feed() -> None:
    """Also after one that did not."""
    identity = FeedIdentity()
    identity.connect(5)

    assert identity.confirm(5)
    assert not identity.confirm(6)
    assert not identity.is_wrong  # the publisher may have been restarted in between
    identity.connect(6)
    assert identity.confirm(6)
    assert not identity.is_wrong


def test_a_feed_that_differs_again_is_another_publishers() -> None:
    """Until it no longer does."""
    identity = FeedIdentity()
    for _ in range(2):
        identity.connect(5)
        assert not identity.confirm(7)
    assert identity.is_wrong

    identity.connect(7)
    assert identity.confirm(7)
    assert not identity.is_wrong


def test_the_notice_names_the_feed_and_what_to_do() -> None:
    """It is for the user of a command, and of the library."""
    text = str(WrongFeed(FEED))
    assert text.startswith(f"the feed at {FEED} belongs to another publisher; ")
    assert all(word in text for word in ("--feed", "feed=", "--advertise"))


def test_feeds_are_named_by_their_publishers() -> None:
    """One is that of the only publisher; of several it must be clear."""
    assert feeds_by_address("", [A, B]) == {}
    assert feeds_by_address(FEED, [A, A]) == {A: FEED}
    assert feeds_by_address({B: FEED}, [A, B]) == {B: FEED}
    with pytest.raises(InvalidInputError, match="several publishers"):
        feeds_by_address(FEED, [A, B])
    with pytest.raises(InvalidInputError, match="is none of the publishers"):
        feeds_by_address({FEED: FEED}, [A, B])
    with pytest.raises(AddressError):
        feeds_by_address("127.0.0.1:6560", [A])


def test_what_a_service_advertises_is_one_address_or_two() -> None:
    """The feed, and the control socket if its address changes too."""
    assert Advertised.parse(FEED) == (Address("127.0.0.1", 6560), None)
    assert Advertised.parse(f"{FEED},{A}") == (Address("127.0.0.1", 6560), Address("127.0.0.1", 5561))
    for text in ("", ",", f"{FEED},", "6560", f"{FEED};{A}"):
        with pytest.raises(AddressError):
            Advertised.parse(text)
