"""What a job's result says of its metrics, whatever pipeline made it."""

import pytest
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from bus.contracts.messages import JobResult, LearningContext, decode_body, encode_body
from learning_service.experiments.plan import PlannedJob, job_request
from pipeline_runner.queue.metrics import with_checked_metrics
from tests.support import factories
from tests.support.factories import JobScript, definition


def context(metric: str | UnsetType = UNSET) -> LearningContext:
    """Return the context of a job whose experiment is decided by a metric."""
    return replace(factories.context(), metric=metric)


@pytest.mark.fault(item="F92")
def test_numbers_that_are_none_are_left_out_with_a_warning() -> None:
    """A plug-in's metric may be anything that a float can be."""
    found = with_checked_metrics(JobResult(success=True, metrics={"a": float("nan"), "b": 2.0}), None)

    assert found.metrics == {"b": 2.0}
    assert found.warnings == ("left out, as a metric is a finite number: 'a' (not a number)",)


@pytest.mark.fault(item="F92")
@pytest.mark.parametrize(("metrics", "has"), [({}, "none"), ({"loss": 1.0, "acc": 2.0}, "acc, loss")])
def test_a_metric_that_decides_the_experiment_is_missed(metrics: dict[str, float], has: str) -> None:
    """The warning names what the job reports instead, behind the pipeline's own warnings."""
    result = JobResult(success=True, metrics=metrics, warnings=("mine",))

    found = with_checked_metrics(result, context("los"))

    assert found.warnings == ("mine", f"no metric 'los', by which the experiment is decided; it reports {has}")


@pytest.mark.parametrize(
    ("result", "metric"),
    [
        (JobResult(success=True), UNSET),
        (JobResult(success=True, metrics={"loss": 1.0}), "loss"),
        (JobResult(success=False), "loss"),
        (JobResult(success=False, cancelled=True), "loss"),
    ],
)
def test_all_else_stays_as_it_is(result: JobResult, metric: str | UnsetType) -> None:
    """No noise for programs that never meant to report anything, nor for jobs that failed."""
    assert with_checked_metrics(result, context(metric)) is result
    assert with_checked_metrics(result, None) is result


@pytest.mark.parametrize(
    ("objective", "metric"), [("stars", UNSET), ("preference", UNSET), ("seconds", UNSET), ("loss", "loss")]
)
def test_a_job_says_which_metric_it_needs(objective: str, metric: str | UnsetType) -> None:
    """The runner is told with the job; where there is no such metric, the field is absent."""
    planned = replace(definition(), objective=objective)

    made = job_request("e", planned, 1, PlannedJob(0, 0)).learning_context

    assert made is not None
    assert made.metric == metric
    event = JobScript(made).queued()
    assert (b"metric\xa4loss" in encode_body(event)) == (metric == "loss")
    assert decode_body(encode_body(event)) == event
