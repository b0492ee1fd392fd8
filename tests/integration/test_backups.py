"""`variantbus backup` and `restore`: everything of a data folder comes back, or nothing is changed."""

import errno
import fcntl
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from click.testing import CliRunner, Result

from bus.eventlog.log import Log
from tests.integration.test_verify import contents
from variantbus.cli import restore as restoring
from variantbus.cli.main import main

FIXTURE: Final = Path(__file__).parents[1] / "fixtures" / "version-1.tar.xz"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data folder with experiments, ratings and pictures."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "data" / "answers.json").unlink()
    return tmp_path / "data"


@pytest.fixture
def made(data: Path, tmp_path: Path) -> Path:
    """Return a backup of it."""
    assert run("backup", tmp_path / "backup", data).exit_code == 0
    return tmp_path / "backup"


def run(command: str, folder: Path, data: Path, code: int = 0) -> Result:
    """Run a command, which ends as expected."""
    result = CliRunner().invoke(main, [command, str(folder), "--data-dir", str(data)])
    assert "Traceback" not in result.output
    assert result.exit_code == code, result.output
    return result


def outputs(folder: Path) -> dict[str, str]:
    """Return the hashes of all files of `outputs`, by their paths below it."""
    root = folder / "outputs"
    return {str(Path(path).relative_to(root)): sha256 for path, sha256 in contents(root).items()}


def result_of(folder: Path) -> Path:
    """Return a picture."""
    return min((folder / "outputs").glob("ended-*/*/*.png"))


def rewrite(backup: Path, **changes: Any) -> None:
    """Change the manifest of a backup."""
    path = backup / "backup.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), **changes}))


@pytest.mark.fault(item="F118")
def test_a_backup_comes_back_as_it_was(data: Path, made: Path, tmp_path: Path) -> None:
    """All pictures, sidecars and notes; both databases, each with its events, in a new epoch; verify finds nothing."""
    before = outputs(data)
    assert len(before) > 10
    answer = run("restore", made, tmp_path / "new").output
    assert answer.startswith("2 databases and")
    assert outputs(tmp_path / "new") == before
    assert {one.name for one in (tmp_path / "new").iterdir()} == {"learning.db", "runner.db", "outputs"}
    for name in ("learning.db", "runner.db"):
        was, now = Log(data / name), Log(tmp_path / "new" / name)
        assert (now.head, now.epochs[-1][1]) == (was.head, was.head)
        assert now.epoch not in [epoch for epoch, _ in was.epochs]
        was.close()
        now.close()


@pytest.mark.fault(item="F118")
def test_a_backup_links_pictures_and_leaves_out_what_is_under_way(data: Path, tmp_path: Path) -> None:
    """On one disk a picture takes its room once; what people can change, and what jobs write, is not linked."""
    work, note = data / "outputs" / ".work", result_of(data).with_name("note.txt")
    work.mkdir(exist_ok=True)
    (work / "half").write_text("x")
    result_of(data).with_name(f".{'0' * 64}.png.01234567").write_text("half")
    result_of(data).with_name("link").symlink_to(note)
    note.write_text("mine")
    run("backup", tmp_path / "backup", data)
    copied = outputs(tmp_path / "backup")
    picture = result_of(data)
    assert (tmp_path / "backup" / picture.relative_to(data)).stat().st_ino == picture.stat().st_ino
    assert (tmp_path / "backup" / note.relative_to(data)).stat().st_ino != note.stat().st_ino
    assert not [name for name in copied if ".work" in name or name.endswith((".01234567", "link"))]


