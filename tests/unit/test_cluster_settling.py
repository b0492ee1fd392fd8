"""When all jobs of a cluster must have an end that was read."""

import pytest

from learning_service.cluster.settling import State, is_settled

EMPTY = State(jobs=0, last_job=7, last_end=5)


def test_an_empty_queue_at_two_looks_and_all_ends_read_is_settled() -> None:
    """What came between the looks has been read by then, or will be."""
    assert is_settled(EMPTY, EMPTY, 5)
    assert is_settled(EMPTY, EMPTY._replace(last_end=6), 5)


@pytest.mark.parametrize(
    ("before", "now", "position"),
    [
        (None, EMPTY, 5),
        (EMPTY._replace(jobs=1), EMPTY, 5),
        (EMPTY, EMPTY._replace(jobs=1), 5),
        (EMPTY, EMPTY._replace(last_job=8), 5),
        (EMPTY, EMPTY, 4),
    ],
)
def test_a_job_that_may_still_end_is_waited_for(before: State | None, now: State, position: int) -> None:
    """One that waits, or has come and gone meanwhile, or whose end has not been read."""
    assert not is_settled(before, now, position)
