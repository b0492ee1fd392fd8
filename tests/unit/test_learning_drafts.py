"""Drafts of experiments and counts of variants: what a change costs nobody else, and what it leaves behind."""

from msgspec.structs import replace

from bus.contracts.messages import RatingSummary, Totals
from learning_service.experiments.counts import Counts
from learning_service.experiments.draft import Draft
from learning_service.experiments.variants import Variant
from tests.support.factories import counted, planned_experiment, planned_jobs


def added(index: int) -> Variant:
    """Return a variant that the example experiment does not have."""
    return Variant(index=index, value=float(index), jobs=planned_jobs(index))


def test_a_draft_without_changes_reads_as_its_experiment() -> None:
    """Whatever is asked of it."""
    base = planned_experiment((2.0, 4.0), jobs=2)
    draft = Draft(base)

    assert dict(draft.variants) == dict(base.variants)
    assert (list(draft.variants), len(draft.variants)) == ([0, 1], 2)
    assert (draft.status, draft.totals, draft.spent) == (base.status, base.totals, base.spent)
    assert draft.changed == {}


def test_a_changed_variant_is_seen_in_the_draft_alone_until_the_commit() -> None:
    """By its index, among all, and in the counts."""
    base = planned_experiment((2.0, 4.0))
    planned = base.variants[1]
    draft = Draft(base)
    running = replace(planned, status="running", running=1)

    draft.put(running)

    assert (draft.variants[1], draft.variants.get(1)) == (running, running)
    assert list(draft.variants.values()) == [base.variants[0], running]
    assert (draft.status, draft.totals.running) == ("running", 1)
    assert (base.variants[1], base.status, base.totals.running) == (planned, "pending", 0)
    draft.commit()
    assert (base.variants[1], base.status, base.totals.running) == (running, "running", 1)
    assert counted(base) == (base.status, base.totals)


def test_new_variants_come_behind_those_of_the_experiment_and_each_once() -> None:
    """Also if they are changed again, and in the order in which they were added."""
    base = planned_experiment((2.0, 4.0))
    draft = Draft(base)
    for variant in (added(3), added(2), replace(base.variants[0], revision=9), replace(added(3), revision=5)):
        draft.put(variant)

    assert list(draft.variants) == [0, 1, 3, 2]
    assert [variant.revision for variant in draft.variants.values()] == [9, 1, 5, 0]
    assert (len(draft.variants), draft.totals.variants, draft.spent) == (4, 4, 4)
    assert (2 in draft.variants, 4 in draft.variants, draft.variants.get(4)) == (True, False, None)
    assert (list(base.variants), base.totals.variants) == ([0, 1], 2)
    draft.commit()
    assert (list(base.variants), base.totals.variants) == ([0, 1, 3, 2], 4)
    assert counted(base) == (base.status, base.totals)


def test_a_draft_that_is_dropped_changes_nothing() -> None:
    """The next one begins with the experiment as it is."""
    base = planned_experiment((2.0,))
    dropped = Draft(base)
    dropped.put(replace(base.variants[0], status="failed", failed=1))
    dropped.put(added(1))
    dropped.note_event(50.0, has_started=True)
    dropped.moved.append("exp-1.0.0.0")

    fresh = Draft(base)

    assert (list(fresh.variants), fresh.status, fresh.totals.failed) == ([0], "pending", 0)
    assert (fresh.updated_at, fresh.started_at) == (base.updated_at, base.started_at) == (1.0, None)


def test_a_commit_forgets_the_progress_of_jobs_that_moved_and_of_no_others() -> None:
    """A job that has ended or waits again is no longer some way through."""
    base = planned_experiment((2.0,), jobs=2)
    base.progress = {"exp-1.0.0.0": (0, 0.5), "exp-1.0.1.0": (0, 0.25)}
    draft = Draft(base)
    draft.moved += ["exp-1.0.0.0", "never-reported"]

    assert len(base.progress) == 2
    draft.commit()

    assert base.progress == {"exp-1.0.1.0": (0, 0.25)}


def test_a_draft_of_a_draft_reads_through_both() -> None:
    """Changes go down one level with each commit."""
    base = planned_experiment((2.0, 4.0))
    first = Draft(base)
    first.put(replace(base.variants[0], revision=5))
    second = Draft(first)
    second.put(added(2))

    assert [variant.revision for variant in second.variants.values()] == [5, 1, 0]
    second.commit()
    assert (list(first.variants), list(base.variants)) == ([0, 1, 2], [0, 1])
    first.commit()
    assert list(base.variants) == [0, 1, 2]


def test_counts_of_no_variants_are_zero() -> None:
    """An experiment that was just discovered has none."""
    assert Counts().totals() == Totals(variants=0, jobs=0, running=0, completed=0, failed=0, cancelled=0)


def test_a_state_that_no_variant_is_in_any_more_is_absent() -> None:
    """The status of an experiment follows from the states that are present."""
    counts = Counts()
    pending = added(0)
    counts.change(None, pending)
    counts.change(None, added(1))
    queued = replace(pending, status="queued")

    counts.change(pending, queued)
    assert counts.states == {"pending": 1, "queued": 1}
    counts.change(added(1), replace(added(1), status="queued"))
    assert counts.states == {"queued": 2}


def test_a_copy_of_counts_changes_alone() -> None:
    """Both ways."""
    counts = Counts()
    counts.change(None, added(0))
    copy = counts.copy()

    copy.change(added(0), replace(added(0), status="completed", completed=1))
    counts.change(None, added(1))

    assert (copy.states, copy.totals().completed) == ({"completed": 1}, 1)
    assert (counts.states, counts.totals().completed, counts.totals().variants) == ({"pending": 2}, 0, 2)


def test_variants_with_a_rating_are_counted() -> None:
    """A rating that changes counts once, and one that is taken back not at all."""
    counts, plain = Counts(), added(0)
    one, other = (replace(plain, rating=RatingSummary(mean=mean, count=1)) for mean in (2.0, 5.0))
    counts.change(None, plain)
    seen = [counts.rated]
    for before, after in ((plain, one), (one, other), (other, plain)):
        counts.change(before, after)
        seen.append(counts.rated)

    assert seen == [0, 1, 1, 0]


def test_replaced_jobs_are_no_part_of_the_plan() -> None:
    """A failed job and the retry that replaces it are one job."""
    counts = Counts()
    counts.change(None, replace(added(0), jobs=planned_jobs(0, 2), replaced=1))

    assert counts.totals().jobs == 1
