"""The log on disk: what is written together, what survives, and what is refused."""

import itertools
import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bus.eventlog.log
from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.eventlog.errors import BodyTooLargeError, LogError
from bus.eventlog.log import Log
from bus.eventlog.pages import checksum
from bus.protocol.frames import Record
from tests.support.helpers import append, deadline, job

OpenLog = Callable[..., Log]
STATE = "CREATE TABLE state (value INTEGER NOT NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "data" / "test.sqlite"


def fill(log: Log, count: int, topic: str = "a.") -> None:
    """Log `count` messages in one transaction."""
    append(log, *((topic, n) for n in range(count)))


def offsets(log: Log, prefix: str = "", after: int = 0) -> list[int]:
    """Give the offsets of all records with a prefix."""
    return [record.offset for record in log.fetch(prefix, after).records]


def tamper(path: Path, statement: str, params: tuple[object, ...] = ()) -> None:
    """Change the file behind the log's back."""
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, params)
    db.close()


def test_state_and_messages_commit_together(open_log: OpenLog, path: Path) -> None:
    """What a transaction writes and what it publishes are both there after reopening."""
    log = open_log(path)
    log.create_tables("test", 1, STATE)
    with log.transaction() as tx:
        tx.execute("INSERT INTO state VALUES (?)", (1,))
        tx.executemany("INSERT INTO state VALUES (?)", [(2,), (3,)])
        tx.append("a.", job("j1"))
        tx.append("b.", job("j2"))
    log.close()

    log = open_log(path)

    assert log.query("SELECT value FROM state") == [(1,), (2,), (3,)]
    assert [(record.offset, record.topic) for record in log.fetch("", 0).records] == [(1, "a."), (2, "b.")]


