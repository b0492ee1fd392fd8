"""The routing rules of the learning service, each as a test of the pure router."""

import msgspec
import pytest
from msgspec.structs import replace

from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.messages import JobProgress, LearningContext, VariantState, decode_body
from bus.contracts.values import cited
from bus.protocol.validation import InvalidInputError
from learning_service.events.router import (
    DISCOVERED_JOBS,
    Applied,
    JobEvent,
    Late,
    LearningController,
    Rejected,
)
from learning_service.experiments.model import experiment_status
from learning_service.experiments.variants import ENDED
from tests.support.factories import (
    CANCELLED,
    EXPERIMENT,
    JobScript,
    RouterHarness,
    badly,
    context,
    image,
    judged,
    planned_experiment,
    router_harness,
    well,
)

ZERO = context(0, 2.0)
ONE = context(1, 4.0)


# the rules of design section 6, one by one


def test_a_job_without_a_context_is_ignored() -> None:
    """A job outside any experiment concerns nobody here."""
    assert judged(router_harness().handle(JobScript(None).completed())) == ("ignored", "no_learning_context")


def test_an_unknown_experiment_is_rejected() -> None:
    """The outcome names the experiment."""
    outcome = router_harness().handle(JobScript(context(experiment="exp-10")).completed())

    assert outcome == Rejected("unknown_experiment", "exp-10")


@pytest.mark.parametrize(
    ("index", "detail"), [(-1, "-1 is negative"), (2, "2 is not in 0..1"), (10**12, "1000000000000 is not in 0..1")]
)
def test_an_index_out_of_range_is_rejected(index: int, detail: str) -> None:
    """A negative index does not count from the end, and a large one is not the last."""
    harness = router_harness()

    outcome = harness.handle(JobScript(context(index)).completed())

    assert outcome == Rejected("index_out_of_range", detail)
    assert [harness.variant(0).completed, harness.variant(1).completed] == [0, 0]


@pytest.mark.parametrize("index", [True, 1.0, 1.5, "1", None, [1]])
def test_an_index_that_is_no_whole_number_is_refused_at_decoding(index: object) -> None:
    """A bool, a fraction or a text as index is a malformed message, and never reaches the router."""
    plain = msgspec.to_builtins(JobScript(ZERO).completed())
    plain["learning_context"]["variant_index"] = index

    with pytest.raises(InvalidInputError, match=r"learning_context\.variant_index: must be a whole number"):
        decode_body(msgspec.msgpack.encode(plain))


def test_another_variable_is_rejected() -> None:
    """The outcome says what it was and what was planned."""
    outcome = router_harness().handle(JobScript(context(variable="steps")).completed())

    assert outcome == Rejected("variable_differs", "'steps' instead of 'cfg_scale'")


@pytest.mark.parametrize(
    ("planned", "reported"),
    [(2.0, 2.5), (1, True), (True, 1), (1.0, True), (0, False), ("2", 2), (2, "2"), (2.0, {"cfg_scale": 2.0})],
)
def test_another_value_is_rejected(planned: Scalar, reported: VariantValue) -> None:
    """True is not 1 and "2" is not 2, whatever Python says."""
    harness = router_harness([planned])

    outcome = harness.handle(JobScript(context(0, reported)).completed())

    assert outcome == Rejected("value_differs", f"{cited(reported)} instead of {cited(planned)}")
    assert harness.variant().completed == 0


@pytest.mark.parametrize(("planned", "reported"), [(1, 1.0), (1.0, 1), (True, True), ("euler", "euler"), (0.1, 0.1)])
def test_the_same_value_is_accepted(planned: Scalar, reported: Scalar) -> None:
    """1 and 1.0 are the same value: encoders of other languages do not tell them apart."""
    harness = router_harness([planned])

    assert judged(harness.handle(JobScript(context(0, reported)).completed())) == ("applied", "")
    assert harness.variant().completed == 1


