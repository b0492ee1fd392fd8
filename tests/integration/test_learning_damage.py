"""Damaged rows of the learning service cost nothing that is known elsewhere, and what is lost is named."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from bus.contracts.adoption import AdoptParams
from bus.contracts.definition import Block
from bus.contracts.experiments import (
    ExperimentCancelParams,
    ExperimentListParams,
    ExperimentListReply,
    ExperimentView,
)
from bus.contracts.feedback import ComparedReply, CompareParams, RatedReply, RateParams, UndoComparisonParams
from bus.contracts.topics import EXPERIMENT_STATUS, STATE_TOPICS
from bus.eventlog.errors import DiskError
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.transport.client import request
from learning_service.experiments.model import SearchState, experiment_status
from learning_service.service import LearningService
from learning_service.storage.repair import Repair
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, ServiceThread, badly, definition, planned_experiment, well
from tests.support.helpers import wait_until
from tests.support.learning_services import (
    SMALL,
    ScriptedRunner,
    Services,
    address_of,
    create,
    query,
    show,
    wait_confirmed,
    wait_for,
)
from variantbus.client.records import export_of

pytestmark = pytest.mark.fault(item="F62")
LAST = "exp-1.1.1.0"
AA, BB = "aa" * 32, "bb" * 32  # content hashes
# what flipped bits may hit: a key, or what a row says
FLIPS = [
    {"experiments": "definition"},
    {"experiments": "experiment_id"},
    {"variants": "state"},
    {"variant_news": "state"},
    {"variant_news": "variant_index"},
    {"variants": "state", "variant_news": "state"},
    {"variants": "variant_index", "results": "finished_at"},
    {"jobs": "job_id", "results": "images"},
    {"jobs": "kind", "comparisons": "left_sha256"},
    {"results": "state", "ratings": "stars"},
    {"results": "job_id"},
    {"results": "repeat_index"},
    {"ratings": "sha256", "comparisons": "outcome"},
    {"positions": "offset", "runners": "pipelines", "confirmations": "epoch", "jobs": "acknowledged"},
]
CHOSEN = {
    "jobs": "job_id = 'exp-1.1.1.0'",
    "ratings": "number = (SELECT max(number) FROM ratings)",
}  # of these, one row
TEXTS = {"state": "failed", "outcome": "tie", "kind": "other/other"}
NUMBERS = {"stars": 1, "acknowledged": 0, "offset": 10**6}


def flip(path: Path, table: str, column: str, where: str = "TRUE") -> int:
    """Change a value of every row that a condition names, and leave its checksum; return how many there were."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        rows = db.execute(f'SELECT *, "{column}" AS flipped FROM {table} WHERE {where}')  # noqa: S608 - of this test
        names = [name for name, *_ in rows.description]
        key = [name for name, pk in db.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)) if pk]
        found = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
        for row in found:
            condition = " AND ".join(f'"{name}" = ?' for name in key)
            statement = f'UPDATE {table} SET "{column}" = ? WHERE {condition}'  # noqa: S608 - the same
            db.execute(statement, (other(column, row["flipped"]), *(row[name] for name in key)))
        return len(found)


def other(column: str, value: Any) -> Any:
    """Return what a value has become."""
    if column in NUMBERS or isinstance(value, int | float):
        return NUMBERS.get(column, value + 64)
    if value is None:
        return b""
    if isinstance(value, str):
        return TEXTS.get(column, chr(ord(value[0]) ^ 1) + value[1:])
    return bytes([value[0] ^ 0x40]) + value[1:]


