"""The epochs of a log: what an end in good order, a death, a power cut and another file in its place change."""

import itertools
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bus.eventlog.epochs
from bus.config.limits import DEFAULT_LIMITS
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from tests.support.helpers import deadline
from tests.support.log_files import fill, offsets, tamper

OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.sqlite"


def test_a_clean_close_keeps_the_epoch(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that was closed in good order is the same one after a reboot."""
    log = open_log(path)
    fill(log, 2)
    epochs = log.epochs
    log.close()
    monkeypatch.setattr(bus.eventlog.epochs, "boot_id", lambda: "another boot")

    log = open_log(path)

    assert log.epochs == epochs
    assert log.epoch == epochs[-1][0]


KILLED = """
import sys
from pathlib import Path
from bus.eventlog.log import Log
from tests.support.helpers import append
log = Log(Path(sys.argv[1]))
for number in range(10):
    append(log, ("a.", number))
with log.transaction() as tx:
    tx.execute("CREATE TABLE unfinished (value INTEGER)")
    print(log.epoch, flush=True)
    sys.stdin.read()
"""


def kill_a_writer(path: Path) -> int:
    """Kill a process that has written ten messages in the middle of a transaction; return its epoch."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        epoch = int(process.stdout.readline())
        with pytest.raises(LogError, match="in use by process"):
            Log(path)
        process.kill()
        assert process.wait(deadline().left) == -signal.SIGKILL
    return epoch


def test_the_death_of_the_process_loses_nothing_and_keeps_the_epoch(open_log: OpenLog, path: Path) -> None:
    """After SIGKILL all that was committed is there, nothing else, and the lock is free; the boot is the same."""
    epoch = kill_a_writer(path)

    log = open_log(path)

    assert offsets(log) == list(range(1, 11))
    assert log.query("SELECT name FROM sqlite_master WHERE name = 'unfinished'") == []
    assert log.epochs == [(epoch, 0)]


@pytest.mark.fault(item="F8")
def test_an_unclean_end_before_a_reboot_begins_a_new_epoch(
    open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a power cut may have rolled the file back, a new epoch starts at the head that survived."""
    epoch = kill_a_writer(path)
    monkeypatch.setattr(bus.eventlog.epochs, "boot_id", lambda: "another boot")

    log = open_log(path)

    assert [start for _, start in log.epochs] == [0, 10]
    assert log.epochs[0][0] == epoch != log.epoch
    fill(log, 1)
    assert log.head == 11


@pytest.mark.fault(item="F20")
def test_a_log_that_lost_its_end_begins_a_new_epoch_and_says_so(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The head file remembers how far the log had reached; a shorter one is an older state."""
    log = open_log(path)
    fill(log, 3)
    log.close()
    old = path.with_suffix(".backup")
    shutil.copy(path, old)
    log = open_log(path)
    fill(log, 4)
    epoch = log.epoch
    log.close()
    shutil.copy(old, path)

    with caplog.at_level(logging.ERROR):
        log = open_log(path)

    assert "has lost its end: it ends at 3, once it reached 7" in caplog.text
    assert [start for _, start in log.epochs] == [0, 3]
    assert log.epochs[0][0] == epoch != log.epoch


@pytest.mark.fault(item="F20")
def test_a_log_that_was_replaced_by_another_begins_a_new_epoch_and_says_so(
    open_log: OpenLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another log put in its place is noticed, also if it is longer."""
    paths = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    for count, one in enumerate(paths, 2):
        log = open_log(one)
        fill(log, count)
        log.close()
    shutil.copy(paths[1], paths[0])

    with caplog.at_level(logging.ERROR):
        log = open_log(paths[0])

    assert "is not the file that was here before: it ends at 3, that one reached 2" in caplog.text
    assert [start for _, start in log.epochs] == [0, 3]


def test_only_the_newest_epochs_are_told(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats do not grow without bound with the age of a log."""
    boots = itertools.count()
    monkeypatch.setattr(bus.eventlog.epochs, "boot_id", lambda: f"boot {next(boots)}")
    for _ in range(DEFAULT_LIMITS.epochs_kept + 3):
        log = open_log(path)
        fill(log, 1)
        log.close()
        tamper(path, "UPDATE closing SET clean = 0")

    log = open_log(path)

    assert [start for _, start in log.epochs] == list(range(4, 20))


@pytest.mark.fault(item="F20")
def test_a_log_whose_file_is_gone_begins_anew_and_says_so(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The note of its head is left, so that nobody takes the new log for the old one."""
    log = open_log(path)
    fill(log, 3)
    epoch = log.epoch
    log.close()
    path.unlink()

    log = open_log(path)

    assert (log.head, log.epochs[0][1]) == (0, 0)
    assert log.epoch != epoch
    assert "is not the file that was here before" in caplog.text
