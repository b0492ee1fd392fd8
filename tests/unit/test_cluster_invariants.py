"""The checker of the cluster notices what it is there for: a lost end, one that counts twice, a number given twice."""

import pytest

from bus.cluster import names
from bus.contracts.messages import JobCompleted, LearningContext
from learning_service.experiments.plan import PlannedJob, job_id
from tests.support.cluster_invariants import StoredEnd, check_ends, check_numbers
from tests.support.clusters import end
from tests.support.factories import well

EXPERIMENT = "exp"
PLANNED = [job_id(EXPERIMENT, PlannedJob(0, repeat)) for repeat in range(4)]


def stored(sequence: int, repeat: int, *, number: int = 0, complete: int = 0) -> StoredEnd:
    """Make one as the stream has it."""
    name = job_id(EXPERIMENT, PlannedJob(0, repeat))
    message = JobCompleted(
        job_id=name,
        stage="run",
        pipeline="noop",
        attempt=1,
        learning_context=LearningContext(
            experiment_id=EXPERIMENT,
            experiment_name="A test",
            variable_under_test="level",
            variant_index=0,
            variant_value=1,
        ),
        config={},
        result=well(),
        queued_at=1.0,
        started_at=2.0,
        finished_at=3.0,
    )
    told = end(f"run-{sequence}", number=number or sequence, complete=complete)
    return StoredEnd(sequence, names.end_subject(EXPERIMENT, 0, name), told, message)


GOOD = [stored(number, number - 1) for number in range(1, 5)]


def test_one_end_for_each_job_is_what_is_wanted() -> None:
    """In any order."""
    check_ends(GOOD, PLANNED)
    check_ends(GOOD, reversed(PLANNED))
    check_numbers(GOOD)


@pytest.mark.parametrize(
    ("ends", "problem"),
    [
        (GOOD[:3], "1 jobs have no end"),
        ([*GOOD, stored(5, 0)], "1 jobs have several ends"),
        ([*GOOD[:3], stored(5, 3)], "has holes"),
        ([*GOOD, stored(5, 7)], "1 ends are of no planned job"),
        ([*GOOD[:3], GOOD[3]._replace(subject="end.exp.1.other")], "ended on end.exp.1.other"),
    ],
    ids=["lost", "twice", "hole", "strange", "elsewhere"],
)
def test_a_wrong_stream_of_ends_is_told(ends: list[StoredEnd], problem: str) -> None:
    """By what is wrong with it."""
    with pytest.raises(AssertionError, match=problem):
        check_ends(ends, PLANNED)


def test_numbers_that_cannot_be_are_told() -> None:
    """A runner that has given one twice, or said of one that it was there before it was sent."""
    with pytest.raises(AssertionError, match="given twice"):
        check_numbers([*GOOD, stored(5, 4, number=2)])
    with pytest.raises(AssertionError, match="after all up to 9"):
        check_numbers([stored(1, 0, number=3, complete=9)])
