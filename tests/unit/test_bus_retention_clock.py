"""The clock of retention: one that was set is not believed for an hour."""

from bus.eventlog.retention import CLOCK_PAUSE, Clock


class Hands:
    """The two clocks of a machine, moved by hand."""

    def __init__(self) -> None:
        """Begin some time after 1970 and after the boot."""
        self.wall, self.steady = 1_700_000_000.0, 50.0

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds

    def clock(self) -> Clock:
        """Make the clock under test."""
        return Clock(lambda: self.wall, lambda: self.steady)


def test_time_that_passes_is_believed() -> None:
    """Also a suspend of a week, which the steady clock counts, and the small steps of time synchronisation."""
    hands = Hands()
    clock = hands.clock()
    for seconds in (1.0, 7 * 86_400.0):
        hands.pass_(seconds)
        hands.wall += 0.5

        assert clock.now() == hands.wall


def test_a_clock_that_was_set_is_not_believed_for_an_hour() -> None:
    """Set forward or back; and set right again within the hour, it has to wait another hour."""
    for jump in (14 * 365 * 86_400.0, -3_600.0):
        hands = Hands()
        clock = hands.clock()
        hands.wall += jump
        assert clock.now() is None

        hands.pass_(CLOCK_PAUSE - 1)
        assert clock.now() is None
        hands.wall -= jump
        assert clock.now() is None
        hands.pass_(CLOCK_PAUSE - 1)
        assert clock.now() is None

        hands.pass_(2)
        assert clock.now() == hands.wall