def test_a_job_that_is_already_applied_is_ignored() -> None:
    """The second completion of a job changes nothing."""
    harness = router_harness(jobs=2)
    harness.handle(JobScript(ZERO).completed(well("a")))
    before = harness.variant()

    outcome = harness.handle(JobScript(ZERO).completed(well("b")))

    assert judged(outcome) == ("ignored", "job_already_applied")
    assert harness.variant() == before


@pytest.mark.parametrize("status", sorted(ENDED))
@pytest.mark.parametrize("kind", ["queued", "started", "completed"])
def test_an_event_after_the_end_of_its_variant_is_late(status: VariantState, kind: str) -> None:
    """It is kept for the history (the outcome names the variant), and the state stays as it is."""
    harness = router_harness()
    before = replace(harness.variant(), status=status)
    harness.experiments[EXPERIMENT].put(before)
    event: JobEvent = getattr(JobScript(ZERO), kind)()

    outcome = harness.handle(event)

    assert outcome == Late(EXPERIMENT, 0)
    assert judged(outcome) == ("late", "variant_has_ended")
    assert harness.variant() == before


def test_a_success_adds_images_and_metrics() -> None:
    """The outcome carries the changed variant."""
    harness = router_harness()

    outcome = harness.handle(JobScript(ZERO).completed(well("a", "b", match=0.5)))

    assert isinstance(outcome, Applied)
    assert outcome.variant == harness.variant()
    assert (harness.variant().completed, harness.variant().images) == (1, (image("a"), image("b")))
    assert harness.variant().metric_sums == {"match": (0.5, 1)}
    assert harness.variant().status == "completed"


def test_a_failure_is_counted_with_its_error() -> None:
    """The error text is kept for people."""
    harness = router_harness()

    harness.handle(JobScript(ZERO).completed(badly("out of memory")))

    assert (harness.variant().status, harness.variant().failed, harness.variant().error) == (
        "failed",
        1,
        "out of memory",
    )


def test_a_failure_without_an_error_is_an_unknown_error() -> None:
    """There is always a text."""
    harness = router_harness()

    harness.handle(JobScript(ZERO).completed(badly(None)))

    assert harness.variant().error == "Unknown error"


def test_a_cancelled_job_is_counted_as_cancelled() -> None:
    """It is no failure."""
    harness = router_harness()

    harness.handle(JobScript(ZERO).completed(CANCELLED))

    assert (harness.variant().status, harness.variant().failed, harness.variant().cancelled) == ("cancelled", 0, 1)


# jobs and plan


def test_a_job_that_was_not_planned_is_rejected() -> None:
    """Somebody else's job that claims our variant is not counted."""
    harness = router_harness()

    outcome = harness.handle(JobScript(ZERO, "stranger").completed())

    assert outcome == Rejected("unplanned_job", "stranger")
    assert harness.variant().completed == 0


def test_a_job_that_is_planned_for_another_variant_is_rejected() -> None:
    """Counted where its context says, it would end one variant too early and leave the other one waiting forever."""
    harness = router_harness()
    script = JobScript(ZERO, JobScript(ONE).name)

    outcome = harness.handle(script.completed())

    assert judged(outcome) == ("rejected", "unplanned_job")
    assert [harness.variant(0).completed, harness.variant(1).completed] == [0, 0]


# narrowing


def test_narrowed_to_an_experiment_others_are_ignored() -> None:
    """`--experiment` makes the rest no business of this service, known or not."""
    harness = router_harness(experiments=("exp-10",))

    assert judged(harness.handle(JobScript(ZERO).completed())) == ("ignored", "not_followed")
    assert harness.variant().completed == 0


def test_narrowed_to_variants_others_are_ignored() -> None:
    """`--variants` leaves the other variants of the same experiment to another service."""
    harness = router_harness(variant_indices=(1,))

    outcomes = [harness.handle(JobScript(mark).completed()) for mark in (ZERO, ONE)]

    assert [judged(outcome) for outcome in outcomes] == [("ignored", "not_followed"), ("applied", "")]