@pytest.mark.fault(item="F118")
def test_a_backup_on_another_disk_links_to_the_one_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night costs only the new pictures; of a copy that has rotted, the picture itself is copied again."""
    link = os.link

    def link_within(source: Path, target: Path) -> None:
        if source.is_relative_to(data):
            raise OSError(errno.EXDEV, "other disk")
        link(source, target)

    monkeypatch.setattr(os, "link", link_within)
    run("backup", tmp_path / "1", data)
    rotten, *others = sorted((tmp_path / "1" / "outputs").glob("*/*/*.png"))
    rotten.write_bytes(b"rotten")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "backup.json").write_text("{")
    run("backup", tmp_path / "2", data)
    assert all((tmp_path / "2" / one.relative_to(tmp_path / "1")).stat().st_ino == one.stat().st_ino for one in others)
    assert outputs(tmp_path / "2") == outputs(data)


def test_a_backup_of_a_damaged_picture_says_so(data: Path, tmp_path: Path) -> None:
    """It is made all the same, and restored as it was."""
    result_of(data).write_bytes(b"rotten")
    answer = run("backup", tmp_path / "backup", data, code=4).output
    assert "the backup is whole, but 1 picture is damaged" in answer
    run("restore", tmp_path / "backup", tmp_path / "new")
    assert outputs(tmp_path / "new") == outputs(data)


def test_a_backup_that_fails_leaves_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, a damaged database, Ctrl-C: one sentence, and no folder that looks like a backup."""
    full = OSError(errno.ENOSPC, "No space left on device", "a")

    def fail(*_: object) -> None:
        raise full

    monkeypatch.setattr("variantbus.cli.backup.sync", fail)
    assert "a: No space left on device" in run("backup", tmp_path / "backup", data, code=4).output
    monkeypatch.undo()
    (data / "other.db").write_bytes(b"no database" * 1000)
    assert "other.db" in run("backup", tmp_path / "backup", data, code=4).output
    assert [one.name for one in tmp_path.iterdir()] == ["data"]


