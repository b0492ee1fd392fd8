"""Which jobs are taken into the queue: all of a request, or none."""

import pytest

from pipeline_runner.queue.admission import check_cancels, check_capacity
from pipeline_runner.queue.capacity import PipelineQueues
from pipeline_runner.queue.errors import QueueFullError, StillCancellingError
from tests.support.factories import context, request_for


def test_jobs_of_an_experiment_that_is_being_cancelled_are_refused() -> None:
    """They would be cancelled with the others."""
    jobs = [request_for("alone"), request_for("a", mark=context(experiment="a"))]
    check_cancels(jobs, set())
    check_cancels(jobs, {"b"})
    with pytest.raises(StillCancellingError, match="jobs of a are still being cancelled"):
        check_cancels(jobs, {"a", "b"})


def test_a_full_queue_takes_what_it_knows_and_nothing_new() -> None:
    """Which ids are known is asked only where it matters."""
    queues = PipelineQueues({}, 1, 2)
    jobs = [request_for(name) for name in ("a", "b", "c")]
    check_capacity(jobs[:2], queues, lambda _names: pytest.fail("nobody needs to know"))
    check_capacity(jobs, queues, lambda names: len(names) - 2)
    with pytest.raises(QueueFullError, match="embedded has room for 2 more jobs of 2"):
        check_capacity(jobs, queues, lambda _names: 0)