def test_narrowed_to_the_first_variant_it_is_followed() -> None:
    """Index 0 alone is a narrowing, too."""
    harness = router_harness(variant_indices=(0,))

    assert judged(harness.handle(JobScript(ZERO).completed())) == ("applied", "")
    assert judged(harness.handle(JobScript(ONE).completed())) == ("ignored", "not_followed")


def test_the_id_of_an_experiment_is_compared_whole() -> None:
    """Following exp-1 does not follow exp-10."""
    controller = router_harness(experiments=("exp-1",)).controller

    assert controller.follows(context(experiment="exp-1"))
    assert not controller.follows(context(experiment="exp-10"))


# discovery


def test_discovery_adopts_an_experiment_from_a_context() -> None:
    """The first event of an unknown experiment makes it known, with what its context says."""
    harness = RouterHarness(options={"discover": True})

    outcome = harness.handle(JobScript(ONE).queued())

    assert isinstance(outcome, Applied)
    assert outcome.is_adopted
    assert outcome.variant == harness.variant(1)
    adopted = harness.experiments[EXPERIMENT]
    assert (adopted.definition.name, adopted.definition.variable_name) == ("CFG sweep", "cfg_scale")
    assert (adopted.discovered, adopted.created_at) == (True, 10.0)
    assert harness.variant(1).jobs == {"exp-1.1.0.0": "queued"}
    assert (harness.variant(1).value, harness.variant(1).planned, harness.variant(1).status) == (4.0, 1, "queued")


def test_discovery_names_an_experiment_by_its_id_where_it_has_no_name() -> None:
    """An empty display name does not make an invalid definition."""
    harness = RouterHarness(options={"discover": True})

    harness.handle(JobScript(replace(ONE, experiment_name="")).queued())

    assert harness.experiments[EXPERIMENT].definition.name == EXPERIMENT


def test_a_discovered_experiment_grows_with_what_is_seen_of_it() -> None:
    """New jobs and new variants are added to the plan, whatever the jobs are called."""
    harness = RouterHarness(options={"discover": True})

    outcomes = [harness.handle(JobScript(mark, name).queued()) for mark, name in [(ZERO, "a"), (ZERO, "b"), (ONE, "c")]]

    assert [isinstance(outcome, Applied) and outcome.is_adopted for outcome in outcomes] == [True, False, False]
    assert (harness.variant(0).jobs, harness.variant(1).jobs) == ({"a": "queued", "b": "queued"}, {"c": "queued"})
    assert (harness.variant(0).planned, harness.variant(1).planned) == (2, 1)
    assert experiment_status(harness.experiments[EXPERIMENT]).totals.jobs == 3


def test_a_discovered_variant_is_extended_after_its_end() -> None:
    """A further job brings it back, and its end ends it again."""
    harness = RouterHarness(options={"discover": True})
    harness.handle(JobScript(ZERO, "a").completed())
    assert harness.variant().status == "completed"

    harness.handle(JobScript(ZERO, "b").queued())
    assert (harness.variant().status, harness.variant().planned) == ("running", 2)

    harness.handle(JobScript(ZERO, "b").completed(badly()))
    assert (harness.variant().status, harness.variant().completed, harness.variant().failed) == ("partial", 1, 1)


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        (context(0, 3.0), "value_differs"),
        (context(0, 2.0, variable="steps"), "variable_differs"),
        (context(-1, 3.0), "index_out_of_range"),
    ],
)
def test_a_discovered_experiment_has_the_same_rules(mark: LearningContext, reason: str) -> None:
    """What was seen first is the plan that later events are compared with."""
    harness = RouterHarness(options={"discover": True})
    harness.handle(JobScript(ZERO).queued())

    assert judged(harness.handle(JobScript(mark, "other").queued())) == ("rejected", reason)