def test_a_rolled_back_transaction_leaves_no_message_and_no_hole(open_log: OpenLog, path: Path) -> None:
    """An exception undoes state and messages, tells nobody, and the next message gets the next offset."""
    log = open_log(path)
    log.create_tables("test", 1, STATE)
    committed: list[Record] = []
    log.on_commit(committed.extend)
    fill(log, 1)

    def fail() -> None:
        with log.transaction() as tx:
            tx.execute("INSERT INTO state VALUES (1)")
            tx.append("a.", job("lost"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    fill(log, 1, "b.")

    assert log.query("SELECT count(*) FROM state") == [(0,)]
    assert offsets(log) == [1, 2]
    assert [record.offset for record in committed] == [1, 2]
    assert log.head == 2


def test_a_statement_that_fails_rolls_all_back(open_log: OpenLog, path: Path) -> None:
    """A broken constraint undoes the transaction, and the log goes on."""
    log = open_log(path)
    log.create_tables("test", 1, STATE)

    def fail() -> None:
        with log.transaction() as tx:
            tx.append("a.", job("lost"))
            tx.execute("INSERT INTO state VALUES (NULL)")

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    fill(log, 1)

    assert offsets(log) == [1]


def test_records_are_announced_after_their_commit_and_in_order(open_log: OpenLog, path: Path) -> None:
    """Whoever registers sees each record once, and it is in the log already."""
    log = open_log(path)
    seen: list[int] = []

    def committed(records: list[Record]) -> None:
        assert log.fetch("", records[0].offset - 1).records == records
        seen.extend(record.offset for record in records)

    log.on_commit(committed)
    fill(log, 3)
    with log.transaction():
        pass
    fill(log, 2)

    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.fault(item="F37")
def test_offsets_are_never_given_out_again(open_log: OpenLog, path: Path) -> None:
    """Also after retention has emptied the log and it was reopened, offsets go on."""
    log = open_log(path)
    fill(log, 3)
    with log.transaction() as tx:
        tx.execute("DELETE FROM log")
    assert (log.first, log.head) == (4, 3)
    log.close()

    log = open_log(path)
    assert (log.first, log.head) == (4, 3)
    fill(log, 1)

    assert offsets(log) == [4]
    assert (log.first, log.head) == (4, 4)


def test_a_clean_close_keeps_the_epoch(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that was closed in good order is the same one after a reboot."""
    log = open_log(path)
    fill(log, 2)
    epochs = log.epochs
    log.close()
    monkeypatch.setattr(bus.eventlog.log, "boot_id", lambda: "another boot")

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
    """Have a process write ten messages, kill it in the middle of a transaction, and give its epoch."""
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
    monkeypatch.setattr(bus.eventlog.log, "boot_id", lambda: "another boot")

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

    assert "is not the file that was here before" in caplog.text
    assert [start for _, start in log.epochs] == [0, 3]


def test_only_the_newest_epochs_are_told(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats do not grow without bound with the age of a log."""
    boots = itertools.count()
    monkeypatch.setattr(bus.eventlog.log, "boot_id", lambda: f"boot {next(boots)}")
    for _ in range(DEFAULT_LIMITS.epochs_kept + 3):
        log = open_log(path)
        fill(log, 1)
        log.close()
        tamper(path, "UPDATE closing SET clean = 0")

    log = open_log(path)

    assert [start for _, start in log.epochs] == list(range(4, 20))


def foreign_database(path: Path) -> None:
    """Make a database of another program."""
    tamper(path, "CREATE TABLE things (name TEXT)")


def another_applications_file(path: Path) -> None:
    """Make a database with the id of another program."""
    tamper(path, "PRAGMA application_id = 7")


def newer_log(path: Path) -> None:
    """Make a log of a newer version of this program."""
    Log(path).close()
    tamper(path, "PRAGMA user_version = 99")


def text_file(path: Path) -> None:
    """Write some text."""
    path.write_text("These are my notes.\n" * 100, encoding="utf-8")


def garbage(path: Path) -> None:
    """Write what only begins like a database."""
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)


@pytest.mark.fault(item="F18")
@pytest.mark.fault(item="F47")
@pytest.mark.parametrize("make", [foreign_database, another_applications_file, newer_log, text_file, garbage])
def test_a_file_that_is_no_log_is_refused_and_left_as_it_is(
    open_log: OpenLog, path: Path, make: Callable[[Path], None]
) -> None:
    """The error names the file; not one byte of it is changed, and the lock is released."""
    path.parent.mkdir()
    make(path)
    before = path.read_bytes()

    for _ in range(2):
        with pytest.raises(LogError, match=r"test\.sqlite"):
            open_log(path)

    assert path.read_bytes() == before


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


@pytest.mark.fault(item="F18")
def test_a_log_that_was_emptied_is_refused(open_log: OpenLog, path: Path) -> None:
    """An empty file in place of a log is not silently begun anew, as its head file tells."""
    log = open_log(path)
    fill(log, 1)
    log.close()
    path.write_bytes(b"")

    with pytest.raises(LogError, match="no variantbus log"):
        open_log(path)


def test_a_file_whose_creation_was_cut_off_is_completed(open_log: OpenLog, path: Path) -> None:
    """A process may die between the first table and the last setting."""
    path.parent.mkdir()
    tamper(path, bus.eventlog.log.SQL["schema"].split(";")[0])
    tamper(path, "PRAGMA user_version = 1")

    log = open_log(path)
    fill(log, 1)

    assert offsets(log) == [1]


@pytest.mark.fault(item="F22")
def test_a_second_opening_is_refused_while_the_first_lasts(open_log: OpenLog, path: Path) -> None:
    """One log has one writer; afterwards the next may open it."""
    log = open_log(path)
    with pytest.raises(LogError, match="in use by process"):
        open_log(path)
    fill(log, 1)
    log.close()

    assert open_log(path).head == 1


def test_a_folder_that_cannot_be_made_is_a_log_error(open_log: OpenLog, tmp_path: Path) -> None:
    """The error says where it wanted to write."""
    (tmp_path / "file").touch()

    with pytest.raises(LogError, match="cannot write to"):
        open_log(tmp_path / "file" / "test.sqlite")


@pytest.mark.fault(item="F17")
@pytest.mark.parametrize(
    ("good", "bad"),
    [(b"txt2img", b"txt3img"), (b"queued_at", b"queue\xff_at"), (b"a.b.", b"a.c."), (b"a.b.", b"a\xffb.")],
)
def test_a_flipped_byte_in_the_file_costs_one_record(open_log: OpenLog, path: Path, good: bytes, bad: bytes) -> None:
    """The record is listed as damaged and not delivered, the others are, and the log goes on."""
    log = open_log(path)
    append(log, ("x.", 1), ("a.b.", 2))
    log.close()
    whole = path.read_bytes()
    # records grow from the end of a page, so the first hit that follows the marker of the second record is its own
    start = whole.index(b"a.b.", whole.index(b"CREATE TABLE scopes"))
    at = whole.index(good, start)
    path.write_bytes(whole[:at] + bad[: len(good)] + whole[at + len(good) :])
    log = open_log(path)
    fill(log, 1)

    page = log.fetch("", 0)

    assert page.damaged == [2]
    assert [record.offset for record in page.records] == [1, 3]
    assert len(log.newest_topics(10)) == 3


@pytest.mark.fault(item="F17")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log SET body = body || x'FF' WHERE \"offset\" = 2",
        "UPDATE log SET topic = 'a.b.' WHERE \"offset\" = 2",
        'UPDATE log SET time_ns = time_ns + 1 WHERE "offset" = 2',
        'UPDATE log SET crc = crc + 1 WHERE "offset" = 2',
    ],
)
def test_a_damaged_record_is_listed_and_the_others_are_given(
    open_log: OpenLog, path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The checksum covers body, topic and time; one bad record does not stop the rest."""
    log = open_log(path)
    fill(log, 3)
    log.close()
    tamper(path, damage)
    log = open_log(path)

    page = log.fetch("", 0)

    assert page.damaged == [2]
    assert [record.offset for record in page.records] == [1, 3]
    assert page.next == 3
    assert "record 2 fails its checksum" in caplog.text


def test_a_damaged_record_is_not_among_the_latest(open_log: OpenLog, path: Path) -> None:
    """The newest record of a topic is left out if it is damaged."""
    log = open_log(path)
    append(log, ("a.", 1), ("b.", 2))
    with log.transaction() as tx:
        tx.execute("UPDATE log SET body = x'80' WHERE \"offset\" = 1")

    records, behind, damaged = log.latest("", 10)

    assert [record.offset for record in records] == [2]
    assert not behind
    assert damaged == [1]


def test_the_checksum_covers_all_that_a_record_says() -> None:
    """Every field changes it."""
    one: tuple[int, bytes, int, bytes] = (1, b"a.", 2, b"x")
    others = [(2, b"a.", 2, b"x"), (1, b"b.", 2, b"x"), (1, b"a.", 3, b"x"), (1, b"a.", 2, b"y")]

    assert len({checksum(*each) for each in [one, *others]}) == 5


@pytest.mark.fault(item="F42")
def test_a_body_over_the_limit_is_refused_and_the_transaction_can_go_on(open_log: OpenLog, path: Path) -> None:
    """The caller can publish something smaller instead."""
    log = open_log(path, limits=Limits(body_bytes=200))

    with log.transaction() as tx:
        with pytest.raises(BodyTooLargeError, match="the limit is 200"):
            tx.append("a.", job("x" * 200))
        tx.append("a.", job("small"))

    assert offsets(log) == [1]


def test_tables_of_a_store_are_made_once_and_their_version_is_kept(open_log: OpenLog, path: Path) -> None:
    """Another version of the program's tables is refused instead of misread."""
    log = open_log(path)
    log.create_tables("test", 1, STATE)
    log.create_tables("test", 1, STATE)

    with pytest.raises(LogError, match="has version 1 of the test tables"):
        log.create_tables("test", 2, STATE)


@pytest.mark.parametrize(("durability", "level"), [("normal", 1), ("full", 2)])
def test_durability_is_what_was_asked_for(open_log: OpenLog, path: Path, durability: str, level: int) -> None:
    """`normal` commits survive the process, `full` ones a power cut, and `sync` makes one transaction full."""
    log = open_log(path, durability=durability)

    def synchronous(*, sync: bool) -> int:
        with log.transaction(sync=sync):
            found: int = log.query("PRAGMA synchronous")[0][0]
            return found

    assert [synchronous(sync=False), synchronous(sync=True), synchronous(sync=False)] == [level, 2, level]
