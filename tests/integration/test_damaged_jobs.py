"""Damaged rows of the runner's state: made up for from the log, or named; never run, and never in the way of others."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from bus.contracts.jobs import JobListReply, JobRequest, SubmitParams, SubmitReply
from bus.contracts.messages import JobCompleted, JobQueued
from bus.eventlog.errors import DiskError
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.execution.reuse import Reuse
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.outputs.index import OutputIndex
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.queue.repair import names_of, rebuilt
from pipeline_runner.queue.service import JobService
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, badly, context, request_for, well
from tests.support.held_pipelines import Local, ask, refusal, show, wait_for
from tests.support.helpers import LOCALHOST
from tests.support.log_files import tamper

pytestmark = pytest.mark.fault(item="F66")
Start = Callable[[], ServiceThread[Runner]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database."""
    return tmp_path / "runner.db"


@pytest.fixture
def start(no_leaks: None, tmp_path: Path, path: Path, local: Local) -> Iterator[Start]:  # noqa: ARG001 - it looks after us
    """Start a runner whose jobs are held, again and again on the same file."""
    runners: list[ServiceThread[Runner]] = []

    def make(log: Log, loop: Loop) -> Runner:
        pipelines: dict[str, Pipeline] = {"local": local}
        return Runner(log, loop, pipelines, Outputs(tmp_path / "outputs"), workers=1, feed=LOCALHOST, control=LOCALHOST)

    def hosted() -> ServiceThread[Runner]:
        for runner in runners:
            runner.stop()
        runners.append(ServiceThread(path, make))
        return runners[-1]

    yield hosted
    for runner in runners:
        runner.stop()


def job(name: str, level: int = 1) -> JobRequest:
    """Return a job."""
    return request_for(name, pipeline="local", stage="run", config={"level": level})


def submit(runner: ServiceThread[Runner], *jobs: JobRequest) -> None:
    """Submit jobs."""
    ask(runner, "job.submit", SubmitParams(jobs=list(jobs)), SubmitReply)


def flip(path: Path, name: str, old: bytes, new: bytes) -> None:
    """Change bytes in the record of a closed database's job."""
    db = sqlite3.connect(path)
    (record,) = db.execute("SELECT record FROM jobs WHERE job_id = ?", (name,)).fetchone()
    assert old in record
    db.execute("UPDATE jobs SET record = ? WHERE job_id = ?", (record.replace(old, new, 1), name))
    db.commit()
    db.close()


def listed(runner: ServiceThread[Runner]) -> JobListReply:
    """Ask for all jobs."""
    reply = ask(runner, "job.list", {"limit": 1000}, JobListReply)
    assert isinstance(reply, JobListReply)
    return reply


@pytest.mark.parametrize(
    ("old", "new"), [(b"\xa5level\x07", b"\xa5level\x06"), (b"\xa6config", b"\xa6c\xffnfig"), (b"\x85", b"\xc1")]
)
def test_a_damaged_queued_job_is_named_and_never_run(
    start: Start, path: Path, local: Local, caplog: pytest.LogCaptureFixture, old: bytes, new: bytes
) -> None:
    """The others are listed and run; submitted again, it runs with its own values."""
    runner = start()
    submit(runner, job("held"), job("one"), job("two", 7), job("three"))
    wait_for(runner, "held", "running")
    runner.stop()
    record = sqlite3.connect(path).execute("SELECT record FROM jobs WHERE job_id = 'two'").fetchone()[0]
    flip(path, "two", old if old in record else record[:1], new)

    for _ in range(2):  # it is named at each start
        caplog.clear()
        runner = start()
        reply = listed(runner)
        assert [one.job_id for one in reply.jobs] == ["three", "one", "held"]
        assert "two" in reply.damaged
        code, message = refusal(runner, "job.show", {"job_id": "two"})
        assert code == "not_found"
        assert "damaged" in message
        assert "fails its checksum" in caplog.text or "job two is lost" in caplog.text
    local.released.set()
    for name in ("held", "one", "three"):
        wait_for(runner, name, "completed")
    assert "two" not in local.ran
    submit(runner, job("two", 7))
    assert wait_for(runner, "two", "completed").config == {"level": 7}
    assert listed(runner).damaged == []
    assert listed(start()).damaged == []


