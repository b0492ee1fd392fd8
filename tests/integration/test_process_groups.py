"""A program with all its children, and what a runner that was killed leaves behind."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline
from pipeline_runner.pipelines.command.processes import NOTE, ProcessGroup, Streams, kill_leftovers
from tests.support.helpers import PATIENCE, TIME_FACTOR

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[BinaryIO]:
    """Take what a program writes."""
    with (tmp_path / "sink").open("wb") as file:
        yield file


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Start a program in a group of its own, as a dead runner has left it."""
    process = subprocess.Popen(SLEEPER, start_new_session=True)
    yield process
    process.kill()
    process.wait(PATIENCE * TIME_FACTOR)


def noted(work: Path, content: str) -> Path:
    """Write the note of a dead runner."""
    folder = work / "job-1.1"
    folder.mkdir(parents=True)
    (folder / NOTE).write_text(content)
    return folder


def note_of(process: subprocess.Popen[bytes], *, created: float | None = None) -> str:
    """Return the note of a process, or of one that had the same number before."""
    true = psutil.Process(process.pid).create_time()
    return json.dumps({"pid": process.pid, "created": true if created is None else created})


def test_a_program_that_ends_has_its_status(tmp_path: Path, sink: BinaryIO) -> None:
    """After `wait`, the exit status is known."""
    group = ProcessGroup([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, Streams(sink, sink))

    assert group.wait(PATIENCE * TIME_FACTOR)
    assert group.returncode == 3


def test_waiting_gives_up_after_a_while(tmp_path: Path, sink: BinaryIO) -> None:
    """A program that runs on is not waited for longer than asked, and can be killed."""
    group = ProcessGroup(SLEEPER, tmp_path, Streams(sink, sink))

    assert not group.wait(0.01)
    group.kill()

    assert group.returncode == -signal.SIGTERM


def test_a_program_that_ignores_the_request_is_forced(
    tmp_path: Path, sink: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL follows SIGTERM after a while."""
    monkeypatch.setattr("pipeline_runner.pipelines.command.processes.GRACE_SECONDS", 0.1)
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('!'); time.sleep(600)"
    group = ProcessGroup([sys.executable, "-uc", script], tmp_path, Streams(sink, sink))
    while not (tmp_path / "sink").read_bytes():
        assert not group.wait(0.01)

    group.kill()

    assert group.returncode == -signal.SIGKILL


def test_the_program_is_noted_in_its_folder(tmp_path: Path, sink: BinaryIO) -> None:
    """Number and time of creation identify it for the next runner."""
    group = ProcessGroup(SLEEPER, tmp_path, Streams(sink, sink))
    try:
        note = json.loads((tmp_path / NOTE).read_text())
        process = psutil.Process(note["pid"])
        assert process.create_time() == note["created"]
        assert process.cwd() == str(tmp_path)
    finally:
        group.kill()


def test_a_note_that_cannot_be_written_leaves_no_program_behind(tmp_path: Path, sink: BinaryIO) -> None:
    """Without a note nobody could ever end the program, so it is ended at once."""
    (tmp_path / NOTE).mkdir()
    before = set(psutil.Process().children())

    with pytest.raises(OSError, match=NOTE):
        ProcessGroup(SLEEPER, tmp_path, Streams(sink, sink))

    assert set(psutil.Process().children()) <= before


def test_the_leftover_of_a_dead_runner_is_ended_at_the_next_start(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    """The pipeline of the new runner ends the program and removes its folder."""
    folder = noted(tmp_path / ".work", note_of(sleeper))

    CommandPipeline(Setup(outputs=Outputs(tmp_path)))

    assert sleeper.wait(PATIENCE * TIME_FACTOR) == -signal.SIGKILL
    assert not folder.exists()


def test_a_program_whose_runner_died_before_it_was_noted_is_ended_too(tmp_path: Path, sink: BinaryIO) -> None:
    """It carries the mark of its folder, and so do its children; programs of other folders live on."""
    for name in ("one", "other"):
        (tmp_path / ".work" / name).mkdir(parents=True)
    one = ProcessGroup(SLEEPER, tmp_path / ".work" / "one", Streams(sink, sink))
    other = ProcessGroup(SLEEPER, tmp_path / ".work" / "other", Streams(sink, sink))
    try:
        (tmp_path / ".work" / "one" / NOTE).unlink()
        shutil.move(tmp_path / ".work" / "other", tmp_path / "other")

        kill_leftovers(tmp_path / ".work")

        assert one.wait(PATIENCE * TIME_FACTOR)
        assert one.returncode == -signal.SIGKILL
        assert not other.wait(0.01)
    finally:
        one.kill()
        other.kill()


def test_another_program_with_the_same_number_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Numbers are given again; the time of creation tells."""
    noted(tmp_path, note_of(sleeper, created=1.0))

    kill_leftovers(tmp_path)

    assert sleeper.poll() is None
    assert not tmp_path.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "7", "{}", '{"pid": "x", "created": 1}', '{"pid": -1, "created": 1}', "\0"]
)
def test_a_damaged_note_is_no_reason_not_to_start(tmp_path: Path, content: str) -> None:
    """Whatever stands in the note, the folder is removed and the runner starts."""
    folder = noted(tmp_path, content)

    kill_leftovers(tmp_path)

    assert not folder.exists()


def test_the_note_of_a_program_that_has_ended_is_no_error(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """There is nothing to end any more."""
    note = note_of(sleeper)
    sleeper.kill()
    sleeper.wait(PATIENCE * TIME_FACTOR)
    folder = noted(tmp_path, note)

    kill_leftovers(tmp_path)

    assert not folder.exists()


def test_without_any_leftovers_nothing_happens(tmp_path: Path) -> None:
    """The first start finds no folder at all."""
    kill_leftovers(tmp_path / "none")