def judged(services: Services) -> tuple[ScriptedRunner, ServiceThread[LearningService]]:
    """Return an experiment of which three jobs have ended and one has not, with ratings and comparisons."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=2))
    wait_confirmed(learning)
    runner.finish("exp-1.0.0.0", well(AA, match=0.5))
    runner.finish("exp-1.1.0.0", well(BB, match=0.25))
    runner.finish("exp-1.0.1.0", badly("no memory"))
    wait_until(lambda: show(learning).totals.failed == 1, what="three ends")
    wait_until(lambda: query(learning, "SELECT * FROM confirmations"), what="the log of the confirmation")
    for image, stars in (("aaaa", 5), ("aaaa", None), ("bbbb", 4)):
        rate = RateParams(experiment_id=EXPERIMENT, image=image, stars=stars)
        request(address_of(learning), "image.rate", rate, RatedReply)
    outcomes: list[Literal["tie", "left", "right"]] = ["tie", "left", "right"]
    for number, outcome in enumerate(outcomes):
        compare = CompareParams(experiment_id=EXPERIMENT, left=AA, right=BB, outcome=outcome, compared_at=number)
        request(address_of(learning), "comparison.add", compare, ComparedReply)
    undo = UndoComparisonParams(experiment_id=EXPERIMENT, compared_at=0.0)  # not the newest one
    request(address_of(learning), "comparison.undo", undo, ComparedReply)
    return runner, learning


def state_of(learning: ServiceThread[LearningService]) -> tuple[object, ...]:
    """Return all that the service says of its experiment, but for what counts changes and estimates."""
    view = show(learning)
    exported = export_of(address_of(learning), EXPERIMENT, None)
    variants = [replace(one, revision=0, updated_at=0.0) for one in view.variants]
    records = exported.records
    comparisons = sorted((one.left, one.right, one.outcome) for one in records.comparisons)
    ratings = sorted((one.sha256, one.stars) for one in records.ratings)
    return view.status, view.definition, view.totals, variants, records.results, records.pictures, ratings, comparisons


@pytest.mark.parametrize("flips", FLIPS, ids=lambda flips: "-".join(f"{table}.{flips[table]}" for table in flips))
def test_a_damaged_row_is_made_up_for(
    services: Services, tmp_path: Path, caplog: pytest.LogCaptureFixture, flips: dict[str, str]
) -> None:
    """The service starts, says so, and comes to the same as without the damage."""
    runner, learning = judged(services)
    before = state_of(learning)
    learning.stop()
    assert sum(flip(tmp_path / "learning.db", *one, CHOSEN.get(one[0], "TRUE")) for one in flips.items())

    learning = services.learning(runner.address)

    wait_until(lambda: state_of(learning) == before, what="the state before the damage")
    assert "fails its checksum" in caplog.text
    runner.finish(LAST, well("cccc"))
    ended = wait_for(learning, "partial")
    assert (ended.totals.completed, ended.totals.failed, ended.damage) == (3, 1, ())
    wait_until(lambda: learning.call(learning.log.damaged_rows) == [], what="the repair of all rows")
    said = [record for record in caplog.records if "is not restored" in record.getMessage()]
    assert all(one.levelname == "WARNING" and "not restored yet" in one.getMessage() for one in said), "they come back"
    assert " 0 damaged" not in f" {' '.join(caplog.messages)}"


def test_jobs_that_no_runner_had_stay_cancelled_where_an_end_is_made_up_for(services: Services, tmp_path: Path) -> None:
    """They have no result, as those that a runner is asked for: only the row of their variant tells them apart."""
    runner = services.scripted()
    runner.rooms = {"embedded": 2}
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=3))
    wait_until(lambda: query(learning, "SELECT sum(acknowledged) FROM jobs") == [(2,)], what="the confirmation")
    request(address_of(learning), "experiment.cancel", ExperimentCancelParams(experiment_id=EXPERIMENT), ExperimentView)
    wait_until(lambda: show(learning).totals.cancelled == 4, what="the end of those that no runner had")
    runner.finish("exp-1.0.0.0", well(AA))
    wait_until(lambda: show(learning).totals.completed == 1, what="the end")
    before = state_of(learning)
    learning.stop()
    assert flip(tmp_path / "learning.db", "variant_news", "state") == 1

    learning = services.learning(runner.address)

    wait_until(lambda: state_of(learning) == before, what="the state before the damage")
    runner.finish("exp-1.1.0.0", well(BB))
    assert wait_for(learning, "partial").totals.cancelled == 4


def test_a_variant_of_which_nothing_was_published_has_its_jobs_under_each_prompt(
    services: Services, tmp_path: Path
) -> None:
    """The definition says how many there were; those that stand nowhere were cancelled before a runner had them."""
    runner = services.scripted()
    runner.rooms = {"embedded": 2}
    learning = services.learning(runner.address)
    blocks = tuple(Block(config={"prompt": prompt}) for prompt in ("a dog", "a cat"))
    create(learning, replace(SMALL, config={}, blocks=blocks))
    wait_until(lambda: query(learning, "SELECT sum(acknowledged) FROM jobs") == [(2,)], what="the confirmation")
    request(address_of(learning), "experiment.cancel", ExperimentCancelParams(experiment_id=EXPERIMENT), ExperimentView)
    wait_until(lambda: show(learning).totals.cancelled == 2, what="the end of those that no runner had")
    learning.stop()
    flip(tmp_path / "learning.db", "variants", "state", "variant_index = 0")
    with closing(sqlite3.connect(tmp_path / "learning.db", isolation_level=None)) as db:
        db.execute("UPDATE log SET body = x'00' WHERE topic = 'variant.status.exp-1.0.'")

    learning = services.learning(runner.address)

    assert (show(learning).totals.jobs, show(learning).totals.cancelled) == (4, 2)


def test_a_variant_that_is_made_again_has_its_place_among_the_others(services: Services, tmp_path: Path) -> None:
    """So that the columns of a sheet and the rows of a table are in the order of the plan."""
    runner, learning = judged(services)
    before = [one.variant_index for one in show(learning).variants]
    learning.stop()
    assert flip(tmp_path / "learning.db", "variants", "state", "variant_index = 0") == 1

    learning = services.learning(runner.address)

    assert [one.variant_index for one in show(learning).variants] == before == [0, 1]


def test_an_adopted_experiment_stays_one(services: Services, tmp_path: Path) -> None:
    """So that more pictures can be adopted into it, though it has ended from the beginning."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    adopted = replace(definition(), paired=False)
    for values in ([1.0, 2.0], [1.0, 2.0, 3.0]):
        params = AdoptParams(experiment_id=EXPERIMENT, definition=adopted, values=[*values])
        view = request(address_of(learning), "experiment.adopt", params, ExperimentView)
        assert (view.status, len(view.variants)) == ("completed", len(values))
        learning.stop()
        assert flip(tmp_path / "learning.db", "experiments", "definition") == 1
        learning = services.learning(runner.address)