@pytest.mark.fault(item="F118")
@pytest.mark.parametrize("place", ["outputs", "outputs/ended-1"])
def test_a_folder_that_cannot_be_listed_fails_the_backup(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It would lack pictures and say nothing; a folder that is removed meanwhile is no failure."""
    victim, scan = result_of(data).parents[1] if "/" in place else data / place, os.scandir
    error: type[OSError] = PermissionError

    def fail(path: Any) -> Any:
        if not isinstance(path, int) and Path(path) == victim:
            raise error(errno.EACCES, "denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", fail)
    answer = run("backup", tmp_path / "backup", data, code=4).output
    assert answer == f"Error: {victim}: denied; nothing was kept of the backup\n"
    assert [one.name for one in tmp_path.iterdir()] == ["data"]
    error = FileNotFoundError
    run("backup", tmp_path / "backup", data)


def test_what_a_killed_backup_has_left_is_removed_and_two_do_not_mix(data: Path, tmp_path: Path) -> None:
    """The folder for the unfinished one belongs to one process at a time."""
    left = tmp_path / ".backup.unfinished"
    (left / "outputs").mkdir(parents=True)
    (left / "learning.db").write_text("half")
    holder = os.open(left, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert "another backup" in run("backup", tmp_path / "backup", data, code=4).output
    os.close(holder)
    run("backup", tmp_path / "backup", data)
    assert not left.exists()
    assert outputs(tmp_path / "backup") == outputs(data)


@pytest.mark.parametrize(
    ("target", "data_dir", "sentence"),
    [
        ("data/outputs/backup", "data", "inside of the data folder"),
        ("data", "data", "inside of the data folder"),
        ("made", "data", "not empty"),
        ("made/backup.json", "data", "not empty"),
        ("/proc", "data", "not empty"),
        ("new", "nothing", "no database of a service"),
    ],
)
@pytest.mark.usefixtures("made")
def test_a_backup_needs_a_data_folder_and_a_new_place(
    tmp_path: Path, target: str, data_dir: str, sentence: str
) -> None:
    """Nothing is overwritten."""
    (tmp_path / "backup").rename(tmp_path / "made")
    before = contents(tmp_path)
    assert sentence in run("backup", tmp_path / target, tmp_path / data_dir, code=2).output
    assert contents(tmp_path) == before


@pytest.mark.fault(item="F119")
@pytest.mark.parametrize("how", ["changed", "missing", "database"])
def test_a_damaged_backup_is_refused_as_a_whole(made: Path, tmp_path: Path, how: str) -> None:
    """Each damaged file is named, and nothing is made."""
    victim = made / "learning.db" if how == "database" else result_of(made)
    data = bytearray(victim.read_bytes())
    victim.unlink()  # a picture is linked
    if how != "missing":
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    answer = run("restore", made, tmp_path / "new", code=4).output
    assert victim.name in answer
    assert "1 file of the backup is damaged, so nothing was restored" in answer
    assert not (tmp_path / "new").exists()


@pytest.mark.fault(item="F119")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2, "version": "9.0"}, "made by variantbus 9.0, in format 2"),
        ({"files": [{"path": "../x", "size": 1, "sha256": ""}]}, "no path below the folder"),
        ({"files": [{"path": "/etc/passwd", "size": 1, "sha256": ""}]}, "no path below the folder"),
        ({"files": [{"path": "", "size": 1, "sha256": ""}]}, "no path below the folder"),
        ({"databases": None}, "is damaged"),
        ({"databases": []}, "is damaged: it names no database"),
        ({"made_at": "yesterday"}, "is damaged"),
        ({"made_at": "2026-11-28T00:00:00"}, "is damaged"),
        ({"made_at": "0001-01-01T00:00:00+14:00"}, "is damaged"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    made: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    """Nothing outside of the two folders is read or written."""
    rewrite(made, **changes)
    assert sentence in run("restore", made, tmp_path / "new", code=2).output
    assert not (tmp_path / "new").exists()
    run("backup", tmp_path / "next", tmp_path / "data")  # it looks at that one


@pytest.mark.fault(item="F119")
def test_what_is_no_backup_is_refused(data: Path, tmp_path: Path) -> None:
    """A data folder, a file, nothing at all, and a manifest that is a folder or a named pipe."""
    (tmp_path / "odd" / "backup.json").mkdir(parents=True)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "backup.json")
    for folder in (data, data / "runner.db", tmp_path / "nothing"):
        assert "is no backup" in run("restore", folder, tmp_path / "new", code=2).output
    for name in ("odd", "pipe"):
        assert "cannot be read" in run("restore", tmp_path / name, tmp_path / "new", code=2).output
    run("backup", tmp_path / "backup", data)  # they are beside it


@pytest.mark.fault(item="F119")
def test_a_restore_needs_an_empty_folder(made: Path, data: Path, tmp_path: Path) -> None:
    """What is there stays, be it of running services, of stopped ones, or anything else."""
    before = contents(data)
    assert "is not empty" in run("restore", made, data, code=4).output
    assert contents(data) == before
    used = tmp_path / "used"
    log = Log(used / "runner.db")
    assert f"is in use by process {os.getpid()}" in run("restore", made, used, code=4).output
    log.close()
    assert "is inside of the backup" in run("restore", made, made / "new", code=2).output
    (tmp_path / "empty").mkdir()
    run("restore", made, tmp_path / "empty")


@pytest.mark.fault(item="F119")
def test_a_full_disk_is_told_with_the_file_that_has_no_room(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that was to be copied, which may be on another disk: so copying does name it."""

    def fail(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copy2", fail)
    answer = run("restore", made, tmp_path / "new", code=4).output
    assert answer.startswith(f"Error: {tmp_path / 'new' / restoring.STAGING}/")
    assert answer.endswith(": No space left on device\n")


@pytest.mark.fault(item="F119")
@pytest.mark.parametrize("there", [False, True])
def test_a_restore_that_fails_or_is_cut_off_leaves_nothing_half(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """After a failure all is as before; what a killed one has left is no obstacle to the next one."""
    new, move, moves = tmp_path / "new", Path.rename, []

    def fail(self: Path, target: Path) -> Path:
        moves.append(target)
        if target.suffix == ".db":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return move(self, target)

    if there:
        (new / restoring.STAGING / "outputs").mkdir(parents=True)
    monkeypatch.setattr(Path, "rename", fail)
    assert "No space left on device" in run("restore", made, new, code=4).output
    assert moves
    assert list(new.iterdir() if there else []) == []
    assert new.exists() == there
    monkeypatch.undo()
    run("restore", made, new)
    assert outputs(new) == outputs(made)


@pytest.mark.fault(item="F119")
def test_a_service_that_starts_during_a_restore_is_not_overwritten(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database is newer than the look at the folder."""
    copy = shutil.copy2

    def copy_slowly(source: Path, target: Path) -> object:
        (tmp_path / "new" / "runner.db").write_text("a service's")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copy2", copy_slowly)
    assert "is not empty" in run("restore", made, tmp_path / "new", code=4).output
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["runner.db"]
