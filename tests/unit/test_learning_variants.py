"""The life cycle of a variant: every move of its table, every move that is not in it, and what it counts."""

import math
from collections.abc import Callable
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.lifecycle import IllegalTransitionError
from bus.contracts.messages import JobResult, RatingSummary, VariantState
from learning_service.experiments import variants
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.variants import (
    ENDED,
    ERROR_LIMIT,
    EXTENDED,
    IMAGES_LIMIT,
    METRIC_NAME_LIMIT,
    METRICS_LIMIT,
    TRANSITIONS,
    UNKNOWN_ERROR,
    Variant,
    VariantEvent,
    transition,
)
from tests.support.factories import CANCELLED, JobScript, badly, context, image, planned_jobs, well

STATES: tuple[VariantState, ...] = get_args(VariantState)
EVENTS: tuple[VariantEvent, ...] = get_args(VariantEvent)
ON_THE_WAY: tuple[VariantState, ...] = ("pending", "queued", "running")
ENDS: dict[VariantEvent, VariantState] = {
    "all_completed": "completed",
    "all_failed": "failed",
    "all_cancelled": "cancelled",
    "all_ended_mixed": "partial",
}
LEGAL: list[tuple[VariantState, VariantEvent, VariantState]] = [
    ("pending", "job_queued", "queued"),
    ("queued", "job_queued", "queued"),
    ("running", "job_queued", "running"),
    *((state, "job_started", "running") for state in ON_THE_WAY),
    *((state, "job_ended", "running") for state in ON_THE_WAY),
    *((state, event, end) for state in ON_THE_WAY for event, end in ENDS.items()),
]
ILLEGAL = [pair for pair in product(STATES, EVENTS) if pair not in {(state, event) for state, event, _ in LEGAL}]
A, B, C = (JobScript(context(repeat=repeat)) for repeat in range(3))


def variant(status: VariantState = "pending", *, planned: int = 2, **counts: int) -> Variant:
    """Return a variant in a state; the first of its jobs have ended as `counts` say."""
    jobs = planned_jobs(0, planned)
    jobs.update(dict.fromkeys(list(jobs)[: sum(counts.values())], "ended"))
    return Variant(index=0, value=2.0, jobs=jobs, status=status, revision=5, updated_at=1.0, **counts)  # type: ignore[arg-type]  # counts are counts


def after(*results: JobResult, planned: int | None = None) -> Variant:
    """Return a variant after jobs ended so, one after the other."""
    state = variant("running", planned=len(results) if planned is None else planned)
    for repeat, result in enumerate(results):
        state = variants.job_ended(state, JobScript(context(repeat=repeat)).completed(result))
    return state


def at_the_end(status: VariantState, event: VariantEvent) -> tuple[Variant, JobResult]:
    """Return a variant to whose second job it happens as the event says, and how that job ends."""
    match event:
        case "all_completed":
            return variant(status, completed=1), well()
        case "all_failed":
            return variant(status, failed=1), badly()
        case "all_cancelled":
            return variant(status, cancelled=1), CANCELLED
        case "all_ended_mixed":
            return variant(status, failed=1), well()
        case _:
            return variant(status), well()


def moved(state: Variant, event: VariantEvent, result: JobResult) -> Variant:
    """Apply an event by the function that stands for it."""
    if event == "job_queued":
        return variants.queued(state, B.name, 20.0)
    if event == "job_started":
        return variants.started(state, B.name, 20.0)
    return variants.job_ended(state, B.completed(result, at=20.0))


def phase_after(event: VariantEvent) -> JobPhase:
    """Return the phase of the job that an event is of."""
    phases: dict[VariantEvent, JobPhase] = {"job_queued": "queued", "job_started": "running"}
    return phases.get(event, "ended")


@pytest.mark.parametrize(("status", "event", "then"), LEGAL)
def test_every_legal_move_reaches_its_state(status: VariantState, event: VariantEvent, then: VariantState) -> None:
    """The table and the functions that apply it agree with the list above; what a status tells of is one revision."""
    before, result = at_the_end(status, event)

    changed = moved(before, event, result)

    assert transition(status, event) == then
    news = status != then or event not in ("job_queued", "job_started")
    assert (changed.status, changed.revision, changed.updated_at) == (then, before.revision + news, 20.0)
    assert changed.jobs == {**before.jobs, B.name: phase_after(event)}
    assert changed.running == (event == "job_started")


