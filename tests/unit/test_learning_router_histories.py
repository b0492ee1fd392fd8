"""Histories played into the router: named ones with their states, and any others with their counts."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.messages import JobResult, VariantState, VariantStatus, decode_body, encode_body
from learning_service.events.router import Applied, JobEvent, Outcome
from learning_service.experiments.model import variant_status
from learning_service.experiments.variants import resent
from tests.support.factories import (
    CANCELLED,
    EXPERIMENT,
    JobScript,
    RouterHarness,
    badly,
    context,
    counted,
    router_harness,
    well,
)

ZERO = context(0, 2.0)


# histories: each step is an event, what becomes of it, and the status of variant 0 afterwards


class Step(NamedTuple):
    """One step of a history."""

    event: JobEvent
    kind: str
    status: VariantState


A, B = JobScript(ZERO), JobScript(context(0, 2.0, repeat=1))
HISTORIES: dict[str, list[Step]] = {
    "all goes well": [
        Step(A.queued(), "applied", "queued"),
        Step(B.queued(), "applied", "queued"),
        Step(A.started(), "applied", "running"),
        Step(A.completed(), "applied", "running"),
        Step(B.started(), "applied", "running"),
        Step(B.completed(), "applied", "completed"),
    ],
    "the runner dies under a job": [
        Step(A.queued(), "applied", "queued"),
        Step(A.started(), "applied", "running"),
        Step(A.queued(attempt=1, at=20.0), "applied", "running"),
        Step(A.started(attempt=2, at=21.0), "applied", "running"),
        Step(A.completed(attempt=2, at=22.0), "applied", "running"),
        Step(B.completed(), "applied", "completed"),
    ],
    "started comes after completed": [
        Step(A.completed(), "applied", "running"),
        Step(A.started(), "ignored", "running"),
        Step(A.queued(), "ignored", "running"),
        Step(B.completed(), "applied", "completed"),
        Step(B.started(), "ignored", "completed"),
    ],
    "one job fails": [
        Step(A.started(), "applied", "running"),
        Step(A.completed(badly()), "applied", "running"),
        Step(B.completed(), "applied", "partial"),
        Step(A.completed(), "ignored", "partial"),
    ],
    "cancelled in the middle": [
        Step(A.started(), "applied", "running"),
        Step(B.completed(CANCELLED), "applied", "running"),
        Step(A.completed(CANCELLED), "applied", "cancelled"),
    ],
    "every event comes twice": [
        Step(A.queued(), "applied", "queued"),
        Step(A.queued(), "applied", "queued"),
        Step(A.started(), "applied", "running"),
        Step(A.started(), "applied", "running"),
        Step(A.completed(), "applied", "running"),
        Step(A.completed(), "ignored", "running"),
        Step(B.completed(badly()), "applied", "partial"),
        Step(B.completed(badly()), "ignored", "partial"),
    ],
}


def told_of(harness: RouterHarness, index: int) -> VariantStatus:
    """Return what would be published of a variant."""
    return variant_status(harness.experiments[EXPERIMENT], harness.variant(index))


def is_news(outcome: Outcome) -> bool:
    """Return whether an outcome publishes a status."""
    return isinstance(outcome, Applied) and outcome.is_news


def check_revision(before: VariantStatus, after: VariantStatus, outcome: Outcome) -> None:
    """Check that a status is published, with the next revision, exactly if it says something new."""
    news = replace(before, revision=0, updated_at=0.0) != replace(after, revision=0, updated_at=0.0)
    assert is_news(outcome) == news
    assert after.revision == before.revision + news


@pytest.mark.parametrize("steps", HISTORIES.values(), ids=HISTORIES)
def test_a_history_leads_through_its_states(steps: list[Step]) -> None:
    """Each event has its outcome and status, every job counts once, and each news of a variant is one revision."""
    harness = router_harness([2.0], jobs=2)
    seen = []
    for step in steps:
        before = told_of(harness, 0)
        outcome = harness.handle(step.event)
        seen.append((outcome.label[0], harness.variant().status))
        check_revision(before, told_of(harness, 0), outcome)

    assert seen == [(step.kind, step.status) for step in steps]
    assert harness.variant().ended == harness.variant().planned == 2
    assert set(harness.variant().jobs.values()) == {"ended"}
    assert harness.variant().running == 0


def test_a_job_that_runs_again_is_queued_in_between() -> None:
    """The phase of a job goes back to queued when its runner died; only its end is final."""
    harness = router_harness()
    phases = []
    for event in (A.queued(), A.started(), A.queued(attempt=1), A.started(attempt=2), A.completed(attempt=2)):
        harness.handle(event)
        phases.append((harness.variant().jobs[A.name], harness.experiments[EXPERIMENT].totals.running))

    assert phases == [("queued", 0), ("running", 1), ("queued", 0), ("running", 1), ("ended", 0)]


def test_the_experiment_starts_with_its_first_job() -> None:
    """Its time of start is that of the first job that started, and stays so."""
    harness = router_harness(jobs=2)

    starts, updates = [], []
    for event in (A.queued(at=5.0), A.started(at=11.0), B.started(at=12.0)):
        harness.handle(event)
        starts.append(harness.experiments[EXPERIMENT].started_at)
        updates.append(harness.experiments[EXPERIMENT].updated_at)

    assert starts == [None, 11.0, 11.0]
    assert updates == [5.0, 11.0, 12.0]


@pytest.mark.parametrize("discover", [False, True])
def test_the_revision_of_a_variant_grows_by_one_with_each_news_of_it(*, discover: bool) -> None:
    """A second job that starts is none; one that a discovered experiment did not know of is."""
    harness = RouterHarness(options={"discover": True}) if discover else router_harness([2.0], jobs=2)
    harness.handle(A.queued())
    told = []
    for event in (A.started(), B.queued(), B.started(), A.completed(), B.completed()):
        before = told_of(harness, 0)
        outcome = harness.handle(event)
        assert outcome.label[0] == "applied"
        check_revision(before, told_of(harness, 0), outcome)
        told.append(is_news(outcome))

    assert told == [True, discover, False, True, True]


# any history at all

ENDINGS: dict[str, JobResult] = {"well": well("a", match=0.5), "badly": badly(), "cancelled": CANCELLED}


@dataclass
class Plan:
    """A plan, how each of its jobs ends, and the order in which the events of all jobs arrive."""

    endings: list[list[str]]  # of each job of each variant
    arrivals: list[JobEvent]


@st.composite
def any_history(draw: st.DrawFn) -> Plan:
    """Return each job some queued and started events and at least one completion, all in any order."""
    repeats = draw(st.integers(1, 3))
    ending = st.sampled_from(sorted(ENDINGS))
    endings = draw(st.lists(st.lists(ending, min_size=repeats, max_size=repeats), min_size=1, max_size=3))
    events: list[JobEvent] = []
    for index, of_variant in enumerate(endings):
        for repeat, end in enumerate(of_variant):
            script = JobScript(context(index, float(index), repeat=repeat))
            events += [script.queued()] * draw(st.integers(0, 2))
            events += [script.started()] * draw(st.integers(0, 2))
            events += [script.completed(ENDINGS[end])] * draw(st.integers(1, 3))
    return Plan(endings, draw(st.permutations(events)))


def expected_status(endings: list[str]) -> VariantState:
    """Return how a variant ended, from the endings alone."""
    kinds = set(endings)
    if kinds == {"well"}:
        return "completed"
    if "well" in kinds:
        return "partial"
    return "failed" if "badly" in kinds else "cancelled"


@given(any_history())
def test_whatever_arrives_in_whatever_order_every_job_counts_once(plan: Plan) -> None:
    """Interleaved, repeated and reordered events end with the same counts, and each news of a variant is a revision."""
    harness = router_harness([float(index) for index in range(len(plan.endings))], jobs=len(plan.endings[0]))
    for event in plan.arrivals:
        assert event.learning_context is not None
        concerned = event.learning_context.variant_index
        before = {index: told_of(harness, index) for index in range(len(plan.endings))}
        outcome = harness.handle(event)
        assert outcome.label[0] in {"applied", "ignored"}
        check_revision(before.pop(concerned), told_of(harness, concerned), outcome)
        assert {index: told_of(harness, index) for index in before} == before

    for index, endings in enumerate(plan.endings):
        variant = harness.variant(index)
        counts = (variant.completed, variant.failed, variant.cancelled)
        assert counts == (endings.count("well"), endings.count("badly"), endings.count("cancelled"))
        assert variant.status == expected_status(endings)
        assert len(variant.images) == endings.count("well")
        assert variant.metric_sums == ({"match": (0.5 * counts[0], counts[0])} if counts[0] else {})


@given(any_history())
def test_a_discovered_experiment_counts_the_same(plan: Plan) -> None:
    """Without a plan, from the contexts alone, every variant ends with the same counts and the same status."""
    harness = RouterHarness(options={"discover": True})
    for event in plan.arrivals:
        harness.handle(event)

    for index, endings in enumerate(plan.endings):
        variant = harness.variant(index)
        counts = (variant.completed, variant.failed, variant.cancelled)
        assert counts == (endings.count("well"), endings.count("badly"), endings.count("cancelled"))
        assert (variant.planned, variant.status) == (len(endings), expected_status(endings))


@given(any_history(), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_the_totals_are_counted_right_whenever_somebody_asks(plan: Plan, asked: int, lost: int, discover: bool) -> None:
    """Also where a runner loses its log now and then: what had not ended is planned again, and counts once."""
    planned = router_harness([float(index) for index in range(len(plan.endings))], jobs=len(plan.endings[0]))
    harness = RouterHarness(options={"discover": True}) if discover else planned
    for number, event in enumerate(plan.arrivals, 1):
        harness.handle(event)
        experiment = harness.experiments[EXPERIMENT]
        if number % lost == 0:
            for variant in list(experiment.variants.values()):
                experiment.put(resent(variant, variant.jobs))
        if number % asked == 0:
            assert (experiment.status, experiment.totals) == counted(experiment)

    experiment = harness.experiments[EXPERIMENT]
    endings = [end for of_variant in plan.endings for end in of_variant]
    counts = (experiment.totals.completed, experiment.totals.failed, experiment.totals.cancelled)
    assert counts == (endings.count("well"), endings.count("badly"), endings.count("cancelled"))
    assert (experiment.totals.jobs, experiment.totals.running) == (len(endings), 0)
    assert (experiment.status, experiment.totals) == counted(experiment)


@given(any_history())
def test_events_survive_the_wire(plan: Plan) -> None:
    """What the router gets in these tests is what decoding gives it in service."""
    for event in plan.arrivals:
        assert decode_body(encode_body(event)) == event
