"""Plans are laid out in the background: each planned job gets the row that is sent to its runner, whatever happens."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from msgspec.structs import replace

from bus.contracts.definition import Variable
from bus.contracts.experiments import CreateParams, ExperimentCancelParams, ExperimentView, ExtendParams
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.frames import encode
from bus.transport.client import RequestClient, request
from bus.transport.loop import Loop
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments.model import Experiment
from learning_service.planning.layout import Layout
from learning_service.service import LearningService
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, ServiceThread, planned_experiment
from tests.support.helpers import REPLY_SECONDS, wait_until
from tests.support.learning_services import SMALL, ScriptedRunner, Services, address_of, create, query, show

PLAN = replace(SMALL, variable=Variable(name="cfg_scale", values=[1.0, 2.0, 3.0]), jobs_per_variant=4)
BY_SEED = [f"exp-1.{index}.{repeat}.0" for repeat in range(4) for index in range(3)]
NAMED = "SELECT job_id FROM jobs ORDER BY number"


class Held:
    """Lets so many rows be written, and no more until the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hold from the fifth row on."""
        self.left = 4
        add_jobs = LearningStore.add_jobs

        def add_some(store: LearningStore, *job: Any) -> None:
            if self.left == 0:
                raise StorageError("database or disk is full")
            self.left -= 1
            add_jobs(store, *job)

        monkeypatch.setattr("learning_service.planning.layout.AT_ONCE", 1)
        monkeypatch.setattr(LearningStore, "add_jobs", add_some)

    def release(self) -> None:
        """Let all be written."""
        self.left = 1000


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Yield a layout that stops in the middle."""
    held = Held(monkeypatch)
    yield held
    held.release()


def rows(learning: ServiceThread[LearningService]) -> list[str]:
    """Return the jobs that have rows, in the order of their turn."""
    return [name for (name,) in query(learning, NAMED)]


