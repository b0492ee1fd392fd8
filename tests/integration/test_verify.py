"""`variantbus verify`: it finds what was damaged, says so in a line, and changes not one byte."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bus.eventlog import verification
from bus.eventlog.errors import LogError
from bus.eventlog.log import Log
from bus.eventlog.verification import ranges
from tests.support.log_files import spoil_page, tamper
from tests.support.old_data import unpack
from variantbus.cli.main import main
from variantbus.cli.verify import STORES

pytestmark = pytest.mark.fault(item="F54")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder of this version, with experiments, ratings and pictures."""
    folder = tmp_path_factory.mktemp("template")
    data = unpack("version-1.tar.xz", folder)
    for service, stores in STORES.items():
        log = Log(data / f"{service}.db")
        for store, statements in stores.items():
            log.create_tables(store, statements)
        log.close()
    return data


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(template, tmp_path / "data"))


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def verify(data: Path, *options: str) -> Result:
    """Verify a folder, and check that nothing in it is changed."""
    before = contents(data)
    result = CliRunner().invoke(main, ["verify", str(data), *options])
    assert contents(data) == before
    assert "Traceback" not in result.output
    return result


def picture(data: Path, pattern: str = "*.png") -> Path:
    """Return a result."""
    return min((data / "outputs").glob(f"ended-*/*/{pattern}"))


def flip(path: Path, offset: int) -> None:
    """Flip a bit of a file."""
    whole = bytearray(path.read_bytes())
    whole[offset] ^= 4
    path.write_bytes(whole)


def misquote(path: Path) -> None:
    """Change a digit in a sidecar, which stays JSON."""
    origin = json.loads(path.read_bytes())
    origin["config"]["seed"] = 1 + origin["config"].get("seed", 0)
    path.write_text(json.dumps(origin))


def test_an_undamaged_folder_is_all_right(data: Path) -> None:
    """Status 0, and how much was looked at."""
    result = verify(data)

    assert result.exit_code == 0
    looked_at = r"2 databases, [1-9]\d* events, [1-9]\d* rows of state, [1-9]\d* results: 0 findings\n"
    assert re.fullmatch(looked_at, result.output)
    assert verify(data, "--json").output.startswith(
        '{\n  "ok": true,\n  "files": [\n    "learning.db",\n    "runner.db"'
    )


def test_a_schema_that_is_no_text_any_more_is_a_line(data: Path) -> None:
    """With what SQLite says of it, as far as it can be printed."""
    content = bytearray((data / "runner.db").read_bytes())
    content[content.index(b"AUTOINCREMENT")] ^= 0x80
    (data / "runner.db").write_bytes(content)

    result = verify(data)

    assert result.exit_code == 4
    assert r'near "\xc1UTOINCREMENT": syntax error; restore the file from a backup' in result.output


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE log SET body = body || x'00' WHERE \"offset\" = 7", "event 7 is damaged or missing"),
        ('DELETE FROM log WHERE "offset" BETWEEN 7 AND 9', "events 7 to 9 are damaged or missing"),
        ("UPDATE sqlite_sequence SET seq = 5 WHERE name = 'log'", "its counter says 5"),
        ("UPDATE jobs SET priority = 9 WHERE number = 1", "a row of the table jobs is damaged: 1"),
        ("INSERT INTO kept VALUES ('a.', 'x', 1, x'', 1)", "runner.db: the newest event of a. is damaged"),
        ("UPDATE outputs SET media_type = CAST(x'ff' AS TEXT)", "a row of the table outputs is damaged: "),
        ("UPDATE outputs SET job_id = x'00'", "a row of the table outputs is damaged: "),
        ("UPDATE outputs SET path = 'a' || char(0)", "a row of the table outputs is damaged: "),
        ("UPDATE outputs SET sha256 = '/'", "a row of the table outputs is damaged: "),
        ("UPDATE epochs SET start = 5", "a row of the table epochs is damaged: 1"),
        ("UPDATE scopes SET version = 99 WHERE name = 'runner'", "has version 99 of the runner tables"),
        ("DROP INDEX jobs_by_state", "jobs_by_state is not as this program creates it"),
        (
            "INSERT INTO kept VALUES ('variant.status.a.', 3, 1, x'80', 7)",
            "the newest event of variant.status.a. is damaged",
        ),
        (
            "INSERT INTO kept VALUES ('a.', 3, 1, x'', 42), ('b.', 3, 1, x'80', 2733189283)",
            "the newest event of a. is damaged",
        ),
        ("PRAGMA application_id = 7", "is no variantbus log; move it away"),
        ("INSERT INTO damaged_rows VALUES (1, 'runner', 'jobs', '1', x'80', 1.0, NULL)", "a row of jobs was set aside"),
    ],
)
def test_damage_of_a_database_is_a_line_each(data: Path, damage: str, finding: str) -> None:
    """With the file, and what to do."""
    tamper(data / "runner.db", damage)

    result = verify(data)

    assert result.exit_code == 4
    assert any(line.startswith(f"runner.db: {finding}") or finding in line for line in result.output.splitlines())
    assert result.output.splitlines()[-1].startswith("2 databases, ")


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (lambda data: flip(picture(data), 500), "is not what was written"),
        (lambda data: picture(data).unlink(), "is missing; the job"),
        (lambda data: picture(data, "*.json").write_bytes(b"{"), "cannot be read: "),
        (lambda data: picture(data, "*.json").unlink(), ".json: is missing"),
        (lambda data: misquote(picture(data, "*.json")), ".json: is not what was written: its job says something else"),
        (lambda data: (data / "runner.head").write_text("x"), "runner.head: cannot be read"),
        (lambda data: (data / "runner.head").write_text("7 3"), "runner.head: names the epoch 7"),
        (lambda data: spoil_page(data / "learning.db", "variants"), "learning.db: Fragmentation of "),
        (lambda data: spoil_page(data / "runner.db", "jobs_by_state"), "; an index is damaged; its service makes it"),
        (lambda data: flip(data / "learning.db", 100), "learning.db: "),
        (lambda data: (data / "learning.db").write_bytes(b"SQLite format 3\0" + bytes(4000)), "learning.db: "),
    ],
)
def test_damage_of_other_files_is_a_line_each(data: Path, damage: Callable[[Path], object], finding: str) -> None:
    """Every picture is compared with its hash."""
    damage(data)

    result = verify(data)

    assert result.exit_code == 4
    assert finding in result.output


