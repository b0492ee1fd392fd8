"""What follows a run, by the kind of its error."""

import pytest

from bus.contracts.messages import JobError, JobResult
from pipeline_runner.queue import retries
from pipeline_runner.queue.jobs import cancelled_result, failed_result
from pipeline_runner.queue.retries import (
    LAST_REST_SECONDS,
    MAX_FAULTS,
    FailedVariants,
    fault_of,
    may_run_again,
    rest_seconds,
)
from tests.support.factories import badly, context, well


@pytest.mark.parametrize("kind", ["server_error", "busy", "unreachable"])
def test_a_fault_of_the_server_is_no_end(kind: str) -> None:
    """It is what makes a job run again."""
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
    for kind in (
        "server_error",
        "busy",
        "unreachable",
        "invalid_request",
        "oom",
        "timeout",
        "interrupted",
        "substituted",
    ):
        assert f"`{kind}`" in (retries.__doc__ or "")


def fault(message: str, kind: str = "server_error") -> JobError:
    """Return a fault with words."""
    return JobError(kind=kind, message=message)


@pytest.mark.parametrize(
    ("last", "now", "again"),
    [
        (None, fault("NaN"), True),
        (fault("NaN"), fault("NaN"), False),
        (fault("at 0x7fa0, 3 left"), fault("at 0x88be, 12 left"), False),
        (fault("NaN"), fault("KeyError"), True),
        (fault("gone", "unreachable"), fault("gone"), True),
        (fault("gone", "unreachable"), fault("gone", "unreachable"), True),
        (fault("full", "busy"), fault("full", "busy"), True),
    ],
)
def test_an_exception_that_comes_again_belongs_to_the_job(last: JobError | None, now: JobError, again: bool) -> None:
    """Addresses and amounts in it may differ; a server that is away says the same each time, and is tried again."""
    assert may_run_again(now, last, 1) is again
    assert not may_run_again(now, last, MAX_FAULTS - 1)


def failed(message: str, kind: str = "server_error") -> JobResult:
    """Return a failure with words."""
    return failed_result(kind, message)


SUBMITTED = context(index=3)


def variants_after(*results: JobResult) -> FailedVariants:
    """Return what is known after some ends of one variant."""
    variants = FailedVariants()
    variants.note_submitted(SUBMITTED)
    for result in results:
        variants.note_end(SUBMITTED, result)
    return variants


def test_a_variant_whose_first_jobs_fail_in_one_way_is_not_run_on() -> None:
    """The reason says how many, and with which words; other variants are run."""
    variants = variants_after(failed("step 3: NaN"), cancelled_result(), failed("step 7: NaN"), failed("step 9: NaN"))

    reason = variants.reason(SUBMITTED)

    assert reason == JobError(
        kind="not_run", message="not run, as the first 2 jobs of this value failed with: step 3: NaN"
    )
    assert variants.reason(context(index=4)) is None
    assert variants.reason(None) is None


@pytest.mark.parametrize(
    "results",
    [
        [failed("NaN")],
        [failed("NaN"), failed("KeyError"), failed("KeyError")],
        [well(), failed("NaN"), failed("NaN")],
        [failed("NaN"), well(), failed("NaN")],
        [failed("gone", "unreachable")] * 3,
        [failed("the runner died", "crashed")] * 3,
        [failed("stopped", "interrupted")] * 3,
    ],
)
def test_a_variant_that_fails_otherwise_is_run_on(results: list[JobResult]) -> None:
    """One seed may be bad luck; another error, or a success, shows that the next seed may do well."""
    assert variants_after(*results).reason(SUBMITTED) is None


def test_new_jobs_of_a_variant_are_run() -> None:
    """Somebody has mended the server, and asks for the failed ones once more."""
    variants = variants_after(failed("NaN"), failed("NaN"))

    variants.note_submitted(SUBMITTED)

    assert variants.reason(SUBMITTED) is None


def test_what_is_known_of_variants_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, and run; jobs of no experiment have no variant."""
    monkeypatch.setattr(retries, "VARIANTS_KNOWN", 2)
    variants = variants_after(failed("NaN"), failed("NaN"))
    variants.note_submitted(None)
    variants.note_submitted(context(index=4))
    assert variants.reason(SUBMITTED)

    variants.note_submitted(context(index=5))

    assert variants.reason(SUBMITTED) is None
    variants.note_end(SUBMITTED, failed("NaN"))
    assert variants.reason(SUBMITTED) is None
