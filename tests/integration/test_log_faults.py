"""Faults of the files below a log: removed, replaced, damaged, full; and what a long reader costs."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bus.contracts.messages import encode_body
from bus.eventlog.errors import BodyTooLargeError, DiskError, LogError, StorageError
from bus.eventlog.log import Log
from bus.protocol.frames import BODY_LIMIT
from bus.subscriber.delivery import Start
from bus.subscriber.sync import Subscriber
from tests.support.helpers import Service, append, collect, job, names, wait_until
from tests.support.invariants import WAL_BOUND, check_subscriber, check_writes, read_log, seen
from tests.support.log_files import checkpoint, round_of

OpenLog = Callable[..., Log]
Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
HOUR: float = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.db"


def wal_of(path: Path) -> Path:
    """Name the write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def remove(one: Path) -> None:
    """Take a file away."""
    one.unlink()


def replace(one: Path) -> None:
    """Put a copy in its place, as an editor or a restored backup does."""
    other = one.with_suffix(".other")
    shutil.copy(one, other)
    other.rename(one)


@pytest.mark.fault(item="F19")
@pytest.mark.parametrize("harm", [remove, replace])
@pytest.mark.parametrize("suffix", [".db", ".db-wal", ".lock", ".head"])
def test_a_file_that_is_removed_or_replaced_while_open_is_fatal(
    open_log: OpenLog, path: Path, harm: Callable[[Path], None], suffix: str
) -> None:
    """SQLite would go on writing where nobody can read it; within a second the log says so, and can be closed."""
    log = open_log(path)
    append(log, ("a.", 1))
    log.sync_head()
    victim = path.with_name(f"test{suffix}")

    harm(victim)

    append(log, ("a.", 2))
    with pytest.raises(LogError, match=f"test{suffix} was removed or replaced while this process used it"):
        log.sync_head()
    log.close()


@pytest.mark.fault(item="F19")
def test_closing_a_log_that_was_replaced_leaves_the_new_file_alone(open_log: OpenLog, path: Path) -> None:
    """What was put in its place stays as it is, byte by byte, and is noticed as another log when it is opened."""
    other = open_log(path.with_name("other.db"))
    append(other, ("b.", 1), ("b.", 2))
    other.close()
    log = open_log(path)
    append(log, ("a.", 1))
    path.with_name("other.db").rename(path)
    content = path.read_bytes()

    with pytest.raises(LogError):
        log.sync_head()
    log.close()

    assert path.read_bytes() == content
    wal_of(path).unlink(missing_ok=True)  # of the lost database; SQLite would refuse its frames by their salt
    reopened = open_log(path)
    assert [record.topic for record in reopened.fetch("", 0).records] == ["b.", "b."]
    assert reopened.epochs[-1][1] == 2


@pytest.mark.fault(item="F16")
@pytest.mark.parametrize("harm", ["flip", "cut"])
def test_a_damaged_write_ahead_log_is_an_older_state_in_a_new_epoch(
    open_log: OpenLog, path: Path, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite silently drops every commit behind the damage; the synced head shows it, and nothing is a hole."""
    log = open_log(path)
    for number in range(60):
        append(log, ("a.", number))
    log.sync_head()
    folder = tmp_path / "after"
    shutil.copytree(path.parent, folder)  # as `kill -9` leaves it
    log.close()
    wal = wal_of(folder / path.name)
    content = bytearray(wal.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
    else:
        del content[len(content) // 2 :]
    wal.write_bytes(content)

    log = open_log(folder / path.name)

    assert 0 < log.head < 60
    assert f"has lost its end: it ends at {log.head}, once it reached 60" in caplog.text
    assert len(log.epochs) == 2
    bodies = [bytes(record.body) for record in log.fetch("", 0).records]
    assert bodies == [encode_body(job(number)) for number in range(log.head)]


@pytest.mark.fault(item="F16")
@pytest.mark.parametrize("content", [b"\0" * 42, b"%020d 0000000000000000000p\n" % 7, b"9" * 5000, b"\xff"])
def test_a_damaged_head_file_begins_a_new_epoch(
    open_log: OpenLog, path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It no longer tells whether the end of the log was lost, so nobody may rely on that it was not."""
    log = open_log(path)
    append(log, ("a.", 1), ("a.", 2))
    log.close()
    path.with_suffix(".head").write_bytes(content)

    log = open_log(path)

    assert [start for _, start in log.epochs] == [0, 2]
    assert f"{path.with_suffix('.head')} is damaged" in caplog.text
    log.close()
    assert len(open_log(path).epochs) == 2


@pytest.mark.fault(item="F21")
def test_a_database_that_was_copied_without_its_write_ahead_log_is_refused_or_an_older_state(
    open_log: OpenLog, path: Path, tmp_path: Path
) -> None:
    """A copy of the main file alone has what the last checkpoint left; its head file says that there was more."""
    log = open_log(path)
    append(log, ("a.", 1))
    checkpoint(log)
    append(log, ("a.", 2), ("a.", 3))
    log.sync_head()
    for folder in ("with", "without"):
        (tmp_path / folder).mkdir()
        shutil.copy(path, tmp_path / folder)
    shutil.copy(path.with_suffix(".head"), tmp_path / "with")
    log.close()

    assert [start for _, start in open_log(tmp_path / "with" / path.name).epochs] == [0, 1]
    assert open_log(tmp_path / "without" / path.name).head == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, timeout=10)
    if not done or done.returncode:
        pytest.skip("needs the right to mount a file system; the same fault is made with max_page_count elsewhere")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)  # noqa: S607 - where `mount` is


