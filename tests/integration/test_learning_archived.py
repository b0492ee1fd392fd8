"""Archiving experiments: complete, but in no list unless it is asked for."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bus.contracts.experiments import ExperimentListReply, ExperimentParams, ExperimentView
from bus.contracts.messages import ExperimentStatus
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, well
from tests.support.helpers import wait_until
from tests.support.learning_services import Services, address_of, create, show, wait_for

OTHER = "exp-10"
Learning = ServiceThread[LearningService]


def ask(learning: Learning, method: str, experiment_id: str = EXPERIMENT) -> ExperimentView:
    """Archive an experiment, or take it out."""
    return request(
        address_of(learning), f"experiment.{method}", ExperimentParams(experiment_id=experiment_id), ExperimentView
    )


def listed(learning: Learning, **params: object) -> list[str]:
    """Return the experiments that a list has."""
    reply = request(address_of(learning), "experiment.list", params, ExperimentListReply)
    return [one.experiment_id for one in reply.experiments]


def in_memory(learning: Learning) -> list[str]:
    """Return the experiments that the service has in memory."""
    return learning.call(lambda: sorted(learning.service._store._recent._kept))


def archived(services: Services) -> tuple[str, Learning]:
    """Return a runner and a service with an archived experiment and another one."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    create(learning, experiment_id=OTHER)
    wait_until(lambda: len(runner.jobs) == 4, what="the jobs")
    for name in runner.jobs:
        runner.finish(name, well(hashlib.sha256(name.encode()).hexdigest()))
    wait_for(learning, "completed", OTHER)
    wait_for(learning, "completed")
    assert ask(learning, "archive").archived
    return runner.address, learning


def test_lists_leave_out_what_is_archived_if_they_are_told_to(services: Services) -> None:
    """A client that does not know of archives gets all, as before: `job gc` must not take one for unknown."""
    runner, learning = archived(services)

    assert in_memory(learning) == [OTHER]
    for _ in range(2):
        assert listed(learning, archived=False) == [OTHER]
        assert listed(learning, archived=True) == [EXPERIMENT]
        assert listed(learning) == [OTHER, EXPERIMENT]
        view = show(learning)
        assert (view.archived, view.totals.completed) == (True, 2)
        learning.stop()
        learning = services.learning(runner)


def test_the_status_says_that_it_is_archived(services: Services) -> None:
    """Whoever follows experiments sees it go and come back; a repeated request changes nothing."""
    _, learning = archived(services)
    ask(learning, "archive")

    assert not ask(learning, "unarchive").archived

    ask(learning, "unarchive")
    told = [one for one in learning.logged(f"experiment.status.{EXPERIMENT}.") if isinstance(one, ExperimentStatus)]
    assert [one.archived for one in told][-3:] == [False, True, False]
    assert [one.revision for one in told] == sorted({one.revision for one in told})
    assert listed(learning, archived=False) == [OTHER, EXPERIMENT]


def test_an_archived_experiment_is_taken_out_before_it_is_changed(services: Services) -> None:
    """And one that has not ended is not put away."""
    _, learning = archived(services)
    create(learning, experiment_id="exp-2")
    for method, name, says in (
        ("experiment.extend", EXPERIMENT, f"`variantbus experiment unarchive {EXPERIMENT}`"),
        ("experiment.archive", "exp-2", "`variantbus experiment cancel exp-2`"),
    ):
        params = {"experiment_id": name} | ({"jobs_per_variant": 2} if method.endswith("extend") else {})
        with pytest.raises(ControlError) as caught:
            request(address_of(learning), method, params, dict)
        assert caught.value.code == "conflict"
        assert says in caught.value.message
    request(address_of(learning), "experiment.delete", {"experiment_id": EXPERIMENT}, dict)
    assert listed(learning, archived=True) == []


def test_a_damaged_mark_is_found_again_in_the_published_status(services: Services, tmp_path: Path) -> None:
    """The experiment stays where it was put."""
    runner, learning = archived(services)
    learning.stop()
    with closing(sqlite3.connect(tmp_path / "learning.db", isolation_level=None)) as db:
        db.execute("UPDATE archived SET experiment_id = 'exp-2'")

    learning = services.learning(runner)

    assert listed(learning, archived=True) == [EXPERIMENT]
    assert show(learning).archived