def begun(services: Services) -> tuple[ScriptedRunner, ServiceThread[LearningService]]:
    """Create the example experiment, of which only four jobs get their rows."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    assert create(learning, PLAN).totals.jobs == len(BY_SEED)
    wait_until(lambda: rows(learning) == BY_SEED[:4], what="the first rows")
    return runner, learning


@pytest.mark.parametrize(
    ("by_value", "order"),
    [(False, ["0.0", "1.0", "0.1", "1.1", "0.2", "1.2"]), (True, ["0.0", "0.1", "0.2", "1.0", "1.1", "1.2"])],
)
def test_jobs_come_seed_by_seed_or_value_by_value(
    open_log: Callable[[Path], Log], tmp_path: Path, order: list[str], *, by_value: bool
) -> None:
    """So that each value shows something early; or, where another value takes long, so that it changes rarely."""
    log, loop, experiment = open_log(tmp_path / "learning.db"), Loop(), planned_experiment(jobs=3)
    store, dispatcher = LearningStore(log), MagicMock(Dispatcher)
    with log.transaction() as tx:
        store.insert(tx, experiment)
        Layout(log, loop, store, dispatcher).begin(tx, EXPERIMENT, by_value=by_value)

    while not dispatcher.pump.called:
        assert loop.step(0)
    loop.close()

    assert [name for (name,) in log.query(NAMED)] == [f"{EXPERIMENT}.{job}.0" for job in order]
    assert store.layouts.unfinished() == {}


@pytest.mark.fault(item="F111")
def test_a_layout_that_a_stop_cuts_off_goes_on_at_the_next_start(services: Services, held: Held) -> None:
    """The plan was durable when the request was answered; no job is planned twice, and none is left out."""
    runner, learning = begun(services)
    wait_until(lambda: set(BY_SEED[:4]) <= set(runner.jobs), what="the first jobs")
    learning.stop()
    held.release()

    again = services.learning(runner.address)

    wait_until(lambda: set(runner.jobs) == set(BY_SEED), what="all jobs")
    assert rows(again) == BY_SEED
    assert query(again, "SELECT * FROM layouts") == []


@pytest.mark.fault(item="F111")
def test_a_full_disk_delays_a_layout(services: Services, held: Held) -> None:
    """The first jobs run meanwhile."""
    runner, learning = begun(services)
    wait_until(lambda: set(runner.jobs) == set(BY_SEED[:4]), what="the first jobs")
    held.release()

    wait_until(lambda: set(runner.jobs) == set(BY_SEED), what="all jobs")
    assert show(learning).totals.jobs == len(BY_SEED)


@pytest.mark.fault(item="F111")
def test_a_cancel_in_the_middle_cancels_what_has_no_row_yet(services: Services, held: Held) -> None:
    """It is done when all jobs are, and none of them reaches a runner afterwards."""
    runner, learning = begun(services)
    wait_until(lambda: set(runner.jobs) == set(BY_SEED[:4]), what="the first jobs")
    cancel = ExperimentCancelParams(experiment_id=EXPERIMENT)
    request(address_of(learning), "experiment.cancel", cancel, ExperimentView)
    wait_until(lambda: EXPERIMENT in runner.cancels, what="the cancel at the runner")
    wait_until(lambda: query(learning, "SELECT runner FROM cancels WHERE done = 0") == [("",)], what="its answer")
    held.release()

    wait_until(lambda: show(learning).totals.cancelled == len(BY_SEED) - 4, what="the cancelled jobs")
    wait_until(lambda: not query(learning, "SELECT * FROM cancels WHERE done = 0"), what="the end of the cancel")
    assert set(runner.jobs) == set(BY_SEED[:4])


def test_more_jobs_that_are_planned_in_the_middle_get_their_rows_too(services: Services, held: Held) -> None:
    """Each once."""
    runner, learning = begun(services)
    params = ExtendParams(experiment_id=EXPERIMENT, jobs_per_variant=5)
    assert request(address_of(learning), "experiment.extend", params, ExperimentView).totals.jobs == 15
    held.release()

    wait_until(lambda: len(runner.jobs) == 15, what="all jobs")
    assert sorted(rows(learning)) == sorted([*BY_SEED, *(f"exp-1.{index}.4.0" for index in range(3))])


@pytest.mark.fault(item="F111")
def test_a_layout_has_not_ended_before_that_of_jobs_that_were_planned_meanwhile(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a stop would leave jobs without rows for ever, and a cancel would be done too early."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    more = [b"1", b"experiment.extend", encode(ExtendParams(experiment_id=EXPERIMENT, jobs_per_variant=5))]
    refused: list[str] = []
    add_jobs = LearningStore.add_jobs

    def extend() -> None:
        learning.service.publisher.methods.answer(more)

    def add_some(store: LearningStore, tx: Transaction, experiment: Experiment, jobs: list[Any]) -> None:
        ((name, job),) = jobs
        if job.repeat_index == 4:  # of those that are planned in the middle
            refused.append(name)
            raise StorageError("database or disk is full")
        add_jobs(store, tx, experiment, jobs)
        if name == BY_SEED[3] and len(experiment.variants[0].jobs) == 4:
            tx.after_commit(extend)

    with monkeypatch.context() as patched:
        patched.setattr("learning_service.planning.layout.AT_ONCE", 1)
        patched.setattr(LearningStore, "add_jobs", add_some)
        create(learning, PLAN)
        wait_until(lambda: len(refused) > 1, what="the second layout to be tried again")
        assert rows(learning) == BY_SEED
        learning.stop()

    services.learning(runner.address)

    wait_until(lambda: len(runner.jobs) == 15, what="all jobs")


def test_a_request_that_is_repeated_while_it_is_worked_on_creates_one_experiment(
    services: Services, loop: Loop
) -> None:
    """As when a client gave up waiting; all get the same answer."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, PLAN, "exp-0")
    client = RequestClient(loop, address_of(learning))
    params = CreateParams(experiment_id=EXPERIMENT, definition=PLAN)
    asked = [client.answer("experiment.create", params, ExperimentView, REPLY_SECONDS) for _ in range(3)]

    wait_until(lambda: bool(loop.step(0.01)) and all(one.done() for one in asked), what="the answers")
    client.close()

    assert len({one.result().created_at for one in asked}) == 1
    assert query(learning, "SELECT count(*) FROM experiments") == [(2,)]


def test_a_lost_row_of_a_layout_is_made_up_for(services: Services, held: Held) -> None:
    """Where it cannot be known what was being laid out, all is that has not ended."""
    runner, learning = begun(services)
    wait_until(lambda: set(runner.jobs) == set(BY_SEED[:4]), what="the first jobs")
    learning.stop()
    with closing(sqlite3.connect(learning.log.path, isolation_level=None)) as db:
        db.execute("UPDATE layouts SET crc = crc + 1")
    held.release()

    services.learning(runner.address)

    wait_until(lambda: set(runner.jobs) == set(BY_SEED), what="all jobs")