def test_an_experiment_is_not_adopted_from_a_negative_index() -> None:
    """A rejected event makes no experiment."""
    harness = RouterHarness(options={"discover": True})

    assert judged(harness.handle(JobScript(context(-1)).queued())) == ("rejected", "index_out_of_range")
    assert harness.experiments == {}


def test_discovery_does_not_open_a_planned_experiment() -> None:
    """A service that discovers still rejects unplanned jobs of the experiments that it planned."""
    assert judged(router_harness(discover=True).handle(JobScript(ZERO, "stranger").queued())) == (
        "rejected",
        "unplanned_job",
    )


@pytest.mark.parametrize("discover", [False, True])
def test_events_of_a_deleted_experiment_are_ignored(*, discover: bool) -> None:
    """Also by a service that adopts what it does not know; once it was imported again, they count."""
    harness = RouterHarness(options={"discover": discover}, deleted={EXPERIMENT})

    assert judged(harness.handle(JobScript(ZERO).completed())) == ("ignored", "deleted")
    assert harness.experiments == {}
    harness.experiments[EXPERIMENT] = planned_experiment()
    assert judged(harness.handle(JobScript(ZERO).completed())) == ("applied", "")


def test_the_router_changes_nothing() -> None:
    """The outcome says what is to be changed; the experiment stays as it is until somebody commits that."""
    experiment = planned_experiment()
    before = (dict(experiment.variants), experiment.updated_at, experiment.started_at, experiment.totals)

    outcome = LearningController().handle(JobScript(ZERO).completed(), {EXPERIMENT: experiment}.get)

    assert isinstance(outcome, Applied)
    assert (outcome.experiment, outcome.variant.completed, outcome.time) == (experiment, 1, 13.0)
    assert (dict(experiment.variants), experiment.updated_at, experiment.started_at, experiment.totals) == before


# progress


def progress(mark: LearningContext | None, fraction: float = 0.5) -> JobProgress:
    """Return the progress of the job that a context belongs to."""
    return JobProgress(job_id=JobScript(mark).name, learning_context=mark, fraction=fraction)


def test_progress_is_noted_of_a_running_job() -> None:
    """It belongs to the experiment until the job's next event."""
    harness = router_harness()
    harness.handle(JobScript(ZERO).started())

    assert harness.find_running(progress(ZERO)) is harness.experiments[EXPERIMENT]

    harness.handle(JobScript(ZERO).completed())
    assert harness.find_running(progress(ZERO)) is None


@pytest.mark.parametrize("mark", [ONE, context(7)])
def test_progress_of_a_job_that_names_another_variant_is_dropped(mark: LearningContext) -> None:
    """One that has not this job, or is not in the plan."""
    harness = router_harness()
    harness.handle(JobScript(ZERO).started())

    assert harness.find_running(replace(progress(ZERO), learning_context=mark)) is None


@pytest.mark.parametrize("mark", [None, ZERO, ONE, context(experiment="exp-10")])
def test_other_progress_is_dropped(mark: LearningContext | None) -> None:
    """Without a context, of a job that does not run, not followed, or of an unknown experiment: it is nobody's."""
    harness = router_harness(variant_indices=(0,))

    assert harness.find_running(progress(mark)) is None


def test_a_discovered_variant_takes_only_so_many_jobs() -> None:
    """Whatever names its jobs have: a stranger cannot fill the memory."""
    at = RouterHarness(options={"discover": True})
    at.handle(JobScript(ZERO).queued())
    known = at.variant()
    at.experiments[EXPERIMENT].put(replace(known, jobs=dict.fromkeys(map(str, range(DISCOVERED_JOBS)), "queued")))

    outcome = at.handle(JobScript(ZERO, "one more").queued())

    assert outcome == Rejected("too_many_jobs", f"{DISCOVERED_JOBS} jobs have been seen of this variant")
