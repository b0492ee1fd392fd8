"""What follows a run, by the kind of its error."""

import pytest

from bus.messages import JobResult
from pipeline_runner import retries
from pipeline_runner.jobs import cancelled_result, failed_result
from pipeline_runner.retries import LAST_REST_SECONDS, MAX_FAULTS, Verdict, judge, rest_seconds
from tests.factories import badly, well


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("invalid_request", "end"),
        ("substituted", "end"),
        ("oom", "end"),
        ("timeout", "end"),
        ("interrupted", "end"),
        ("command_failed", "end"),
        ("server_error", "rest"),
        ("unreachable", "wait"),
    ],
)
def test_only_faults_of_the_server_lead_to_another_run(kind: str, verdict: Verdict) -> None:
    """Until there were too many of them under the same job."""
    assert judge(failed_result(kind, "why"), 1) == verdict
    assert judge(failed_result(kind, "why"), MAX_FAULTS - 1) == verdict
    assert judge(failed_result(kind, "why"), MAX_FAULTS) == "end"


@pytest.mark.parametrize("result", [well(), badly(None), cancelled_result()])
def test_an_end_is_an_end(result: JobResult) -> None:
    """Success, failure without a reason, cancellation."""
    assert judge(result, 1) == "end"


def test_rests_grow_up_to_a_minute() -> None:
    """A server that is being started again is not asked all the time, and not forgotten either."""
    assert [rest_seconds(faults) for faults in range(1, 8)] == [2, 4, 8, 16, 32, 60, LAST_REST_SECONDS]


def test_every_kind_of_the_table_is_explained() -> None:
    """The page of the module has each kind that a rule looks at."""
    for kind in ("server_error", "unreachable", "invalid_request", "oom", "timeout", "interrupted", "substituted"):
        assert f"`{kind}`" in (retries.__doc__ or "")
