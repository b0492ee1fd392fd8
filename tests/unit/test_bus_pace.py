"""How many events are taken at a time follows from how long they take."""

from bus.transport.pace import FIRST, LEAST, Pace


def taken(pace: Pace, batches: int, seconds_an_event: float) -> Pace:
    """Take full batches of events that take so long."""
    for _ in range(batches):
        pace.note(pace.count, pace.count * seconds_an_event)
    return pace


def test_quick_events_are_taken_up_to_the_limit_at_a_time() -> None:
    """Which costs less each."""
    assert taken(Pace(1024), 4, 15e-6).count == 1024
    assert taken(Pace(1024), 9, 15e-6).count == 1024


def test_slow_events_are_taken_few_at_a_time() -> None:
    """So that no batch takes longer than 20 ms, but for the first ones."""
    assert taken(Pace(1024), 3, 500e-6).count * 500e-6 <= 0.02
    assert taken(Pace(1024), 20, 1.0).count == LEAST


def test_it_settles() -> None:
    """Where a batch is neither quick nor slow, its size stays."""
    pace = taken(Pace(1024), 5, 200e-6)

    assert pace.count == FIRST
    assert taken(pace, 5, 15e-6).count == 1024


def test_a_batch_that_is_not_full_says_nothing_of_larger_ones() -> None:
    """But a slow one says that such a batch is too large."""
    pace = Pace(1024)
    pace.note(3, 0.001)
    assert pace.count == FIRST
    pace.note(60, 0.1)
    assert pace.count == 30


def test_the_limit_holds_however_small_it_is() -> None:
    """A person may set it to 1."""
    pace = Pace(1)
    pace.note(1, 0.001)
    assert pace.count == 1
    pace.note(1, 1.0)
    assert pace.count == 1


def test_a_block_is_timed() -> None:
    """One that takes no time lets more be done next time."""
    pace = Pace(1024)
    with pace.timed(FIRST):
        pass
    assert pace.count == 2 * FIRST
