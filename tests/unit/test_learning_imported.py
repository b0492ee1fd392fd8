"""Many jobs of a variant that end together, as those of an import do."""

import time

from hypothesis import given
from hypothesis import strategies as st

from bus.contracts.messages import JobCompleted, JobResult
from learning_service.experiments import variants
from learning_service.experiments.variants import Variant
from tests.support.factories import CANCELLED, JobScript, badly, context, planned_jobs, well
from tests.support.helpers import TIME_FACTOR

OUTCOMES = st.sampled_from(
    [
        well("a"),
        well("b", "c", match=0.5),
        well(match=2.0),
        badly("no memory"),
        badly(""),
        CANCELLED,
        JobResult(success=True, warnings=("slow", "odd")),
        JobResult(success=True, reused_from="job 1"),
    ]
)


def planned(count: int) -> Variant:
    """Return a variant with so many jobs."""
    return Variant(index=0, value=2.0, jobs=planned_jobs(0, count))


def ends(results: list[JobResult]) -> list[JobCompleted]:
    """Return the ends of the jobs of a variant, in turn."""
    return [JobScript(context(repeat=repeat)).completed(result) for repeat, result in enumerate(results)]


@given(st.lists(OUTCOMES, min_size=1, max_size=6), st.integers(0, 2), st.booleans())
def test_jobs_that_end_together_count_as_one_after_the_other(
    results: list[JobResult], more: int, is_running: bool
) -> None:
    """Whatever they are, and whether or not it is the end of the variant."""
    state = planned(len(results) + more)
    if is_running:
        state = variants.started(state, next(iter(state.jobs)), 2.0)
    expected = state
    for job in ends(results):
        expected = variants.job_ended(expected, job)

    assert variants.advanced(state, ends(results)) == expected


def test_ten_thousand_jobs_that_end_together_are_not_copied_for_each() -> None:
    """It takes milliseconds; one after the other took seconds."""
    ended = ends([well()] * 10_000)
    began = time.process_time()

    assert variants.advanced(planned(len(ended)), ended).status == "completed"
    assert time.process_time() - began < 0.2 * TIME_FACTOR