def test_damage_of_one_experiment_does_not_hide_another(services: Services, tmp_path: Path) -> None:
    """Also where nothing is left to restore it from: the list has the others."""
    runner, learning = judged(services)
    create(learning, experiment_id="exp-2")
    learning.stop()
    path = tmp_path / "learning.db"
    flip(path, "experiments", "definition", f"experiment_id = '{EXPERIMENT}'")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE log SET body = x'00' WHERE topic = 'experiment.status.exp-1.'")

    learning = services.learning(runner.address)

    reply = request(address_of(learning), "experiment.list", ExperimentListParams(), ExperimentListReply)
    assert [one.experiment_id for one in reply.experiments] == ["exp-2"]
    assert [row.table for row in learning.call(learning.log.damaged_rows)] == ["experiments"]


def test_what_cannot_be_restored_is_named(services: Services, tmp_path: Path) -> None:
    """A comparison that the log no longer has is missing, and the experiment says so, also after another start."""
    runner, learning = judged(services)
    learning.stop()
    path = tmp_path / "learning.db"
    flip(path, "comparisons", "outcome", "outcome = 'left'")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM log WHERE topic LIKE 'images.compared.%'")

    for _ in range(2):
        learning = services.learning(runner.address)
        assert show(learning).damage == ("a row of comparisons was damaged and is not restored",)
        learning.stop()


def test_rows_that_are_intact_but_make_no_sense_are_made_up_for_too(services: Services, tmp_path: Path) -> None:
    """Another program has written them: reading them ends the process in one sentence; the next start restores them."""
    runner, learning = judged(services)
    before = state_of(learning)
    learning.stop()
    log = Log(tmp_path / "learning.db")
    store = LearningStore(log)
    log.query("UPDATE experiments SET definition = x'c1'")
    crc = "row_crc('variants', experiment_id, variant_index, x'c1')"
    log.query(f"UPDATE variants SET state = x'c1', crc = {crc} WHERE variant_index = 1")  # noqa: S608 - no input
    with pytest.raises(DiskError, match="the experiment exp-1 is damaged"):
        store.find(EXPERIMENT)
    log.close()

    learning = services.learning(runner.address)

    assert state_of(learning) == before


def test_a_cancel_at_a_runner_is_restored_from_its_other_rows(services: Services, tmp_path: Path) -> None:
    """What a person wished goes on: the runner is told."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_confirmed(learning)
    runner.stop()
    params = ExperimentCancelParams(experiment_id=EXPERIMENT)
    request(address_of(learning), "experiment.cancel", params, ExperimentView)
    learning.stop()
    assert flip(tmp_path / "learning.db", "cancels", "done", "runner <> ''")

    again = services.scripted(runner, again=True)
    services.learning(again.address)

    wait_until(lambda: EXPERIMENT in again.cancels, what="the cancel")


def test_how_far_a_search_was_is_restored_from_its_status(tmp_path: Path) -> None:
    """It goes on where it was, and nothing is published for that."""
    path, experiment = tmp_path / "learning.db", planned_experiment()
    experiment.search = SearchState("searching", "it waits for ratings")
    log = Log(path, keep_newest=STATE_TOPICS)
    store = LearningStore(log)
    with log.transaction() as tx:
        store.insert(tx, experiment)
        tx.append(topics.build(EXPERIMENT_STATUS, EXPERIMENT), experiment_status(experiment))
    log.close()
    assert flip(path, "adaptive", "reason")

    log = Log(path, keep_newest=STATE_TOPICS)
    store = LearningStore(log)
    Repair(log, store, [])
    found = store.find(EXPERIMENT)

    assert found is not None
    assert (found.search, log.damaged_rows(), log.head) == (experiment.search, [], 1)
    log.close()