@pytest.mark.fault(item="F13")
def test_a_read_only_file_system_is_refused_in_one_sentence(small_disk: Path, open_log: OpenLog) -> None:
    """A new log and one that is there already: what is there can be read again when it is writable."""
    log = open_log(small_disk / "test.db")
    append(log, ("a.", 1))
    log.close()
    remount(small_disk, "ro")

    for name in ("test.db", "new.db", "folder/new.db"):
        with pytest.raises(LogError, match=r"cannot write to .*(Read-only file system|choose another --data-dir)"):
            open_log(small_disk / name)

    remount(small_disk, "rw")
    assert open_log(small_disk / "test.db").head == 1


def remount(folder: Path, mode: str) -> None:
    """Make a file system read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{mode}", folder], check=True, timeout=10)  # noqa: S607 - see `small_disk`


@pytest.mark.fault(item="F11")
def test_a_full_disk_refuses_writes_and_nothing_else_until_there_is_room(
    small_disk: Path, serve: Serve, subscribe: Subscribe
) -> None:
    """Each write is refused whole; reading and heartbeats go on; when there is room, publishing does."""
    service = serve(small_disk / "test.db")
    subscriber = subscribe([service.address], start=Start.BEGINNING)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))
    tried: list[str] = []
    committed: list[str] = []
    refused = 0

    def publish() -> bool:
        tried.append(f"{len(tried)} {'x' * 2000}")
        try:
            service.append(("a.", tried[-1]))
        except StorageError:
            return False
        committed.append(tried[-1])
        return True

    while publish():
        assert len(tried) < 10_000
    while refused < 20:
        refused += not publish()
    assert len(read_log(service.address)) == len(committed)
    assert names(collect(subscriber, len(committed))) == committed
    assert subscriber.wait_ready()
    ballast.unlink()
    wait_until(publish, what="room")
    for _ in range(10):
        assert publish()

    received = seen(collect(subscriber, 11))
    log = read_log(service.address)
    check_writes(log, *([encode_body(job(name)) for name in some] for some in (tried, committed)))
    check_subscriber(received, log, start=len(committed) - 11)
    service.stop()


@contextmanager
def head_file_on(log: Log, device: str) -> Iterator[None]:
    """Let writes of the head meet the errors of a device; nothing else changes."""
    kept, other = os.dup(log._file._head), os.open(device, os.O_RDWR)
    os.dup2(other, log._file._head)
    yield
    os.dup2(kept, log._file._head)
    os.close(kept)
    os.close(other)


@pytest.mark.fault(item="F57")
def test_a_head_that_cannot_be_noted_is_named_once_and_the_log_goes_on(
    open_log: OpenLog, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is committed is safe without it; once it can be written, it is."""
    log = open_log(path)
    with head_file_on(log, "/dev/full"):
        for number in range(3):
            append(log, ("a.", number))
            log.sync_head()
            assert not log.writable
        assert len(log.fetch("", 0).records) == 3

    assert caplog.text.count("test.head cannot be written: No space left on device; the log goes on") == 1
    log.sync_head()
    assert log.writable
    assert log._file.read_head() == (log.epoch, 3)


@pytest.mark.fault(item="F55")
def test_a_head_file_whose_device_fails_ends_the_use_of_the_log(open_log: OpenLog, path: Path) -> None:
    """After EIO nobody knows what is on the disk: the log cannot be used, but it can be closed."""
    log = open_log(path)
    append(log, ("a.", 1))

    with head_file_on(log, "/proc/self/mem"), pytest.raises(DiskError, match=r"test\.head failed: Input/output error"):
        log.sync_head()

    assert [record.offset for record in log.fetch("", 0).records] == [1]