@pytest.mark.parametrize(("status", "event"), ILLEGAL)
def test_every_illegal_move_raises_and_changes_nothing(status: VariantState, event: VariantEvent) -> None:
    """Terminal states are guarded: no event of a job leads out of one."""
    before, result = at_the_end(status, event)
    copy = replace(before, jobs=dict(before.jobs))

    with pytest.raises(IllegalTransitionError, match=f"a variant that is {status} cannot take {event}"):
        transition(status, event)
    with pytest.raises(IllegalTransitionError):
        moved(before, event, result)

    assert before == copy


def test_the_table_knows_every_state_and_no_other() -> None:
    """Each state of the messages has a row, each move leads to such a state, and ends are what has no moves."""
    assert set(TRANSITIONS) == set(STATES)
    assert {then for moves in TRANSITIONS.values() for then in moves.values()} <= set(STATES)
    assert {state for state, moves in TRANSITIONS.items() if not moves} == ENDED


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([well(), well()], "completed"),
        ([badly(), badly()], "failed"),
        ([CANCELLED, CANCELLED], "cancelled"),
        ([well(), badly()], "partial"),
        ([badly(), well()], "partial"),
        ([well(), CANCELLED], "partial"),
        ([badly(), CANCELLED], "failed"),
        ([well(), badly(), CANCELLED], "partial"),
    ],
)
def test_how_all_jobs_ended_decides_how_the_variant_did(results: list[JobResult], status: VariantState) -> None:
    """Some well and some not is `partial`; none well is `failed` if any failed, else `cancelled`."""
    assert after(*results).status == status


def test_a_success_adds_its_images_and_metrics() -> None:
    """Images are listed in the order of their jobs, and metrics are summed with the number of jobs that had them."""
    state = after(well("a", "b", match=0.5), well("c", match=0.25, speed=2.0), planned=3)

    assert (state.status, state.completed) == ("running", 2)
    assert state.images == (image("a"), image("b"), image("c"))
    assert state.metric_sums == {"match": (0.75, 2), "speed": (2.0, 1)}


def test_the_duration_counts_from_start_to_end() -> None:
    """The durations of completed jobs are summed; a clock that was set back counts as nothing."""
    state = variants.job_ended(variant(), A.completed(at=13.5))
    state = variants.job_ended(state, B.completed(at=10.5))

    assert state.duration_sum == 2.5


def test_a_failure_is_counted_and_its_error_kept() -> None:
    """The newest error text is what people see; images of a failed job are not taken."""
    failed = replace(badly("second"), images=(image("a"),))

    state = after(badly("first"), failed)

    assert (state.failed, state.error, state.images) == (2, "second", ())


@pytest.mark.parametrize("result", [badly(None), badly("")])
def test_a_failure_without_an_error_has_an_unknown_one(result: JobResult) -> None:
    """A failed variant always says something."""
    assert after(result).error == UNKNOWN_ERROR == "Unknown error"


def test_a_success_keeps_the_error_of_an_earlier_failure() -> None:
    """A variant that ended `partial` still says what went wrong."""
    assert after(badly("out of memory"), well()).error == "out of memory"


def test_a_cancelled_job_is_counted_as_cancelled() -> None:
    """It is neither completed nor failed, and no error."""
    state = after(CANCELLED, planned=2)

    assert (state.completed, state.failed, state.cancelled, state.error) == (0, 0, 1, None)


def test_a_long_error_is_cut() -> None:
    """A traceback of a megabyte does not make the status too large."""
    assert after(badly("x" * 1_000_000)).error == "x" * ERROR_LIMIT


def test_only_so_many_images_are_listed() -> None:
    """The status stays below the limit of a message; the first images stay."""
    many = JobResult(success=True, images=tuple(image(str(number)) for number in range(IMAGES_LIMIT - 1)))

    state = after(many, well("last"), well("too many"))

    assert len(state.images) == IMAGES_LIMIT
    assert state.images[-1] == image("last")


