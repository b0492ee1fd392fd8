"""An experiment in memory: its counts, its status, and what is published of it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.messages import SearchStatus, Totals, VariantState
from learning_service.experiments import variants
from learning_service.experiments.draft import Draft
from learning_service.experiments.model import (
    Busy,
    Experiment,
    SearchState,
    experiment_status,
    variant_fraction,
    variant_status,
)
from learning_service.experiments.variants import Variant
from tests.support.factories import (
    CANCELLED,
    JobScript,
    badly,
    context,
    counted,
    definition,
    image,
    planned_experiment,
    planned_jobs,
    well,
)

DAY = 86_400.0
STATES: list[VariantState] = ["pending", "queued", "running", "completed", "partial", "failed", "cancelled"]


def in_states(*states: VariantState) -> Experiment:
    """Return an experiment whose variants are in these states."""
    made = [
        Variant(index=index, value=index, jobs=planned_jobs(index), status=state) for index, state in enumerate(states)
    ]
    return Experiment("exp-1", definition(range(len(states))), made, created_at=1.0)


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["pending", "pending"], "pending"),
        (["pending", "queued"], "queued"),
        (["queued", "queued"], "queued"),
        (["pending", "running"], "running"),
        (["pending", "completed"], "running"),
        (["failed", "queued"], "running"),
        (["completed", "completed"], "completed"),
        (["failed", "failed"], "failed"),
        (["cancelled", "cancelled"], "cancelled"),
        (["completed", "failed"], "partial"),
        (["partial", "partial"], "partial"),
        (["partial", "failed"], "partial"),
        (["completed", "cancelled"], "partial"),
        (["failed", "cancelled"], "failed"),
    ],
)
def test_the_status_follows_from_the_variants(states: list[VariantState], status: VariantState) -> None:
    """All in one state, all ended one way or another, or on the way."""
    experiment = in_states(*states)

    assert experiment.status == status
    assert experiment.has_ended == (status in {"completed", "partial", "failed", "cancelled"})


@dataclass(frozen=True)
class Change:
    """How a variant is replaced, and whether the counts are asked for afterwards."""

    index: int
    status: VariantState
    completed: int
    failed: int
    cancelled: int
    running: int
    asked: bool

    def variant(self) -> Variant:
        """Return the variant as it is then."""
        ended = self.completed + self.failed + self.cancelled
        jobs = planned_jobs(self.index, ended + self.running)
        jobs.update(zip(jobs, ["ended"] * ended + ["running"] * self.running, strict=True))  # type: ignore[arg-type]  # they are phases
        return Variant(
            index=self.index,
            value=self.index,
            jobs=jobs,
            status=self.status,
            running=self.running,
            completed=self.completed,
            failed=self.failed,
            cancelled=self.cancelled,
        )


SOME = st.integers(0, 9)


@given(
    st.lists(
        st.builds(Change, st.integers(0, 4), st.sampled_from(STATES), SOME, SOME, SOME, SOME, st.booleans()),
        max_size=20,
    )
)
def test_counts_that_are_kept_are_counts_that_are_counted(changes: list[Change]) -> None:
    """However often variants are added and replaced, and whenever somebody asks: as of a fresh experiment with them."""
    experiment = in_states("pending", "pending", "pending")
    for change in changes:
        experiment.put(change.variant())
        if change.asked:
            assert (experiment.status, experiment.totals) == counted(experiment)

    assert (experiment.status, experiment.totals) == counted(experiment)


def test_the_number_of_running_jobs_is_kept() -> None:
    """However jobs move, also back into the queue, and lost with their runner."""
    experiment = planned_experiment((2.0,), jobs=3)
    a, b = (JobScript(context(repeat=repeat)) for repeat in range(2))
    moves: list[Callable[[Variant], Variant]] = [
        lambda variant: variants.started(variant, a.name, 2.0),
        lambda variant: variants.started(variant, a.name, 2.0),
        lambda variant: variants.started(variant, b.name, 2.0),
        lambda variant: variants.queued(variant, b.name, 2.0),
        lambda variant: variants.started(variant, b.name, 2.0),
        lambda variant: variants.resent(variant, [a.name]),
        lambda variant: variants.job_ended(variant, b.completed()),
        lambda variant: variants.job_ended(variant, a.completed()),
    ]
    running = []
    for move in moves:
        experiment.put(move(experiment.variants[0]))
        running.append(experiment.totals.running)

    assert running == [1, 1, 2, 1, 2, 1, 0, 0]


def test_the_status_that_is_published_is_the_whole_state() -> None:
    """Definition, totals and times, for who has seen nothing before."""
    experiment = planned_experiment((2.0, 4.0), jobs=2)

    status = experiment_status(experiment)

    assert (status.experiment_id, status.experiment_name, status.status) == ("exp-1", "CFG sweep", "pending")
    assert status.definition == experiment.definition
    assert status.totals == Totals(variants=2, jobs=4, running=0, completed=0, failed=0, cancelled=0)
    assert (status.created_at, status.revision, status.eta_seconds) == (1.0, 1, None)


def test_the_status_of_a_variant_has_means() -> None:
    """Metrics and durations are averaged over the jobs that completed."""
    experiment = planned_experiment((2.0,), jobs=4)
    variant = experiment.variants[0]
    results = [well("a", match=0.5), well("b", match=1.0, speed=3.0), badly("slow"), CANCELLED]
    for repeat, result in enumerate(results):
        variant = variants.job_ended(variant, JobScript(context(repeat=repeat)).completed(result))
    experiment.put(variant)

    status = variant_status(experiment, variant)

    assert (status.status, status.completed, status.failed, status.cancelled) == ("partial", 2, 1, 1)
    assert status.metrics == {"match": 0.75, "speed": 3.0}
    assert (status.duration_mean, status.error, status.rating) == (2.0, "slow", None)
    assert status.images == (image("a"), image("b"))
    assert (status.variable_under_test, status.variant_value) == ("cfg_scale", 2.0)


def test_without_a_completed_job_there_is_no_mean() -> None:
    """Not a mean of 0."""
    experiment = planned_experiment((2.0,))

    assert variant_status(experiment, experiment.variants[0]).duration_mean is None


def test_where_nobody_knows_how_long_jobs_took_there_is_no_mean() -> None:
    """As of pictures that were adopted."""
    experiment = planned_experiment((2.0,))
    adopted = replace(experiment.variants[0], completed=2)

    assert variant_status(experiment, adopted).duration_mean is None


def test_jobs_that_failed_tell_how_long_the_rest_takes() -> None:
    """Where none has completed, there is no duration to compare the rate with."""
    experiment = planned_experiment((2.0,), jobs=2)
    experiment.note_run(100.0, 130.0)
    experiment.put(variants.job_ended(experiment.variants[0], JobScript(context(0)).completed(badly())))

    assert experiment_status(experiment).eta_seconds == 30.0


def ended(experiment: Experiment, *runs: tuple[float, float], variant: int = 0) -> Experiment:
    """Let jobs of a variant complete that ran from and to these times."""
    done = experiment.variants[variant].completed
    for repeat, (begin, end) in enumerate(runs, done):
        job = replace(JobScript(context(variant, repeat=repeat)).completed(at=end), started_at=begin)
        experiment.put(variants.job_ended(experiment.variants[variant], job))
        experiment.note_event(end, has_started=True)
        experiment.note_run(begin, end)
    return experiment


def test_the_rest_is_estimated_from_the_jobs_so_far() -> None:
    """Two of four jobs in 20 s leave 20 s; before the first end nobody knows, and after the last nothing is left."""
    experiment = planned_experiment((2.0, 4.0), jobs=2)
    experiment.started_at = experiment.updated_at = 100.0
    assert experiment_status(experiment).eta_seconds is None

    ended(experiment, (100.0, 110.0), (110.0, 120.0))
    assert experiment_status(experiment).eta_seconds == 20.0

    ended(experiment, (120.0, 121.0), (121.0, 122.0), variant=1)
    assert experiment_status(experiment).eta_seconds == 0.0


@pytest.mark.fault(item="F106")
@pytest.mark.parametrize(
    ("runs", "left"),
    [
        (((0, 2), (3 * DAY, 3 * DAY + 2)), 12.0),  # three days later: a pause, a night, an extension
        (((0, 2), (0, 2)), 6.0),  # two at a time
        (((0, 2), (0, 4)), 12.0),
        (((0, 10), (4, 5)), 30.0),  # the events of another runner come later
    ],
)
def test_only_the_time_in_which_jobs_ran_counts(runs: tuple[tuple[float, float], ...], left: float) -> None:
    """What passes between them tells nothing of the rest, and what ran at the same time counts once."""
    experiment = ended(planned_experiment((2.0, 4.0), jobs=4), *runs)

    assert experiment_status(experiment).eta_seconds == pytest.approx(left)


@pytest.mark.fault(item="F106")
def test_a_job_that_never_ran_took_no_time() -> None:
    """A cancel before the start does not make the others look faster; imported jobs tell how long they took."""
    experiment = ended(planned_experiment((2.0, 4.0), jobs=4), (0.0, 4.0))
    experiment.put(variants.cancelled(experiment.variants[1], list(experiment.variants[1].jobs), 5.0))
    experiment.note_run(None, 5.0)
    assert experiment_status(experiment).eta_seconds == 12.0

    experiment.busy = Busy()
    assert experiment_status(experiment).eta_seconds == 12.0


def test_how_far_a_variant_is_counts_its_running_jobs_by_their_progress() -> None:
    """One of four jobs ended and one half done is 0.375; jobs of other variants do not count."""
    experiment = planned_experiment((2.0, 4.0), jobs=4)
    experiment.put(variants.job_ended(experiment.variants[0], JobScript(context()).completed()))
    experiment.progress = {"exp-1.0.1.0": (0, 0.5), "exp-1.1.0.0": (1, 0.9)}

    assert variant_fraction(experiment, context(0)) == 0.375
    assert variant_fraction(experiment, context(1, 4.0)) == 0.225


def test_a_search_keeps_an_experiment_running_between_its_rounds() -> None:
    """All that is planned has ended, but more will be; the status says how far the search is."""
    experiment = in_states("completed", "completed")
    experiment.definition = replace(experiment.definition, mode="adaptive", budget=9)
    experiment.search = SearchState("searching", "tries 3")

    assert (experiment.status, experiment.is_idle, experiment.has_ended) == ("running", True, False)
    assert experiment_status(experiment).search == SearchStatus(state="searching", budget=9, spent=2, reason="tries 3")

    experiment.search = SearchState("decided", "2 is best")
    assert (experiment.status, experiment.has_ended) == ("completed", True)


def test_a_draft_has_all_variants_and_changes_its_base_at_the_commit_only() -> None:
    """Those that were changed or added in it, and the others as they are."""
    base = in_states("completed", "running")
    changed = Variant(index=1, value=1, jobs=planned_jobs(1), status="failed")
    added = Variant(index=2, value=2, jobs=planned_jobs(2))
    draft = Draft(base)
    draft.put(changed)
    draft.put(added)

    assert list(draft.variants) == [0, 1, 2]
    assert len(draft.variants) == 3
    assert [draft.variants[index] for index in range(3)] == [base.variants[0], changed, added]
    assert draft.variants.get(3) is None
    with pytest.raises(KeyError):
        draft.variants[3]
    assert list(base.variants) == [0, 1]

    draft.commit()
    assert list(base.variants.values()) == [base.variants[0], changed, added]


@pytest.mark.fault(item="F65")
def test_an_estimate_survives_a_clock_that_was_set() -> None:
    """Thirty years between the first start and the newest end say nothing of the rest."""
    experiment = planned_experiment((2.0, 4.0), jobs=2)
    experiment.put(variants.job_ended(experiment.variants[0], JobScript(context(0)).completed()))
    mean = experiment.variants[0].duration_sum

    for finished in (1e9, 100.0, -1e9):
        experiment.busy = Busy()
        experiment.note_run(100.0, finished)
        eta = experiment_status(experiment).eta_seconds
        assert eta is not None
        assert 0.0 <= eta <= 3 * 20 * mean
