"""The disk of the results is full: jobs wait, none fails for it, and afterwards there is what was to be made."""

import errno
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.fields import Config
from bus.contracts.jobs import JobListReply, JobRequest, PipelinesReply, SubmitParams, SubmitReply
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.eventlog.errors import DiskError, StorageError
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.execution.room import MORE_BYTES, Room
from pipeline_runner.execution.workers import WorkerPool, run_job
from pipeline_runner.outputs.files import UNFINISHED, Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.scoring.measuring import Measuring
from pipeline_runner.service import Runner
from tests.support.factories import Reports, ServiceThread, context, pool_calls, record_of, request_for
from tests.support.held_pipelines import ask, wait_for
from tests.support.helpers import LOCALHOST, deadline, wait_until
from tests.support.odd_pictures import plain
from tests.support.small_disk import SmallDisk

JOBS = 240
MIB = 1 << 20


def content(name: str) -> bytes:
    """Return what a job makes: always the same, and unlike any other's."""
    return hashlib.shake_256(name.encode()).digest(20_000)


class Writing(Pipeline):
    """Writes one file a job."""

    def __init__(self, outputs: Outputs) -> None:
        """Use the output folder of the runner."""
        self.outputs = outputs

    def stages(self) -> dict[str, StageSpec]:
        """Take a number."""
        return {"write": StageSpec(variables={"number": VariableSpec(kind="int")})}

    def run(self, job: NormalizedJobRecord, progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Write it."""
        progress(0.5)
        data = content(job.job_id)
        image = self.outputs.save(
            job, data, suffix=".bin", media_type="application/octet-stream", size=(0, 0), seed=None
        )
        return JobResult(success=True, images=(image,))


def start(folder: Path, database: Path) -> ServiceThread[Runner]:
    """Start a runner whose results are on one disk and whose log may be on another."""

    def make(log: Log, loop: Loop) -> Runner:
        outputs = Outputs(folder / "outputs")
        pipelines: dict[str, Pipeline] = {
            "writing": Writing(outputs),
            "command": CommandPipeline(Setup(outputs=outputs)),
        }
        return Runner(log, loop, pipelines, outputs, workers=2, feed=LOCALHOST, control=LOCALHOST)

    return ServiceThread(database, make)


@pytest.fixture
def disk(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    impatient: None,  # noqa: ARG001 - it makes rests short
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SmallDisk]:
    """Yield a disk of 64 MiB, and look for room often."""
    monkeypatch.setattr("pipeline_runner.execution.room.PROBE_SECONDS", 0.05)
    monkeypatch.setattr("bus.transport.retry.RETRY_SECONDS", 0.05)
    small = SmallDisk(tmp_path / "disk", 64 * MIB)
    if small.reason:
        pytest.skip(small.reason)
    yield small
    small.close()


def submit(runner: ServiceThread[Runner], *jobs: JobRequest) -> None:
    """Submit jobs."""
    ask(runner, "job.submit", SubmitParams(jobs=list(jobs)), SubmitReply)


def count(runner: ServiceThread[Runner], state: str) -> int:
    """Return how many jobs are in a state."""
    return len(ask(runner, "job.list", {"state": state, "limit": 1000}, JobListReply).jobs)


def writable(runner: ServiceThread[Runner]) -> Any:
    """Return the metric."""
    points = runner.call(lambda: list(runner.service._points()))
    return next(value for name, _, value in points if name == "variantbus_outputs_writable")


@pytest.mark.fault(item="F63")
@pytest.mark.parametrize("shared", [True, False], ids=["the log is on it too", "the log is elsewhere"])
def test_jobs_wait_for_room_and_none_fails(
    disk: SmallDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, shared: bool
) -> None:
    """240 jobs, room for a part of them, then room again."""
    caplog.set_level(logging.INFO)
    folder = tmp_path / "disk"
    runner = start(folder, (folder if shared else tmp_path) / "runner.db")
    try:
        jobs = [
            request_for(f"job-{number}", pipeline="writing", stage="write", config={}, mark=context(0, repeat=number))
            for number in range(JOBS)
        ]
        disk.fill(3 * MIB)
        submit(runner, *jobs)
        wait_until(lambda: writable(runner) == 0 or not runner.service.publisher._log.writable, what="a full disk")
        if not shared:  # where it may be the log that is full first
            lanes = ask(runner, "pipelines", {}, PipelinesReply).lanes
            assert "No space left on device" in lanes["writing"].waits_for
            assert "No space left on device" in lanes["command"].waits_for
        assert count(runner, "failed") == 0
        assert 0 < count(runner, "completed") < JOBS

        disk.free()
        wait_until(lambda: count(runner, "completed") == JOBS, what="all jobs")

        assert writable(runner) == 1
        listed = ask(runner, "job.list", {"limit": 1000}, JobListReply).jobs
        assert {job.faults for job in listed} == {0}
        for job in listed:
            assert job.result
            (image,) = job.result.images
            assert (folder / "outputs" / image.path).read_bytes() == content(job.job_id)
        files = [path for path in (folder / "outputs").rglob("*") if path.is_file()]
        assert len(files) == 2 * JOBS, "a sidecar each, and nothing else"
        assert not [path for path in files if UNFINISHED.fullmatch(path.name)]
        held = [one for one in caplog.messages if "jobs wait until it can be written" in one]
        again = [one for one in caplog.messages if "results can be written again" in one]
        assert len(held) == len(again)
    finally:
        runner.stop()


@pytest.mark.fault(item="F63")
def test_a_program_that_meets_the_full_disk_runs_again(disk: SmallDisk, tmp_path: Path) -> None:
    """Its status is its own, but not to be trusted while there is no room."""
    folder = tmp_path / "disk"
    runner = start(folder, tmp_path / "runner.db")
    try:
        script = "import sys; open(sys.argv[1] + '/a.bin', 'wb').write(b'x' * 2_000_000)"
        config: Config = {"command": [sys.executable, "-c", script, "{output_dir}"]}
        disk.fill(MIB)
        submit(runner, request_for("one", pipeline="command", stage="run", config=config))
        wait_until(lambda: writable(runner) == 0, what="a full disk")
        disk.free()

        ended = wait_for(runner, "one", "completed")

        assert (ended.faults, ended.attempt > 1) == (0, True)
        assert ended.result
        assert ended.result.images[0].sha256 == hashlib.sha256(b"x" * 2_000_000).hexdigest()
        assert list((folder / "outputs" / ".work").iterdir()) == []
    finally:
        runner.stop()


@pytest.mark.fault(item="F63")
def test_a_program_that_ends_well_on_a_full_disk_is_not_believed(disk: SmallDisk, tmp_path: Path) -> None:
    """Its file has only the part for which there was room."""
    outputs = Outputs(tmp_path / "disk" / "outputs")
    pipeline = CommandPipeline(Setup(outputs=outputs))
    script = "import sys; open(sys.argv[1] + '/a.bin', 'wb', 0).write(b'x' * 2_000_000)"
    config: Config = {"command": [sys.executable, "-c", script, "{output_dir}"]}
    outputs.root.mkdir()
    disk.fill(MIB)

    with pytest.raises(StorageError):
        pipeline.run(record_of(config=config), Reports(), lambda: False)


@pytest.mark.fault(item="F63")
def test_a_program_that_fails_is_not_believed_if_the_disk_was_full_while_it_ran(
    disk: SmallDisk, tmp_path: Path
) -> None:
    """Also if there is room again when it ends."""
    outputs = Outputs(tmp_path / "disk" / "outputs")
    pipeline = CommandPipeline(Setup(outputs=outputs))
    outputs.root.mkdir()
    go, ready = tmp_path / "go", tmp_path / "ready"
    script = "until [ -e %s ]; do sleep 0.01; done; exit 1"
    config: Config = {"command": ["/bin/sh", "-c", f"touch {ready}; {script % go}"]}
    steps = iter([lambda: None, disk.fill, lambda: None, disk.free, go.touch])

    def take_a_step() -> bool:
        """Is asked at each turn of the wait, after a look at the disk."""
        if ready.exists():
            next(steps, lambda: None)()
        return False

    with pytest.raises(StorageError, match="had no room left while a program ran"):
        pipeline.run(record_of(config=config), Reports(), take_a_step)
    assert not outputs.is_full()


@pytest.mark.fault(item="F63")
def test_a_program_that_fails_while_nobody_can_look_at_the_disk_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runner was stopped, or the machine slept; but a program that always fails is believed in the end."""
    monkeypatch.setattr("pipeline_runner.pipelines.command.pipeline.BLIND_SECONDS", 0.0)  # no look is soon enough
    outputs = Outputs(tmp_path / "outputs")
    pipeline = CommandPipeline(Setup(outputs=outputs))
    job = record_of(config={"command": ["false"]})

    for _ in range(3):
        with pytest.raises(StorageError, match="not sure that"):
            pipeline.run(job, Reports(), lambda: False)
    result = pipeline.run(job, Reports(), lambda: False)

    assert result.error
    assert result.error.message == "exit status 1"


@pytest.mark.fault(item="F63")
@pytest.mark.usefixtures("sleepless")
@pytest.mark.parametrize("seen", ["full_at", "low_at"])
def test_a_program_that_fails_right_behind_a_full_disk_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    """The last bytes come and go: between two looks there may have been none for a moment."""
    outputs = Outputs(tmp_path / "outputs")
    pipeline = CommandPipeline(Setup(outputs=outputs))
    job = record_of(config={"command": ["false"]})
    setattr(outputs, seen, time.monotonic() - 1)  # by another job

    with pytest.raises(StorageError, match="not sure that"):
        pipeline.run(job, Reports(), lambda: False)
    monkeypatch.setattr("pipeline_runner.pipelines.command.pipeline.UNSURE_SECONDS", 1e-9)

    assert pipeline.run(job, Reports(), lambda: False).error


@pytest.mark.fault(item="F63")
@pytest.mark.usefixtures("sleepless")
def test_a_program_whose_runner_has_died_is_not_believed_at_once(tmp_path: Path) -> None:
    """Nobody knows whether the disk was full right before; a job that runs for the first time is believed."""
    pipeline = CommandPipeline(Setup(outputs=Outputs(tmp_path / "outputs")))
    job = record_of(config={"command": ["false"]})

    assert pipeline.run(replace(job, attempt=1), Reports(), lambda: False).error
    with pytest.raises(StorageError, match="not sure that"):
        pipeline.run(replace(job, attempt=2), Reports(), lambda: False)


class Failing(Pipeline):
    """Raises what a test says."""

    def __init__(self, error: BaseException) -> None:
        """Keep it."""
        self.error = error

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:  # noqa: ARG002
        """Raise it."""
        raise self.error


def kind_of(error: BaseException, outputs: Outputs) -> str:
    """Run a job that raises an error, and return the kind of its failure."""
    result = run_job(Failing(error), record_of(), Reports(), lambda: False, outputs)
    assert result.error
    return result.error.kind


@pytest.mark.fault(item="F63")
def test_an_error_of_another_disk_is_the_job_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in may write where it likes; only if our disk is full too, the job waits."""
    outputs = Outputs(tmp_path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert kind_of(full, outputs) == "internal"
    assert kind_of(StorageError("no room"), outputs) == "storage"
    monkeypatch.setattr(Outputs, "probe", lambda _: StorageError("no room"))
    assert kind_of(full, outputs) == "storage"
    assert kind_of(ValueError("no"), outputs) == "internal"
    with pytest.raises(DiskError):
        kind_of(DiskError("broken"), outputs)


@pytest.mark.fault(item="F63")
@pytest.mark.parametrize("obstacle", ["file", "loop", "nowhere", "forbidden"])
def test_a_folder_of_results_that_cannot_be_used_fails_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    """As when another disk is not mounted, or belongs to another user: jobs wait for the person who mends it."""
    root = tmp_path / "outputs"
    match obstacle:
        case "file":
            root.touch()
        case "loop":
            root.symlink_to(root)
        case "nowhere":
            root.symlink_to(tmp_path / "mount" / "outputs")
        case "forbidden":
            monkeypatch.setattr(os, "access", lambda *_: False)
    outputs = Outputs(root)

    assert kind_of(PermissionError(errno.EACCES, "Permission denied"), outputs) == "storage"
    assert str(outputs.probe()).startswith(f"{root} cannot be ")

    monkeypatch.undo()
    root.unlink(missing_ok=True) if obstacle != "forbidden" else None
    assert outputs.probe() is None


@pytest.mark.fault(item="F63")
@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, StorageError), (errno.EDQUOT, StorageError), (errno.EROFS, StorageError), (errno.EIO, DiskError)],
)
def test_every_write_of_a_result_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    """The picture, its sidecar, its thumbnail and the copy of a program's file; no unfinished file is left."""
    outputs = Outputs(tmp_path / "outputs")
    (source := tmp_path / "source.bin").write_bytes(b"x")
    real, left = os.fsync, [0]

    def fail(descriptor: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr("os.fsync", fail)
    for left[0] in (1, 2, 3):
        with pytest.raises(expected, match="outputs"):
            outputs.save(record_of(), plain(), suffix=".png", media_type="image/png", size=(1, 1), seed=None)
    for left[0] in (1, 2):
        with pytest.raises(expected, match="outputs"):
            outputs.save_file(record_of(), source, 10, seed=None, name="x")
    assert not [path for path in tmp_path.rglob("*") if UNFINISHED.fullmatch(path.name)]


@pytest.mark.fault(item="F63")
def test_a_disk_that_fails_ends_the_process(loop: Loop, tmp_path: Path) -> None:
    """Nobody knows what is on it: the next start reads it anew."""
    failing = Failing(DiskError("the disk failed"))
    pool = WorkerPool(loop, {"embedded": failing}, pool_calls(), Outputs(tmp_path), Measuring(tmp_path, {}))
    pool.start(record_of())
    limit = deadline()

    def step_on() -> None:
        while not limit.passed:
            loop.step(0.05)

    with pytest.raises(DiskError, match="the disk failed"):
        step_on()
    pool.stop(1.0)


def test_when_to_try_again() -> None:
    """After a rest that grows with each try that failed, or at once when space became free."""
    room = Room()
    room.note_fault(100.0, "full", 1000)
    room.note_fault(101.0, "full", 1000)  # of another job that ran
    assert not room.may_try(101.9, 1000)
    assert room.may_try(102.0, 1000)
    room.note_probe()
    room.note_fault(102.0, "full", 1000)
    assert not room.may_try(105.9, 1000)
    assert not room.may_try(103.0, 2000)
    assert room.may_try(103.0, 2000 + MORE_BYTES)
    room.note_probe()
    room.note_result()
    room.note_fault(110.0, "full", 1000)
    assert room.may_try(112.0, 1000)