@pytest.mark.fault(item="F55")
def test_a_full_disk_of_which_sqlite_says_only_that_it_failed_is_waited_for(
    small_disk: Path, open_log: OpenLog
) -> None:
    """The index of the write-ahead log grows in a file of its own: SQLite calls its lack of room an I/O error."""
    log = open_log(small_disk / "test.db")
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    ballast = small_disk / "ballast"
    with suppress(OSError):
        ballast.write_bytes(b"x" * (2 << 20))

    with pytest.raises(StorageError, match="disk I/O error"), log.transaction():
        raise failure

    ballast.unlink()
    with pytest.raises(DiskError), log.transaction():
        raise failure


@pytest.mark.fault(item="F36")
def test_a_long_reader_makes_the_write_ahead_log_grow_and_it_shrinks_afterwards(open_log: OpenLog, path: Path) -> None:
    """Somebody who keeps a read transaction open, as a backup does, holds it; our own readers never do."""
    log = open_log(path)
    append(log, ("a.", 0))
    for page in range(3):  # pages that are not read to their end hold nothing
        log.fetch("", page, limit=1)
        log.latest("", 1)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_master").fetchone()

    for number in range(200):
        append(log, *(("a.", f"{number} {event} {'x' * 2000}") for event in range(20)))
    grown, round_ = wal_of(path).stat().st_size, round_of(path)
    reader.close()

    def begun_anew() -> bool:
        append(log, *(("a.", f"{event} {'x' * 2000}") for event in range(20)))
        return round_of(path) != round_

    wait_until(begun_anew)
    assert grown > 8 << 20
    assert wal_of(path).stat().st_size < WAL_BOUND


@pytest.mark.fault(item="F30")
def test_a_clock_that_jumps_changes_times_and_nothing_else(
    serve: Serve, subscribe: Subscribe, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order, offsets and time limits do not depend on wall-clock time; a record just says what the clock said."""
    service = serve(path)
    subscriber = subscribe([service.address], start=Start.BEGINNING)
    assert subscriber.wait_ready()
    now = time.time_ns()
    for number, moment in enumerate([now, now + int(HOUR * 1e9), now - int(HOUR * 1e9), 0, 2**62]):
        monkeypatch.setattr(time, "time_ns", lambda at=moment: at)
        monkeypatch.setattr(time, "time", lambda at=moment: at / 1e9)
        service.append(("a.", number))

    found = collect(subscriber, 5)

    assert names(found) == ["0", "1", "2", "3", "4"]
    assert [one.offset for one in found] == [1, 2, 3, 4, 5]
    check_subscriber(seen(found), read_log(service.address))
    assert subscriber.ready


@pytest.mark.fault(item="F22")
def test_a_log_cannot_be_opened_twice_even_in_one_process(open_log: OpenLog, path: Path) -> None:
    """The lock is one of the open file, not of the process, and the second opening harms nothing."""
    log = open_log(path)
    append(log, ("a.", 1))

    with pytest.raises(LogError, match=f"in use by process {os.getpid()}"):
        Log(path)

    append(log, ("a.", 2))
    assert log.head == 2


@pytest.mark.fault(item="B29")
@pytest.mark.parametrize("size", [0, 1, 1000, -1])
def test_a_payload_of_any_size_up_to_the_limit_comes_back_byte_by_byte(
    serve: Serve, subscribe: Subscribe, path: Path, size: int
) -> None:
    """Empty, one byte, incompressible, and exactly as large as the limit; one byte more is refused."""
    service = serve(path)
    subscriber = subscribe([service.address], start=Start.BEGINNING)
    room = BODY_LIMIT - len(encode_body(job(""))) - 4  # a long text has a header of five bytes, not one
    text = os.urandom(BODY_LIMIT).hex()[: room if size < 0 else size]

    service.append(("a.", text))

    received = collect(subscriber, 1)
    assert bytes(received[0].body) == encode_body(job(text))
    check_subscriber(seen(received), read_log(service.address))
    if size < 0:
        assert len(received[0].body) == BODY_LIMIT
        with pytest.raises(BodyTooLargeError):
            service.append(("a.", text + "x"))


def test_an_error_after_which_nobody_knows_what_is_on_disk_ends_the_use_of_the_log(
    open_log: OpenLog, path: Path
) -> None:
    """It is no bad input and no full disk: whoever meets it has to end, and to read the file anew."""
    log = open_log(path)
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    with pytest.raises(DiskError, match="disk I/O error; start again"), log.transaction():
        raise failure
