"""The learning service's tables."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from bus.config.limits import Limits
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.eventlog import damage
from bus.eventlog.log import Log
from bus.subscriber.delivery import Position
from bus.transport.pace import Pace
from bus.transport.steps import complete
from learning_service.experiments.model import Experiment
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.variants import Variant, extended, job_ended, queued, started
from learning_service.storage.job_rows import JobRow
from learning_service.storage.store import SQL, LearningStore
from learning_service.storage.unit_of_work import UnitOfWork
from learning_service.storage.variant_rows import variant_rows
from tests.support.factories import EXPERIMENT, JobScript, context, definition, plan_jobs, planned_experiment


@pytest.fixture
def log(tmp_path: Path, open_log: Callable[[Path], Log]) -> Log:
    """Open a log."""
    return open_log(tmp_path / "learning.db")


def filled(log: Log) -> LearningStore:
    """Return a store with the example experiment and its two jobs."""
    store = LearningStore(log)
    experiment = planned_experiment()
    jobs = [(job_id(EXPERIMENT, job), job) for job in plan_jobs(1, 2)]
    with log.transaction() as tx:
        store.insert(tx, experiment)
        store.add_jobs(tx, experiment, jobs)
    return store


def test_an_experiment_is_read_as_it_was_written(log: Log) -> None:
    """With its variants, its jobs and their phases."""
    found = filled(log).find(EXPERIMENT)
    written = planned_experiment()

    assert found is not None
    assert (found.definition, found.variants) == (written.definition, written.variants)
    assert [one.jobs for one in found.variants.values()] == [{"exp-1.0.0.0": "planned"}, {"exp-1.1.0.0": "planned"}]
    assert (found.created_at, found.revision, found.discovered) == (1.0, 1, False)
    assert found.totals == written.totals


def test_an_unknown_experiment_is_none(log: Log) -> None:
    """Not an error: the router decides."""
    assert LearningStore(log).find("nobody") is None


def test_the_row_of_an_experiment_is_written_once_with_its_checksum(log: Log) -> None:
    """Its statement has the checksum: a trigger would write the row once more."""
    store = filled(log)
    experiment = store.get(EXPERIMENT)
    experiment.started_at, experiment.updated_at = 5, -0.0  # as SQLite keeps them: 5.0 and 0.0
    with log.transaction() as tx:
        before = log._db.total_changes
        store.write_experiment(tx, experiment)
        assert log._db.total_changes == before + 1
    assert damage.set_aside(log._db, "learning", "experiments") == 0


def test_what_a_failed_transaction_staged_is_forgotten(log: Log) -> None:
    """It is seen only within its unit of work, and the experiment in memory changes after the commit."""
    store = filled(log)
    before = store.get(EXPERIMENT)
    variant = replace(before.variants[0], completed=7)
    marked: list[str] = []
    store.stale.on_mark = marked.append

    with contextlib.suppress(ZeroDivisionError), log.transaction() as tx:
        work = UnitOfWork(tx, store)
        work.put(work.draft(EXPERIMENT), variant, 9.0)
        store.stale.mark(tx, [EXPERIMENT])
        staged = work.find(EXPERIMENT)
        assert staged is not None
        assert (staged.variants[0].completed, before.variants[0].completed) == (7, 0)
        raise ZeroDivisionError

    assert (store.get(EXPERIMENT).variants[0].completed, before.updated_at, marked) == (0, 1.0, [])

    with log.transaction() as tx:
        work = UnitOfWork(tx, store)
        work.put(work.draft(EXPERIMENT), variant, 9.0)
        store.stale.mark(tx, [EXPERIMENT])
        assert (before.variants[0].completed, marked) == (0, [])

    assert (before.variants[0].completed, before.updated_at, before.revision, marked) == (7, 9.0, 2, [EXPERIMENT])
    assert before.totals.completed == 7
    again = LearningStore(log).get(EXPERIMENT)
    assert (again.variants, again.totals, again.revision) == (before.variants, before.totals, 2)


def test_memory_is_trimmed_only_when_asked(log: Log) -> None:
    """In the middle of a transaction an experiment with unwritten changes must not be read from disk again."""
    log.limits = Limits(experiments_in_memory=1)
    store = filled(log)
    other = planned_experiment()
    other.experiment_id = "exp-2"
    with log.transaction() as tx:
        store.insert(tx, other)

    first, second = store.find(EXPERIMENT), store.find("exp-2")
    assert store.find(EXPERIMENT) is first

    store.trim()
    assert store.find(EXPERIMENT) is first  # it was used last
    assert store.find("exp-2") is not second


def test_a_page_of_experiments_ends_where_a_reply_is_large_enough(log: Log) -> None:
    """Experiments with large definitions come few at a time, and each of them once."""
    log.limits = Limits(page_bytes=25_000)
    store = LearningStore(log)
    with log.transaction() as tx:
        for number in range(7):
            large = definition(config={"prompt": "x" * 10_000})
            one = Experiment(f"exp-{number}", large, created_at=1.0)
            store.insert(tx, one)

    pages: list[list[str]] = []
    before = None
    while not pages or before is not None:
        found, before = store.page(before, 1000)
        pages.append([one.experiment_id for one in found])

    assert pages == [["exp-6", "exp-5", "exp-4"], ["exp-3", "exp-2", "exp-1"], ["exp-0"]]


def test_the_newest_late_events_of_each_experiment_are_kept(log: Log) -> None:
    """A runner that repeats itself forever does not fill the disk."""
    log.limits = Limits(late_events=3)
    store = LearningStore(log)
    with log.transaction() as tx:
        for number in range(5):
            for name in ("exp-1", "exp-10"):
                store.write_late(tx, name, number, b"event")

    rows = log.query("SELECT experiment_id, variant_index FROM late_events ORDER BY number")
    assert rows == [(name, number) for number in (2, 3, 4) for name in ("exp-1", "exp-10")]


def test_jobs_go_from_unassigned_to_acknowledged(log: Log) -> None:
    """Each step takes them out of one list and into the next, in order of submission."""
    store = filled(log)
    rows = store.unassigned(["embedded/txt2img"], 10)
    assert [(row.job_id, row.planned) for row in rows] == [
        ("exp-1.0.0.0", PlannedJob(0, 0)),
        ("exp-1.1.0.0", PlannedJob(1, 0)),
    ]

    with log.transaction() as tx:
        rows = store.assign(tx, rows, "tcp://a:1")
    assert store.unassigned(["embedded/txt2img"], 10) == []
    assert store.unacknowledged("tcp://a:1", 10) == rows
    assert store.unacknowledged("tcp://b:1", 10) == []

    with log.transaction() as tx:
        store.acknowledge(tx, rows)
    assert store.unacknowledged("tcp://a:1", 10) == []
    assert damage.set_aside(log._db, "learning", "jobs") == 0, "each row has its checksum"
    assert store.runners_of(EXPERIMENT) == ["tcp://a:1"]


def test_a_job_that_went_to_another_runner_meanwhile_is_not_acknowledged(log: Log) -> None:
    """As where the runner is found at another address before it answers: it is asked there, and has it already."""
    store = filled(log)
    with log.transaction() as tx:
        late = store.assign(tx, store.unassigned(["embedded/txt2img"], 1), "tcp://a:1")
        store.assign(tx, late, "tcp://b:1")
        store.acknowledge(tx, late)

    assert [row.job_id for row in store.unacknowledged("tcp://b:1", 10)] == [late[0].job_id]
    assert damage.set_aside(log._db, "learning", "jobs") == 0


def test_a_runner_that_lost_its_log_is_sent_again_what_has_not_ended(log: Log) -> None:
    """What has ended stays so."""
    store = filled(log)
    rows = store.unassigned(["embedded/txt2img"], 10)
    with log.transaction() as tx:
        rows = store.assign(tx, rows, "tcp://a:1")
        store.acknowledge(tx, rows)
    experiment = known(store)
    first, second = experiment.variants.values()
    write(log, store, job_ended(first, JobScript(context()).completed()), started(second, "exp-1.1.0.0", 2.0))
    assert list(store.unended_of("tcp://b:1")) == []

    (of_first, of_second) = store.unended_of("tcp://a:1")
    with log.transaction() as tx:
        store.resend(tx, of_second[2])

    assert of_first == (experiment, 0, [])
    assert of_second == (experiment, 1, rows[1:])
    assert store.unacknowledged("tcp://a:1", 10) == rows[1:]


def known(store: LearningStore) -> Experiment:
    """Return the example experiment."""
    found = store.find(EXPERIMENT)
    assert found is not None
    return found


def write(log: Log, store: LearningStore, *changed: Variant) -> None:
    """Write changed variants of the example experiment, and the experiment, as after a batch of events."""
    experiment = known(store)
    with log.transaction() as tx:
        for variant in changed:
            experiment.put(variant)
        store.write_variants(tx, variant_rows({(EXPERIMENT, variant.index): variant for variant in changed}))
        store.write_experiment(tx, experiment)


def test_the_phases_of_jobs_are_read_as_they_were_written(log: Log) -> None:
    """With the number of those that run."""
    store = filled(log)
    first, second = known(store).variants.values()
    first, second = queued(first, "exp-1.0.0.0", 2.0), started(second, "exp-1.1.0.0", 2.0)
    write(log, store, first, second)

    again = known(LearningStore(log))

    assert again.variants == {0: first, 1: second}
    assert [one.jobs for one in again.variants.values()] == [{"exp-1.0.0.0": "queued"}, {"exp-1.1.0.0": "running"}]
    assert again.totals.running == 1


def test_an_experiment_is_noted_as_ended_until_it_is_extended(log: Log) -> None:
    """Its runner has no work then, and nothing of it is sent again."""
    store = filled(log)
    rows = store.unassigned(["embedded/txt2img"], 10)
    with log.transaction() as tx:
        rows = store.assign(tx, rows, "tcp://a:1")
    experiment = known(store)
    seen = []
    for index in (0, 1):
        script = JobScript(context(index))
        write(log, store, job_ended(experiment.variants[index], script.completed()))
        seen.append(noted(log, store))
    write(log, store, extended(experiment.variants[1], "one more"))
    seen.append(noted(log, store))

    assert seen == [
        (0, {"tcp://a:1"}, [(0, []), (1, rows[1:])]),
        (1, set(), []),
        (0, {"tcp://a:1"}, [(0, []), (1, [])]),
    ]


def noted(log: Log, store: LearningStore) -> tuple[int, set[str], list[tuple[int, list[JobRow]]]]:
    """Return whether the example experiment is noted as ended, the runners with work, and what the first has left."""
    ((ended,),) = log.query("SELECT ended FROM experiments")
    left = [(index, rows) for _, index, rows in store.unended_of("tcp://a:1")]
    return ended, set(complete(store.departures.count_held(Pace(10)))), left


def test_urgent_jobs_come_first_and_equal_ones_in_the_order_of_submission(log: Log) -> None:
    """Of all kinds together; also among those that were assigned."""
    store = LearningStore(log)
    plans = {"low": ("txt2img", -5), "first": ("img2img", 0), "second": ("txt2img", 0), "high": ("txt2img", 9)}
    kinds = ["embedded/txt2img", "embedded/img2img"]
    with log.transaction() as tx:
        for name, (stage, priority) in plans.items():
            plan = replace(definition(), stage=stage, priority=priority)
            jobs = [(job_id(name, job), job) for job in plan_jobs(1, 2)]
            experiment = Experiment(name, plan, created_at=1.0)
            store.insert(tx, experiment)
            store.add_jobs(tx, experiment, jobs)
    turn = ["high", "high", "first", "first", "second", "second", "low", "low"]

    rows = store.unassigned(kinds, 10)
    assert [row.experiment_id for row in rows] == turn
    assert [row.experiment_id for row in store.unassigned(kinds, 3)] == turn[:3]
    with log.transaction() as tx:
        rows = store.assign(tx, rows, "tcp://a:1")

    assert store.unacknowledged("tcp://a:1", 10) == rows
    assert store.unacknowledged("tcp://a:1", 1, but=["embedded/txt2img"]) == rows[2:3]


@pytest.mark.parametrize(
    "name", ["select_unassigned", "select_unacknowledged", "select_cancelled_unsent", "select_cancel"]
)
def test_what_is_looked_up_again_and_again_is_found_by_an_index(log: Log, name: str) -> None:
    """Nothing is sorted, and no table is read as a whole; without a cancel there is nothing to look at."""
    LearningStore(log)
    params = {"runner": "tcp://a:1"} if name == "select_cancel" else ("a", "[]", 1)[-SQL[name].count("?") :]

    plan = [row[3] for row in log.query(f"EXPLAIN QUERY PLAN {SQL[name]}", params)]

    assert not [step for step in plan if "TEMP" in step or "SCAN jobs" in step or "SCAN cancels" in step], plan
    assert ("cancels_to_do (runner=?)" in plan[0]) == ("cancel" in name), plan


def test_jobs_that_are_withdrawn_go_to_no_runner(log: Log) -> None:
    """The others stay."""
    store = filled(log)
    rows = store.unassigned(["embedded/txt2img"], 10)

    with log.transaction() as tx:
        store.withdraw(tx, rows[:1])

    assert store.unassigned(["embedded/txt2img"], 10) == rows[1:]


def test_a_cancel_waits_until_all_jobs_are_at_the_runner(log: Log) -> None:
    """A job that is still on its way would otherwise run after its cancel."""
    store = filled(log)
    rows = store.unassigned(["embedded/txt2img"], 10)
    with log.transaction() as tx:
        rows = store.assign(tx, rows, "tcp://a:1")
        store.write_cancel(tx, EXPERIMENT, "tcp://a:1", finish_running=False)
        store.write_cancel(tx, EXPERIMENT, "tcp://a:1", finish_running=True)
        store.acknowledge(tx, rows[:1])
    assert store.next_cancel("tcp://a:1") is None

    with log.transaction() as tx:
        store.acknowledge(tx, rows[1:])
    assert store.next_cancel("tcp://a:1") == (EXPERIMENT, False)

    with log.transaction() as tx:
        store.finish_cancel(tx, EXPERIMENT, "tcp://a:1", finish_running=False)
    assert store.next_cancel("tcp://a:1") is None

    with log.transaction() as tx:
        store.repeat_cancels(tx, "tcp://b:1")
    assert store.next_cancel("tcp://a:1") is None

    with log.transaction() as tx:
        store.repeat_cancels(tx, "tcp://a:1")
    assert store.next_cancel("tcp://a:1") == (EXPERIMENT, False)


def test_what_runs_may_end_unless_somebody_wanted_it_stopped(log: Log) -> None:
    """The stricter of two wishes counts, whichever came first."""
    store = LearningStore(log)
    with log.transaction() as tx:
        store.write_cancel(tx, EXPERIMENT, "tcp://a:1", finish_running=True)
    assert store.next_cancel("tcp://a:1") == (EXPERIMENT, True)

    with log.transaction() as tx:
        store.write_cancel(tx, EXPERIMENT, "tcp://a:1", finish_running=False)
        store.finish_cancel(tx, EXPERIMENT, "tcp://a:1", finish_running=True)
    assert store.next_cancel("tcp://a:1") == (EXPERIMENT, False), "the runner has not heard of the stricter one"


def test_jobs_of_kinds_that_a_runner_cannot_take_now_keep_no_others_waiting(log: Log) -> None:
    """They are left out, in the order of the rest."""
    store = filled(log)
    rows = store.unassigned(["embedded/txt2img"], 10)
    with log.transaction() as tx:
        rows = store.assign(tx, rows, "tcp://a:1")

    assert store.unacknowledged("tcp://a:1", 10, but=["webui/txt2img"]) == rows
    assert store.unacknowledged("tcp://a:1", 10, but=["embedded/txt2img"]) == []


def test_positions_are_kept_for_each_runner_and_prefix(log: Log) -> None:
    """The newest one counts."""
    store = LearningStore(log)
    for offset in (3, 5):
        with log.transaction() as tx:
            store.write_positions(tx, {("tcp://a:1", "job."): Position(7, offset)})
    with log.transaction() as tx:
        store.write_positions(tx, {("tcp://b:1", "job."): Position(8, 1)})

    assert LearningStore(log).positions() == {("tcp://a:1", "job."): (7, 5), ("tcp://b:1", "job."): (8, 1)}


def test_what_runners_offer_is_remembered(log: Log) -> None:
    """For the time when they are away."""
    offered = {"embedded": {"txt2img": StageSpec(variables={"steps": VariableSpec(kind="int", minimum=1)})}}
    store = LearningStore(log)
    with log.transaction() as tx:
        store.write_runner(tx, "tcp://a:1", {})
        store.write_runner(tx, "tcp://a:1", offered)

    assert LearningStore(log).runners() == {"tcp://a:1": offered}
