"""Who was refused, from events that do not all name the connection."""

from bus.transport.handshakes import BROKEN, NO_ZMTP, OTHER_MECHANISM, Handshakes


def test_a_connection_that_ends_without_a_success_was_refused() -> None:
    """Its address is known since it was accepted; the number of its descriptor may be used again."""
    handshakes = Handshakes()
    for address in ("10.0.0.1:1", "10.0.0.2:2"):
        handshakes.accept(7, address)
        assert handshakes.end(7) == (address, NO_ZMTP)


def test_a_connection_that_has_succeeded_ends_quietly() -> None:
    """Also long after others have come and gone."""
    handshakes = Handshakes()
    handshakes.accept(7, "10.0.0.1:1")
    handshakes.settle()
    handshakes.accept(8, "10.0.0.2:2")
    assert handshakes.end(8) == ("10.0.0.2:2", NO_ZMTP)
    assert handshakes.end(7) is None


def test_a_reason_belongs_to_the_connection_that_ends_next() -> None:
    """And to no other one."""
    handshakes = Handshakes()
    handshakes.accept(7, "10.0.0.1:1")
    handshakes.accept(8, "10.0.0.2:2")
    handshakes.fail(OTHER_MECHANISM)
    assert handshakes.end(8) == ("10.0.0.2:2", OTHER_MECHANISM)
    assert handshakes.end(7) == ("10.0.0.1:1", NO_ZMTP)
    handshakes.fail(BROKEN)
    assert handshakes.end(9) == ("somebody", BROKEN)


def test_what_is_of_no_interest_is_not_told() -> None:
    """A probe of the port."""
    handshakes = Handshakes()
    handshakes.accept(7, "10.0.0.1:1")
    handshakes.fail("")
    assert handshakes.end(7) is None


def test_many_strangers_at_once_are_not_accused_of_an_old_library() -> None:
    """Their keys are denied at once, which is logged elsewhere; seconds later their connections end together."""
    handshakes = Handshakes()
    for descriptor in range(20):
        handshakes.accept(descriptor, f"10.0.0.1:{descriptor}")
    for _ in range(20):
        handshakes.settle()
    assert [handshakes.end(descriptor) for descriptor in range(20)] == [None] * 20


def test_nobody_is_accused_where_it_is_not_known_who_was_admitted() -> None:
    """Two handshakes were under way, and one of them is settled: either may have ended."""
    handshakes = Handshakes()
    handshakes.accept(7, "10.0.0.1:1")
    handshakes.accept(8, "10.0.0.2:2")
    handshakes.settle()
    assert handshakes.end(7) is None
    assert handshakes.end(8) is None
