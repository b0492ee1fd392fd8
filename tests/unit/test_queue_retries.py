"""What follows a run, by the kind of its error."""

import pytest

from bus.contracts.messages import JobResult
from pipeline_runner.queue import retries
from pipeline_runner.queue.jobs import cancelled_result, failed_result
from pipeline_runner.queue.retries import LAST_REST_SECONDS, fault_of, rest_seconds
from tests.support.factories import badly, well


@pytest.mark.parametrize("kind", ["server_error", "unreachable"])
def test_a_fault_of_the_server_is_none_of_the_job(kind: str) -> None:
    """It is what makes a job run again, and its pipeline rest."""
    result = failed_result(kind, "why")
    assert fault_of(result) == result.error


@pytest.mark.parametrize(
    "kind",
    ["invalid_request", "substituted", "oom", "timeout", "interrupted", "command_failed", "internal", "crashed"],
)
def test_any_other_failure_is_an_end(kind: str) -> None:
    """The same job would fail again."""
    assert fault_of(failed_result(kind, "why")) is None


@pytest.mark.parametrize("result", [well(), badly(None), cancelled_result()])
def test_an_end_is_an_end(result: JobResult) -> None:
    """Success, failure without a reason, cancellation."""
    assert fault_of(result) is None


def test_rests_grow_up_to_a_minute() -> None:
    """A server that is being started again is not asked all the time, and not forgotten either."""
    assert [rest_seconds(faults) for faults in (1, 2, 3, 4, 5, 6, 7, 10_000)] == [
        2,
        4,
        8,
        16,
        32,
        60,
        60,
        LAST_REST_SECONDS,
    ]


def test_every_kind_of_the_table_is_explained() -> None:
    """The page of the module has each kind that a rule looks at."""
    for kind in ("server_error", "unreachable", "invalid_request", "oom", "timeout", "interrupted", "substituted"):
        assert f"`{kind}`" in (retries.__doc__ or "")