@pytest.mark.parametrize("status", STATES)
def test_more_jobs_are_the_way_back_from_an_end(status: VariantState) -> None:
    """Extended, a variant that has not begun stays as it is, any other runs; the job's event makes the revision."""
    before = variant(status)

    changed = variants.extended(before, "one more")

    assert changed.status == EXTENDED.get(status, "running")
    assert changed.jobs == {**before.jobs, "one more": "planned"}
    assert (changed.planned, changed.revision, changed.updated_at) == (3, 5, 1.0)


def test_an_extended_variant_ends_again() -> None:
    """After the added job has ended, the variant has."""
    state = variants.extended(after(well()), B.name)

    state = variants.job_ended(state, B.completed(badly()))

    assert (state.status, state.completed, state.failed) == ("partial", 1, 1)


def test_jobs_that_no_runner_had_are_cancelled_at_once() -> None:
    """Cancelling some leaves the variant running, cancelling all that are left ends it; each is one revision."""
    some = variants.cancelled(variant(planned=3), [A.name], 20.0)
    rest = variants.cancelled(some, [B.name, C.name], 21.0)

    assert (some.status, some.cancelled, some.revision, some.updated_at) == ("running", 1, 6, 20.0)
    assert some.jobs == {A.name: "ended", B.name: "planned", C.name: "planned"}
    assert (rest.status, rest.cancelled, rest.revision, rest.updated_at) == ("cancelled", 3, 7, 21.0)
    assert set(rest.jobs.values()) == {"ended"}


def test_jobs_are_cancelled_beside_one_that_runs() -> None:
    """It goes on running, and its end is the end of the variant."""
    state = variants.cancelled(variants.started(variant(), A.name, 20.0), [B.name], 21.0)
    assert (state.status, state.running, state.cancelled) == ("running", 1, 1)

    state = variants.job_ended(state, A.completed())
    assert (state.status, state.running, state.completed) == ("partial", 0, 1)


# the phases of jobs


def test_what_a_runner_lost_is_planned_again_unless_it_has_ended() -> None:
    """Nothing that is counted is taken back; what was running there runs no more, what runs elsewhere goes on."""
    before = variants.job_ended(variant("running", planned=4), A.completed(well("a")))
    for script in (B, C):
        before = variants.started(before, script.name, 20.0)
    elsewhere = JobScript(context(repeat=3)).name
    before = variants.started(before, elsewhere, 20.0)

    changed = variants.resent(before, [A.name, B.name, C.name])

    assert before.running == 3
    assert changed.jobs == {A.name: "ended", B.name: "planned", C.name: "planned", elsewhere: "running"}
    assert changed == replace(before, jobs=changed.jobs, running=1)


def test_a_lost_job_that_had_ended_changes_nothing() -> None:
    """Also where the variant has ended."""
    before = after(well(), badly())

    assert variants.resent(before, [A.name, B.name]) == before


Move = Callable[[Variant, JobScript], Variant]
MOVES: dict[str, Move] = {
    "queued": lambda state, job: variants.queued(state, job.name, 20.0),
    "started": lambda state, job: variants.started(state, job.name, 20.0),
    "well": lambda state, job: variants.job_ended(state, job.completed()),
    "badly": lambda state, job: variants.job_ended(state, job.completed(badly())),
    "cancelled": lambda state, job: variants.job_ended(state, job.completed(CANCELLED)),
    "cancelled here": lambda state, job: variants.cancelled(state, [job.name], 20.0),
    "lost": lambda state, job: variants.resent(state, [job.name]),
    "extended": lambda state, job: variants.extended(state, f"{job.name} and {len(state.jobs)}"),
}


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(sorted(MOVES)))))
def test_the_counts_of_a_variant_are_those_of_the_phases_of_its_jobs(moves: list[tuple[JobScript, str]]) -> None:
    """However its jobs move, and a state that was given before stays as it was."""
    state = variant("pending", planned=3)
    for job, name in moves:
        if name != "extended" and state.jobs[job.name] == "ended":
            continue  # ignored by the router
        if name == "cancelled here" and state.jobs[job.name] != "planned":
            continue  # a runner has it
        before, phases = state, dict(state.jobs)
        state = MOVES[name](state, job)
        counted = list(state.jobs.values())
        assert (state.running, state.ended) == (counted.count("running"), counted.count("ended"))
        assert state.planned == len(state.jobs)
        assert (state.status in ENDED) == (state.ended == state.planned)
        assert before.jobs == phases