@pytest.mark.parametrize("column", ["job_id", "experiment_id", "state", "record", "number", "pipeline"])
def test_a_damaged_ended_job_is_made_anew_from_the_log(
    start: Start, path: Path, local: Local, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    """All of it but its priority, whatever of its row is wrong."""
    local.released.set()
    runner = start()
    submit(runner, job("one", 5), job("two"))
    before = wait_for(runner, "one", "completed")
    wait_for(runner, "two", "completed")
    runner.stop()
    value = "'failed'" if column == "state" else "77" if column == "number" else "x'00ff'"
    tamper(path, f"UPDATE jobs SET {column} = {value} WHERE job_id = 'one'")  # noqa: S608

    runner = start()

    assert show(runner, "one") == before
    assert {one.job_id for one in listed(runner).jobs} == {"one", "two"}
    assert listed(runner).damaged == []
    assert "job one: its damaged row was made anew from the log" in caplog.text


def test_damaged_rows_of_the_index_of_results_are_made_anew(
    open_log: Callable[[Path], Log], path: Path, tmp_path: Path
) -> None:
    """From the jobs, which have them, too."""
    log = open_log(path)
    service = JobService(log)
    index = OutputIndex(log, tmp_path)
    Reuse(log, service.store, tmp_path)
    service.write_with_end(index.add)
    service.submit([request_for("one", mark=context()), request_for("two")])
    service.claim({"embedded": 2})
    result = well("a")
    for image in result.images:
        (tmp_path / image.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image.path).write_bytes(b"x")
    service.finish({"one": result, "two": badly("no")})
    rows = [log.query(f"SELECT * FROM {table} ORDER BY 1") for table in ("outputs", "ended_jobs")]  # noqa: S608
    with log.transaction() as tx:
        tx.execute("INSERT INTO reusable (key, job_id) VALUES (x'00', 'one')")
    log.close()
    for change in (
        "UPDATE outputs SET bytes = bytes + 1",
        "UPDATE ended_jobs SET job_id = 'onf' WHERE job_id = 'one'",
        "UPDATE outputs_since SET since = since + 1",
        "UPDATE reusable SET job_id = 'two'",
    ):
        tamper(path, change)

    log = open_log(path)
    service = JobService(log)
    index = OutputIndex(log, tmp_path)
    index.repair(service.store.ended())
    Reuse(log, service.store, tmp_path)

    assert [log.query(f"SELECT * FROM {table} ORDER BY 1") for table in ("outputs", "ended_jobs")] == rows  # noqa: S608
    assert log.query("SELECT * FROM reusable") == []
    assert log.damaged_rows() == []


def test_a_row_that_is_damaged_while_the_runner_runs_is_not_run(open_log: Callable[[Path], Log], path: Path) -> None:
    """The process ends with a sentence, and its next start sets the row aside."""
    log = open_log(path)
    service = JobService(log)
    service.submit([request_for("one")])
    log._db.execute("UPDATE jobs SET priority = 1")

    with pytest.raises(DiskError, match="the row of job 'one' is damaged; start again"):
        service.claim({"embedded": 1})

    log._db.execute("DELETE FROM jobs")  # as every closed log is looked at


def test_a_record_that_cannot_be_read_while_the_runner_runs_costs_its_row(
    start: Start, local: Local, caplog: pytest.LogCaptureFixture
) -> None:
    """The list answers without it, and who asks for it is told."""
    local.released.set()
    runner = start()
    submit(runner, job("one"), job("two"))
    whole = [wait_for(runner, name, "completed") for name in ("one", "two")][1]
    log = runner.service.publisher._log
    # with a checksum that is right: every closed log is looked at
    crc = "row_crc('jobs', number, job_id, experiment_id, pipeline, priority, state, x'c1')"
    runner.call(lambda: log._db.execute(f"UPDATE jobs SET record = x'c1', crc = {crc} WHERE job_id = 'one'"))  # noqa: S608

    assert listed(runner).jobs == [whole]
    code, message = refusal(runner, "job.show", {"job_id": "one"})

    assert (code, "the row of job 'one' is damaged; start again" in message) == ("not_found", True)
    assert "damaged rows of jobs are left out of a list: 1; start again" in caplog.text


def test_the_events_of_a_job_tell_what_it_was() -> None:
    """A job that was retried since is queued; without an end nobody knows its configuration."""
    assert rebuilt([]) is None
    end = JobCompleted(
        job_id="one",
        stage="txt2img",
        pipeline="embedded",
        attempt=2,
        learning_context=None,
        config={"steps": 3},
        result=badly("no"),
        queued_at=1.0,
        started_at=2.0,
        finished_at=3.0,
    )
    record = rebuilt([end])
    assert record
    assert (record.state, record.result, record.finished_at) == ("failed", end.result, 3.0)
    queued = JobQueued(
        job_id="one", stage="txt2img", pipeline="embedded", attempt=2, learning_context=None, queued_at=9.0
    )
    assert rebuilt([queued]) is None
    again = rebuilt([end, queued])
    assert again
    assert (again.state, again.config, again.result, again.queued_at) == ("queued", {"steps": 3}, None, 9.0)


def test_the_id_of_a_damaged_row_may_be_either_of_two() -> None:
    """One of them is damaged; a value may have any type."""
    record = msgspec.msgpack.encode({"job_id": "one", "pipeline": "p", "stage": "s", "config": {}})

    assert names_of({"job_id": "one", "record": record}) == ["one"]
    assert names_of({"job_id": "ooe", "record": record}) == ["one", "ooe"]
    assert names_of({"job_id": b"\xff", "record": record}) == ["one"]
    assert names_of({"job_id": "one", "record": b"\xc1"}) == ["one"]
    assert names_of({"job_id": 7, "record": None}) == []
    assert names_of({}) == []
