"""One transaction of the learning service: all that it stages is committed together, once, or forgotten."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from bus.contracts.messages import ExperimentStatus, RatingSummary, VariantStatus
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from learning_service.experiments import variants
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.storage.judgements import RatingRow
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork
from tests.support.factories import (
    EXPERIMENT,
    JobScript,
    context,
    messages,
    plan_jobs,
    planned_experiment,
    planned_jobs,
    well,
)

ABC = [job_id(EXPERIMENT, PlannedJob(0, repeat)) for repeat in range(3)]


@pytest.fixture
def log(tmp_path: Path, open_log: Callable[[Path], Log]) -> Log:
    """Open a log."""
    return open_log(tmp_path / "learning.db")


@pytest.fixture
def store(log: Log) -> LearningStore:
    """Return a store with the example experiment: two variants of three jobs."""
    store, experiment = LearningStore(log), planned_experiment(jobs=3)
    with log.transaction() as tx:
        store.insert(tx, experiment)
        store.add_jobs(tx, experiment, [(job_id(EXPERIMENT, job), job) for job in plan_jobs(1, 2)])
    return store


def published(log: Log) -> list[tuple[str, int]]:
    """Return what was published: kind, and the revision that it shows."""
    told = messages(log.fetch("", 0).records)
    return [(type(one).__name__, one.revision) for one in told if isinstance(one, VariantStatus | ExperimentStatus)]


def test_two_events_on_one_variant_build_on_each_other_and_are_told_once(log: Log, store: LearningStore) -> None:
    """The newest status of the variant is published, and then that of the experiment, with both in it."""
    event = JobScript(context()).completed(well("a"))
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        draft = work.draft(EXPERIMENT)
        work.put(draft, variants.started(draft.variants[0], ABC[0], 11.0), 11.0)
        draft = work.draft(EXPERIMENT)
        work.put(draft, variants.job_ended(draft.variants[0], event), 13.0)
        staged = work.find(EXPERIMENT)
        assert staged is not None
        assert (staged.variants[0].completed, store.get(EXPERIMENT).variants[0].completed) == (1, 0)

    committed, again = store.get(EXPERIMENT), LearningStore(log).get(EXPERIMENT)
    assert (committed.totals.completed, committed.updated_at, committed.revision) == (1, 13.0, 2)
    assert (again.variants, again.totals, again.revision) == (dict(committed.variants), committed.totals, 2)
    assert published(log) == [("VariantStatus", 3), ("ExperimentStatus", 2)]


def test_ends_of_several_variants_are_one_status_each_in_the_order_of_the_first_change(
    log: Log, store: LearningStore
) -> None:
    """The state of each is the newest, with every job counted; the next transaction tells the next one."""
    ends = [(1, 0), (0, 0), (1, 1), (1, 2), (0, 1)]
    for batch in (ends, [(0, 2)]):
        with log.transaction() as tx:
            work = UnitOfWork(tx, store)
            for index, repeat in batch:
                event = JobScript(context(index, 4.0 if index else 2.0, repeat=repeat)).completed(
                    well(f"{index}{repeat}")
                )
                draft = work.draft(EXPERIMENT)
                work.end_job(event)
                work.put(draft, variants.job_ended(draft.variants[index], event), 13.0)

    told = [one for one in messages(log.fetch("variant.status.", 0).records) if isinstance(one, VariantStatus)]
    assert [(one.variant_index, one.completed, one.revision, len(one.images)) for one in told] == [
        (1, 3, 4, 3),
        (0, 2, 3, 2),
        (0, 3, 4, 3),
    ]
    assert [one.status for one in told] == ["completed", "running", "completed"]


def test_a_failed_transaction_forgets_variants_messages_results_and_marks(log: Log, store: LearningStore) -> None:
    """Also where it fails while it is written, and the next transaction begins with what was committed."""
    before = store.get(EXPERIMENT)
    variant = before.variants[0]
    marked: list[str] = []
    store.stale.on_mark = marked.append
    event = JobScript(context()).completed(well("a"))

    def fail() -> None:
        with log.transaction() as tx:
            work = UnitOfWork(tx, store)
            work.end_job(event)
            work.put(work.draft(EXPERIMENT), variants.job_ended(variant, event), 13.0)
            tx.before_commit(lambda: 1 / 0)  # type: ignore[arg-type]  # after everything was written

    with pytest.raises(ZeroDivisionError):
        fail()

    assert (store.get(EXPERIMENT), before.variants[0], before.revision) == (before, variant, 1)
    assert (published(log), marked) == ([], [])
    assert log.query("SELECT count(*) FROM results") == [(0,)]
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        assert work.draft(EXPERIMENT).variants[0] is variant
        work.put(work.draft(EXPERIMENT), variants.started(variant, ABC[0], 14.0), 14.0)
    assert (before.variants[0].status, before.totals.running, before.revision) == ("running", 1, 2)


def test_a_unit_of_work_that_changes_nothing_publishes_nothing(log: Log, store: LearningStore) -> None:
    """To read an experiment, or to take a draft of it, is no news."""
    head = log.head
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        work.find(EXPERIMENT)
        work.draft(EXPERIMENT)

    assert (log.head, store.get(EXPERIMENT).revision) == (head, 1)


def test_a_new_experiment_and_an_old_one_change_together(log: Log, store: LearningStore) -> None:
    """The new one is found within its transaction, and in memory and on disk after it."""
    new = planned_experiment((1.0,))
    new.experiment_id = "exp-2"
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        draft = work.insert(new)
        work.put(draft, replace(new.variants[0], status="queued"), 5.0)
        old = work.draft(EXPERIMENT)
        work.put(old, variants.started(old.variants[1], job_id(EXPERIMENT, PlannedJob(1, 0)), 6.0), 6.0)
        assert work.find("exp-2") is draft

    for one in (store, LearningStore(log)):
        assert (one.get("exp-2").status, one.get("exp-2").updated_at) == ("queued", 5.0)
        assert (one.get(EXPERIMENT).status, one.get(EXPERIMENT).updated_at) == ("running", 6.0)


def test_a_new_experiment_of_a_failed_transaction_is_unknown(log: Log, store: LearningStore) -> None:
    """In memory and on disk."""
    new = planned_experiment((1.0,))
    new.experiment_id = "exp-2"

    def fail() -> None:
        with log.transaction() as tx:
            UnitOfWork(tx, store).insert(new)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert store.find("exp-2") is None
    assert LearningStore(log).find("exp-2") is None


def test_a_draft_of_an_unknown_experiment_is_refused(log: Log, store: LearningStore) -> None:
    """In the words of the service; the transaction can go on."""
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        assert work.find("nobody") is None
        with pytest.raises(ControlError, match="'nobody' was not found"):
            work.draft("nobody")
        work.publish(work.draft(EXPERIMENT), 3.0)

    assert published(log) == [("ExperimentStatus", 2)]


def test_variants_with_new_indices_are_written_and_read_in_order(log: Log, store: LearningStore) -> None:
    """As when a discovered job shows a variant that nobody had planned."""
    added = [variants.Variant(index=index, value=float(index), jobs=planned_jobs(index)) for index in (3, 2)]
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        draft = work.draft(EXPERIMENT)
        for variant in added:
            work.put(draft, variant, 4.0, is_news=False)
        assert sorted(draft.variants) == [0, 1, 2, 3]

    again = LearningStore(log).get(EXPERIMENT)
    assert again.variants == dict(store.get(EXPERIMENT).variants)
    assert again.totals == store.get(EXPERIMENT).totals
    assert published(log) == [("ExperimentStatus", 2)]


def test_a_picture_that_is_rated_already_rates_the_variant_whose_job_makes_it_again(
    log: Log, store: LearningStore
) -> None:
    """Two jobs of one transaction that make it count as one picture."""
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        first = JobScript(context(1, 4.0)).completed(well("a"))
        work.end_job(first)
        draft = work.draft(EXPERIMENT)
        work.put(draft, variants.job_ended(draft.variants[1], first), 13.0)
    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        store.judgements.rate(tx, EXPERIMENT, RatingRow("a", 4, "", 20.0))
        work.rate(work.draft(EXPERIMENT), 1, 20.0)
    events = [JobScript(context(repeat=repeat)).completed(well("a")) for repeat in (0, 1)]

    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        for event in events:
            draft = work.draft(EXPERIMENT)
            work.end_job(event)
            work.put(draft, variants.job_ended(draft.variants[0], event), 21.0)

    four_stars = RatingSummary(mean=4.0, count=1)
    for one in (store, LearningStore(log)):
        assert [variant.rating for variant in one.get(EXPERIMENT).variants.values()] == [four_stars, four_stars]
        assert one.get(EXPERIMENT).variants[0].completed == 2