def test_what_waits_in_the_write_ahead_log_is_verified_too(data: Path, tmp_path: Path) -> None:
    """A service was killed: its last commits are not in the main file yet."""
    killed = tmp_path / "killed"
    with closing(sqlite3.connect(data / "runner.db", isolation_level=None)) as db:
        db.execute("UPDATE jobs SET priority = 9 WHERE number = 2")
        assert Path(f"{data / 'runner.db'}-wal").stat().st_size
        shutil.copytree(data, killed)

    assert "runner.db: a row of the table jobs is damaged: 2" in verify(killed).output


def test_a_copy_needs_no_further_room(data: Path, tmp_path: Path) -> None:
    """A folder for temporary files that is full behind the copy would make the database look damaged."""
    log = Log(data / "runner.db")
    killed = Path(shutil.copytree(data, tmp_path / "killed"))
    log.close()

    with verification.opened(killed / "runner.db") as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone()[0]
        (_, _, copy) = db.execute("PRAGMA database_list").fetchone()
        assert not Path(copy).is_relative_to(killed)
        assert not Path(f"{copy}-shm").exists()


def test_a_file_that_no_job_refers_to_is_counted_and_no_damage(data: Path) -> None:
    """A job that was cut off may have left it."""
    shutil.copy(picture(data), picture(data).with_name(f"{'0' * 64}.png"))

    result = verify(data)

    assert result.exit_code == 0
    assert "1 file in outputs that no job refers to" in result.output
    assert "remove older ones by hand" in result.output


def test_a_job_that_took_over_a_result_has_no_sidecar_of_its_own(data: Path) -> None:
    """A job whose result an earlier one had made names the same file, and nothing is missing."""
    log = Log(data / "runner.db")
    outputs = STORES["runner"]["outputs"]
    log.create_tables("outputs", outputs)
    rows = log.query("SELECT sha256, path, 'later', experiment_id, media_type, bytes, created FROM outputs")
    with log.transaction() as tx:
        tx.executemany(outputs["insert_output"], rows)
    log.close()
    assert verify(data).exit_code == 0


def test_a_folder_in_use_or_of_nothing_is_refused(data: Path, open_log: Callable[[Path], Log], tmp_path: Path) -> None:
    """It says which process has it."""
    open_log(data / "runner.db")
    result = CliRunner().invoke(main, ["verify", str(data)])
    assert result.exit_code == 4
    assert "runner.db is in use by process " in result.output

    result = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert result.exit_code == 2
    assert "has no database of a service" in result.output


def test_a_file_that_cannot_be_read_is_refused(data: Path) -> None:
    """With its name and the reason."""
    (data / "other.db").symlink_to("nowhere")

    result = CliRunner().invoke(main, ["verify", str(data)])

    assert result.exit_code == 4
    assert "other.db cannot be read, or not be copied to " in result.output


def test_a_folder_of_an_earlier_version_is_verified_as_it_is(tmp_path: Path) -> None:
    """Its rows of state have no checksums yet; its events and pictures have."""
    unpack("version-1.tar.xz", tmp_path)

    result = verify(tmp_path / "data")

    assert result.stderr.startswith("120 rows of state without a checksum, of an earlier version; ")
    assert result.stdout == "2 databases, 86 events, 0 rows of state, 8 results: 0 findings\n"


def test_files_that_no_service_has_opened_here_are_verified(data: Path) -> None:
    """A restored backup has no lock and no head file yet."""
    for path in (*data.glob("*.lock"), *data.glob("*.head")):
        path.unlink()

    assert verify(data).exit_code == 0


def test_numbers_are_told_as_ranges() -> None:
    """A thousand lost events are one line."""
    assert ranges([]) == []
    assert ranges([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


def test_a_log_without_events_is_all_right(tmp_path: Path) -> None:
    """Its counter begins with the first event; its head file says 0."""
    Log(tmp_path / "test.db").close()

    assert verify(tmp_path).exit_code == 0


@pytest.mark.parametrize("name", ["runner.db", "runner.db-wal", "runner.lock", "runner.head"])
def test_what_is_no_file_is_not_waited_for(data: Path, name: str) -> None:
    """A pipe, which nobody writes to."""
    (data / name).unlink(missing_ok=True)
    os.mkfifo(data / name)

    result = verify(data)

    assert (result.exit_code, result.output) == (
        4,
        f"Error: {data / name} is no regular file; move it away, or restore it from a backup\n",
    )


def test_the_file_of_another_service_is_a_line(data: Path) -> None:
    """As when a backup was put back under the wrong name."""
    shutil.copy(data / "runner.db", data / "learning.db")

    assert (
        "learning.db: is of another service, which has tables called outputs, priorities, reuse, runner"
        in verify(data).output
    )


def test_the_file_of_another_service_is_refused(data: Path) -> None:
    """In a sentence that does not send people to look for a broken disk."""
    log = Log(data / "runner.db")
    with pytest.raises(LogError, match="has a table jobs that is not of this service; put the right file there"):
        log.create_tables("learning", STORES["learning"]["learning"])
    log.close()
