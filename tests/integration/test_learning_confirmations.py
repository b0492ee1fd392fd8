"""What a runner confirmed is tied to its log: a runner with another one is sent its jobs and cancels again."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bus.contracts.experiments import ExperimentCancelParams, ExperimentView
from bus.transport.client import request
from tests.support.factories import EXPERIMENT, JobScript, context
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    ALL,
    ScriptedRunner,
    Services,
    address_of,
    create,
    query,
    show,
    wait_confirmed,
    wait_for,
)

pytestmark = pytest.mark.fault(item="F60")


def confirmed(services: Services) -> ScriptedRunner:
    """Return a runner that has confirmed all jobs and told nothing more; its learning service is stopped."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_confirmed(learning)
    assert query(learning, "SELECT * FROM positions") == []
    learning.stop()
    return runner


@pytest.mark.parametrize("restarts", [False, True])
def test_a_runner_that_lost_its_folder_before_its_first_event(services: Services, *, restarts: bool) -> None:
    """Nothing was read from it yet, so nothing but the log that has confirmed the jobs tells that they are gone."""
    runner = confirmed(services)
    learning = None if restarts else services.learning(runner.address)
    runner.stop()

    new = services.scripted(runner)
    learning = learning or services.learning(new.address)
    wait_until(lambda: sorted(new.jobs) == ALL, what="the jobs")
    for name in ALL:
        new.finish(name)

    assert wait_for(learning, "completed").totals.completed == 2


def test_a_cancel_is_sent_again_to_a_runner_with_another_log(services: Services) -> None:
    """It may have the jobs all the same; here they end as cancelled."""
    runner = confirmed(services)
    learning = services.learning(runner.address)
    request(address_of(learning), "experiment.cancel", ExperimentCancelParams(experiment_id=EXPERIMENT), ExperimentView)
    wait_until(lambda: query(learning, "SELECT min(done) FROM cancels") == [(1,)], what="the cancel")
    runner.stop()

    new = services.scripted(runner)
    wait_until(lambda: EXPERIMENT in new.cancels, what="the cancel")

    assert wait_for(learning, "cancelled").totals.cancelled == 2


def test_a_runner_with_the_same_log_is_sent_nothing_again(services: Services) -> None:
    """It was only started anew: what it has confirmed, it has."""
    runner = confirmed(services)
    runner.stop()

    again = services.scripted(runner, again=True)
    learning = services.learning(again.address)
    again.publish(JobScript(context()).started())
    wait_until(lambda: show(learning).totals.running == 1, what="the start of a job")

    assert again.requests == 0


def test_a_runner_that_began_a_new_epoch_of_its_log_is_sent_the_jobs_again(services: Services) -> None:
    """As after damage that has cost rows: all offsets are there, but not all jobs."""
    runner = confirmed(services)
    path = runner.service.log.path
    runner.stop()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # as a power cut leaves it
        db.execute("UPDATE closing SET clean = 0, boot_id = 'another'")

    again = services.scripted(runner, again=True)
    services.learning(again.address)

    wait_until(lambda: sorted(again.jobs) == ALL, what="the jobs")


def test_a_learning_service_from_an_older_backup_learns_what_happened_since(services: Services, tmp_path: Path) -> None:
    """What its runner has ended meanwhile is read or asked for; what it never sent is sent."""
    runner = confirmed(services)
    path = tmp_path / "learning.db"
    shutil.copy(path, tmp_path / "backup.db")
    learning = services.learning(runner.address)
    runner.finish(ALL[0])
    wait_until(lambda: show(learning).totals.completed == 1, what="the end of the first job")
    learning.stop()
    runner.publish(*(JobScript(None, f"alone-{number}").queued() for number in range(5)))
    runner.forget()
    shutil.copy(tmp_path / "backup.db", path)

    learning = services.learning(runner.address)
    wait_until(lambda: show(learning).totals.completed == 1, what="the end of the first job, once more")
    runner.finish(ALL[1])

    assert wait_for(learning, "completed").totals.completed == 2
