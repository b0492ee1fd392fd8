"""Deleting experiments: nothing of them stays or comes back, whatever happens meanwhile."""

import hashlib
import io
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from bus.contracts.experiments import DeletedReply, ExperimentListReply
from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.messages import ExperimentDeleted, JobResult
from bus.contracts.pipeline_specs import StageSpec
from bus.protocol.control import ControlError, LatestReply
from bus.transport.client import request
from bus.transport.steps import Steps
from learning_service.planning import deletion
from learning_service.planning.deletion import Deletion
from learning_service.service import LearningService
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, badly, context, definition, well
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.learning_services import (
    SMALL,
    STAGES,
    ScriptedRunner,
    Services,
    address_of,
    create,
    jobs_in,
    outcomes,
    query,
    rejections,
    show,
    wait_for,
)
from variantbus.cli.archive import send
from variantbus.client.records import export_of

OTHER = "exp-10"  # begins as the other one does
Learning = ServiceThread[LearningService]


class Painter(Pipeline):
    """Each job makes another picture, but for those of one seed."""

    def __init__(self, outputs: Outputs) -> None:
        """Write into an output folder."""
        self._outputs = outputs

    def stages(self) -> dict[str, StageSpec]:
        """Offer what the scripted runner does."""
        return STAGES

    def identity(self, stage: str, config: object) -> str:  # noqa: ARG002 - as of every pipeline
        """Let results be reused."""
        return "painter"

    def run(self, job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Save a picture whose colour follows from the settings."""
        buffer, digest = io.BytesIO(), hashlib.sha256(msgspec.msgpack.encode(job.config)).digest()
        Image.new("RGB", (500, 400), (digest[0], digest[1], digest[2])).save(buffer, "PNG")
        image = self._outputs.save(
            job, buffer.getvalue(), suffix=".png", media_type="image/png", size=(500, 400), seed=1
        )
        return JobResult(success=True, images=(image,))


def delete(learning: Learning, experiment_id: str = EXPERIMENT) -> DeletedReply:
    """Delete an experiment."""
    return request(address_of(learning), "experiment.delete", {"experiment_id": experiment_id}, DeletedReply)


def refusal(learning: Learning, method: str, **params: object) -> tuple[str, str]:
    """Return code and message of the error that a request gets."""
    with pytest.raises(ControlError) as caught:
        request(address_of(learning), method, params, dict)
    return caught.value.code, caught.value.message


def rate(learning: Learning, image: str, experiment_id: str = EXPERIMENT) -> None:
    """Rate a picture."""
    params = RateParams(experiment_id=experiment_id, image=image, stars=4)
    request(address_of(learning), "image.rate", params, RatedReply)


def listed(learning: Learning) -> list[str]:
    """Return the experiments that a list has."""
    reply = request(address_of(learning), "experiment.list", {}, ExperimentListReply)
    return [one.experiment_id for one in reply.experiments]


def topics_of(learning: Learning, experiment_id: str) -> list[str]:
    """Return the topics of an experiment that `latest` tells."""
    reply = request(address_of(learning), "latest", {}, LatestReply)
    return [record.topic for record in reply.events if f".{experiment_id}." in record.topic]


def left_of(learning: Learning, experiment_id: str) -> dict[str, int]:
    """Count the rows that name an experiment, in each table; the log itself is history."""
    tables = [name for (name,) in query(learning, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {}
    for table in set(tables) - {"log", "deletions", "purges"}:
        names = {name for _, name, *_ in query(learning, f"PRAGMA table_info({table})")} & {"experiment_id", "topic"}
        for name in names:
            like = f"%.{experiment_id}.%" if name == "topic" else experiment_id
            statement = f"SELECT count(*) FROM {table} WHERE {name} LIKE '{like}'"  # noqa: S608 - names of our own
            ((count,),) = query(learning, statement)
            if count:
                found[table] = count
    return found


def _has_jobs(runner: ScriptedRunner, experiment_id: str) -> bool:
    return {f"{experiment_id}.0.0.0", f"{experiment_id}.1.0.0"} <= runner.jobs.keys()


def ended(services: Services, *experiments: str, **selection: Any) -> tuple[ScriptedRunner, Learning]:
    """Return services with experiments that have ended."""
    runner = services.scripted()
    learning = services.learning(runner.address, **selection)
    for name in experiments or (EXPERIMENT,):
        create(learning, experiment_id=name)
        wait_until(partial(_has_jobs, runner, name), what="the jobs")
        for index in (0, 1):
            runner.finish(f"{name}.{index}.0.0", well(hashlib.sha256(f"{name} {index}".encode()).hexdigest()))
        wait_for(learning, "completed", name)
    return runner, learning


@pytest.mark.fault(item="F100")
def test_nothing_of_a_deleted_experiment_is_left_here_and_at_its_runner(services: Services, tmp_path: Path) -> None:
    """Nor anything missing of another one, which has reused a result of it."""
    runner = services.runner(Painter(Outputs(tmp_path / "outputs")))
    learning = services.learning(str(runner.service.publisher.control))
    create(learning, definition((2.0, 4.0), config={"prompt": "a"}))
    first = wait_for(learning, "completed")
    create(learning, definition((4.0, 8.0), config={"prompt": "a"}), OTHER)
    second = wait_for(learning, "completed", OTHER)
    assert second.variants[0].reused == 1
    rate(learning, first.variants[0].images[0].sha256)
    rate(learning, second.variants[1].images[0].sha256, OTHER)
    wait_until(lambda: topics_of(learning, EXPERIMENT), what="what was published")

    delete(learning)

    assert (listed(learning), topics_of(learning, EXPERIMENT)) == ([OTHER], [])
    assert left_of(learning, EXPERIMENT) == {}
    assert refusal(learning, "experiment.show", experiment_id=EXPERIMENT)[0] == "not_found"
    names = [f"{OTHER}.0.0.0", f"{OTHER}.1.0.0"]
    wait_until(lambda: jobs_in(runner) == names, what="the removal of the jobs")
    rows = runner.call(lambda: runner.log.query("SELECT DISTINCT sha256, path FROM outputs"))
    assert {sha256 for sha256, _ in rows} == {one.images[0].sha256 for one in second.variants}
    pictures = {path.relative_to(tmp_path / "outputs").as_posix() for path in (tmp_path / "outputs").rglob("*.png")}
    assert pictures == {path for _, path in rows}
    reusable = runner.call(lambda: runner.log.query("SELECT job_id FROM reusable ORDER BY job_id"))
    assert [job_id for (job_id,) in reusable] == names
    again = show(learning, OTHER)
    assert [(one.rating and one.rating.count) for one in again.variants] == [None, 1]
    assert left_of(learning, OTHER)["results"] == 2


def test_deletion_is_published_behind_the_statuses(services: Services) -> None:
    """Under the same topic, so that no reader can see it before them."""
    _, learning = ended(services)

    at = delete(learning).deleted_at

    told = learning.logged(f"experiment.status.{EXPERIMENT}.")
    assert told[-1] == ExperimentDeleted(experiment_id=EXPERIMENT, experiment_name="CFG sweep", deleted_at=at)
    assert len(told) > 1
    assert delete(learning).deleted_at == at, "a repeated request says the same"
    assert len(learning.logged(f"experiment.status.{EXPERIMENT}.")) == len(told)


def test_what_cannot_be_deleted_is_refused_with_what_to_do(services: Services) -> None:
    """It is as it was."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)

    code, text = refusal(learning, "experiment.delete", experiment_id=EXPERIMENT)

    assert code == "conflict"
    assert f"`variantbus experiment cancel {EXPERIMENT}`" in text
    assert refusal(learning, "experiment.delete", experiment_id="no-such")[0] == "not_found"
    assert refusal(learning, "experiment.delete", experiment_id="")[0] == "invalid_request"
    assert refusal(learning, "experiment.delete", experiment_id=EXPERIMENT, force=True)[0] == "invalid_request"
    assert listed(learning) == [EXPERIMENT]


def dying(steps: int) -> Callable[[Deletion, str], Steps[bool]]:
    """Return the rest of a deletion that kills the service instead of its last step."""
    prune = Deletion._prune

    def begin(self: Deletion, experiment_id: str) -> Steps[bool]:
        rest = prune(self, experiment_id)
        for _ in range(steps):
            next(rest)
            yield None
        raise SystemExit

    return begin


@pytest.mark.fault(item="F101")
@pytest.mark.parametrize("steps", [0, 1, 3, 5, 8])
def test_a_deletion_that_was_cut_off_goes_on_after_a_restart(
    services: Services, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """From its first transaction on nobody finds the experiment; and then all else goes."""
    monkeypatch.setattr(deletion, "AT_ONCE", 1)
    runner, learning = ended(services, EXPERIMENT, OTHER)
    with monkeypatch.context() as patched:
        patched.setattr(Deletion, "_prune", dying(steps))
        with suppress(ControlError):
            request(address_of(learning), "experiment.delete", {"experiment_id": EXPERIMENT}, dict, timeout=1.0)
        learning.thread.join(30 * TIME_FACTOR)
        assert isinstance(learning.error, SystemExit)
        learning.error = None

    learning = services.learning(runner.address)

    assert listed(learning) == [OTHER]
    wait_until(lambda: left_of(learning, EXPERIMENT) == {}, what="the rest of the deletion")
    assert topics_of(learning, EXPERIMENT) == []
    assert left_of(learning, OTHER)["variants"] == 2
    wait_until(lambda: query(learning, "SELECT done FROM purges") == [(1,)], what="the answer of the runner")
    assert set(runner.removals) == {EXPERIMENT}, "it is asked again where its answer found nobody"


@pytest.mark.fault(item="F102")
def test_a_runner_that_is_away_removes_it_when_it_is_back(services: Services) -> None:
    """Also after a restart of the learning service; another runner does so at once; a third has none of its jobs."""
    runner, learning = ended(services)
    runner.stop()
    other = services.scripted()
    delete(learning)
    learning.stop()
    learning = services.learning(runner.address, other.address)

    runner = services.scripted(runner, again=True)

    wait_until(lambda: runner.removals == [EXPERIMENT], what="the request")
    wait_until(lambda: query(learning, "SELECT done FROM purges") == [(1,)], what="its end")
    assert other.removals == []


@pytest.mark.fault(item="F102")
def test_a_runner_that_is_found_at_another_address_removes_it(services: Services) -> None:
    """Nobody knows which one that is, once all of its jobs have ended: all are asked."""
    runner, learning = ended(services)
    runner.stop()
    learning.stop()
    moved = services.scripted()
    learning = services.learning(moved.address)

    delete(learning)

    wait_until(lambda: moved.removals == [EXPERIMENT], what="the request")


@pytest.mark.fault(item="F102")
def test_a_runner_with_another_log_is_asked_once_more(services: Services) -> None:
    """It may be an older one, from a backup, that has the jobs still."""
    runner, learning = ended(services)
    delete(learning)
    wait_until(lambda: query(learning, "SELECT done FROM purges") == [(1,)], what="its end")
    runner.stop()

    runner = services.scripted(runner)

    wait_until(lambda: runner.removals == [EXPERIMENT], what="the second request")


@pytest.mark.fault(item="F102")
def test_jobs_that_still_run_are_cancelled_before(services: Services) -> None:
    """Those of a discovered experiment, which somebody else submits."""
    runner = services.scripted()
    learning = services.learning(runner.address, discover=True)
    runner.publish(JobScript(context()).completed(well("a" * 64)))
    wait_for(learning, "completed")
    runner.busy = {EXPERIMENT}

    delete(learning)

    wait_until(lambda: query(learning, "SELECT done FROM purges") == [(1,)], what="its end")
    assert runner.cancels == [EXPERIMENT]
    assert runner.removals == [EXPERIMENT, EXPERIMENT]


@pytest.mark.fault(item="F104")
@pytest.mark.parametrize("discover", [False, True])
def test_late_events_do_not_bring_it_back(services: Services, *, discover: bool) -> None:
    """Nor does a late request to create it; an import does, and then events count again."""
    runner, learning = ended(services, discover=discover)
    exported = export_of(address_of(learning), EXPERIMENT, None)
    delete(learning)
    # else the runner would be asked again after the restart
    wait_until(lambda: query(learning, "SELECT done FROM purges") == [(1,)], what="the first removal")
    late = JobScript(context(5, 9.0)).completed(badly())

    runner.publish(JobScript(context(0, 2.0)).completed(well("b" * 64)), late)
    wait_until(lambda: outcomes(learning).get("ignored deleted") == 2, what="the events")

    plan = msgspec.to_builtins(SMALL)
    code, text = refusal(learning, "experiment.create", experiment_id=EXPERIMENT, definition=plan)
    assert (code, "deleted" in text) == ("conflict", True)
    assert (listed(learning), rejections(learning)) == ([], [])
    learning.stop()
    learning = services.learning(runner.address, discover=discover)
    assert listed(learning) == []
    send(address_of(learning), exported, None)
    assert show(learning).totals.completed == 2
    topics = topics_of(learning, EXPERIMENT)
    assert {f"experiment.status.{EXPERIMENT}.", *(f"variant.status.{EXPERIMENT}.{n}." for n in (0, 1))} <= set(topics)
    runner.publish(late)
    wait_until(lambda: rejections(learning), what="the event")
    assert delete(learning).deleted_at
    assert (listed(learning), left_of(learning, EXPERIMENT)) == ([], {})
    wait_until(lambda: runner.removals == [EXPERIMENT, EXPERIMENT], what="the second removal")


@pytest.mark.fault(item="F101")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE deletions SET experiment_id = 'exq-1'",
        "UPDATE deletions SET deleted_at = 0",
        "UPDATE purges SET runner = 'x'",
        "UPDATE purges SET experiment_id = 'exp-10'",
    ],
)
def test_a_damaged_row_of_a_deletion_brings_nothing_back_and_takes_nothing_along(
    services: Services, tmp_path: Path, change: str
) -> None:
    """What one row says is found in the other one; an experiment that is there stays."""
    runner, learning = ended(services, EXPERIMENT, OTHER, discover=True)
    delete(learning)
    wait_until(lambda: runner.removals == [EXPERIMENT], what="the removal")
    learning.stop()
    with closing(sqlite3.connect(tmp_path / "learning.db", isolation_level=None)) as db:
        db.execute(change)

    learning = services.learning(runner.address, discover=True)

    late = JobScript(context(5, 9.0)).completed(badly())
    runner.publish(late)
    wait_until(lambda: outcomes(learning).get("ignored deleted") == 1, what="the event")
    wait_until(lambda: set(runner.removals) >= {EXPERIMENT} and len(runner.removals) > 1, what="the second removal")
    assert (listed(learning), left_of(learning, OTHER)["variants"]) == ([OTHER], 2)
    assert OTHER not in runner.removals
    assert query(learning, "SELECT count(*) FROM damaged_rows WHERE repaired_at IS NULL") == [(0,)]