def test_success_decides_whatever_the_error_says() -> None:
    """A result that ended well and has an error text is no failure."""
    assert after(replace(badly("slow"), success=True)).status == "completed"


def test_more_jobs_are_one_revision() -> None:
    """A variant that has ended runs again."""
    before = after(well())

    changed = variants.planned_more(before, [B.name, C.name], 20.0)

    assert changed == replace(
        before,
        status="running",
        jobs={A.name: "ended", B.name: "planned", C.name: "planned"},
        revision=before.revision + 1,
        updated_at=20.0,
    )


@pytest.mark.parametrize(("again", "failed", "error"), [(1, 1, "second"), (2, 0, None)])
def test_a_job_that_is_retried_is_replaced_by_another(again: int, failed: int, error: str | None) -> None:
    """It is no failure any more; the error text goes with the last one."""
    before = after(badly("first"), badly("second"))
    names = dict(list({A.name: "a.1", B.name: "b.1"}.items())[:again])

    changed = variants.retried(before, names, 20.0)

    assert (changed.failed, changed.replaced, changed.error) == (failed, again, error)
    assert (changed.status, changed.planned, changed.revision) == ("running", 2, before.revision + 1)
    assert {name: changed.jobs[name] for name in names} == dict.fromkeys(names, "replaced")
    assert {name: changed.jobs[name] for name in names.values()} == dict.fromkeys(names.values(), "planned")


def test_a_job_whose_runner_was_forgotten_gets_another_id() -> None:
    """It does not run any more, is no failure, and is not held against a budget."""
    before = variants.started(variant(), A.name, 10.0)

    changed = variants.handed_on(before, {A.name: "a.1"}, 20.0)

    assert (changed.running, changed.failed, changed.replaced, changed.handed_on) == (0, 0, 1, 1)
    assert (changed.status, changed.planned, changed.revision) == ("running", before.planned, before.revision + 1)
    assert (changed.jobs[A.name], changed.jobs["a.1"]) == ("replaced", "planned")


def test_jobs_of_a_forgotten_runner_are_cancelled_with_a_reason() -> None:
    """Whatever they were doing; without a reason, the earlier error stays."""
    running = variants.started(variant(), A.name, 10.0)

    changed = variants.cancelled(running, [A.name], 20.0, "its runner was forgotten")

    assert (changed.running, changed.cancelled, changed.error) == (0, 1, "its runner was forgotten")
    assert variants.cancelled(changed, [], 20.0).error == "its runner was forgotten"


@pytest.mark.parametrize(("now", "updated_at"), [(20.0, 20.0), (0.5, 1.0)])
def test_a_rating_is_one_revision(now: float, updated_at: float) -> None:
    """A clock that was set back does not make the variant older."""
    rating = RatingSummary(mean=4.5, count=2)

    changed = variants.rated(variant(), rating, now)

    assert changed == replace(variant(), rating=rating, revision=6, updated_at=updated_at)


def test_metrics_are_bounded_and_finite() -> None:
    """A number that is none is left out, as are too long names and too many of them."""
    many = {f"m{number:03}": 1.0 for number in range(METRICS_LIMIT)}

    odd = after(well(good=1.0, bad=math.nan, **{"x" * (METRIC_NAME_LIMIT + 1): 1.0}))
    full = after(well(**many), well(m000=2.0, one_more=1.0))

    assert odd.metric_sums == {"good": (1.0, 1)}
    assert len(full.metric_sums) == METRICS_LIMIT
    assert full.metric_sums["m000"] == (3.0, 2)


@pytest.mark.parametrize(
    ("result", "seconds"),
    [(badly(), None), (well(), 2.0), (replace(well(), seconds=0.25), 0.25), (replace(well(), seconds=math.inf), 2.0)],
)
def test_a_completed_job_took_what_its_pipeline_says(result: JobResult, seconds: float | None) -> None:
    """Else the time from its start to its end."""
    assert variants.seconds_of(A.completed(result)) == seconds


def test_a_job_that_never_started_took_no_time() -> None:
    """A result that was there already has no start."""
    assert variants.seconds_of(replace(A.completed(), started_at=None)) == 0.0
