"""Sweeping the output folder: what no job refers to goes, and nothing that may be needed."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from pipeline_runner.outputs.cleaning import UNREFERENCED_SECONDS
from pipeline_runner.outputs.files import thumbnail_path
from pipeline_runner.outputs.index import OutputIndex
from tests.support.factories import context
from tests.support.runner_storage import RunnerStorage

CONTENTS: Final = (b"red", b"green", b"blue")


@pytest.fixture
def storage(no_leaks: None, tmp_path: Path) -> Iterator[RunnerStorage]:  # noqa: ARG001 - it looks after us
    """Return a storage with nothing in it."""
    storage = RunnerStorage(tmp_path)
    yield storage
    storage.log.close()


def lone(storage: RunnerStorage, folder: str = "exp-9/variant-00_x") -> list[Path]:
    """Write what a runner leaves that died between writing and committing."""
    digest = hashlib.sha256(b"lone").hexdigest()
    names = [f"{digest}.png", f"{digest}.job-9.json", f".{digest}.png.0a1b2c3d", digest]
    paths = [storage.root / folder / name for name in names]
    paths.append(storage.root / thumbnail_path(digest))
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"lone")
    return paths


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_files_that_no_job_refers_to_go(storage: RunnerStorage, limit: int) -> None:
    """With their folders; whatever the size of a step, and not when they are only counted."""
    storage.job("a", context(), b"red")
    storage.job("b", None, b"red", b"green")
    kept = storage.names()
    lone(storage)
    lone(storage, "jobs/gone")
    before = storage.names()

    assert storage.sweep(limit, dry_run=True) == (9, 36)
    assert storage.names() == before
    assert storage.sweep(limit) == (9, 36)

    assert storage.names() == kept
    assert storage.folders() == {"exp-1", "exp-1/variant-00_cfg_scale-2.0", "jobs", "jobs/b"}


def test_names_that_sort_around_a_slash_are_all_looked_at(storage: RunnerStorage) -> None:
    """Folders come in the order of their names, not of their paths."""
    for folder in ("a-b/variant-0", "a/variant-0", "a/variant-0-1", "a%2F/variant-0", "a0/variant-0"):
        lone(storage, folder)

    storage.sweep(1)

    assert storage.names() == set()


def test_files_that_may_be_needed_soon_stay(storage: RunnerStorage) -> None:
    """Those of the last hour, and all of a job that has not ended."""
    storage.job("a", context(), b"red", state="running")
    storage.job("b", None, b"green", state="queued")
    kept = storage.names() - {thumbnail_path(hashlib.sha256(one).hexdigest()) for one in (b"red", b"green")}

    storage.sweep()
    assert storage.names() == kept

    lone(storage)
    before = storage.names()
    storage.ahead = UNREFERENCED_SECONDS - 60
    assert storage.sweep() == (0, 0)
    assert storage.names() == before


def test_who_is_at_work_is_asked_once_for_a_sweep(storage: RunnerStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each step, as the queue may be long; but again for one that takes minutes."""
    for number in range(4):
        storage.job(f"job-{number}", None, b"red%d" % number)
    asked = []
    busy = OutputIndex.busy

    def ask(index: OutputIndex) -> tuple[set[str], set[str]]:
        asked.append(index)
        return busy(index)

    monkeypatch.setattr(OutputIndex, "busy", ask)

    first = storage.cleaner.sweep("", 1, dry_run=True)
    second = storage.cleaner.sweep(first.after or "", 1, dry_run=True)
    assert len(asked) == 1
    storage.ahead += 61
    storage.cleaner.sweep(second.after or "", 1, dry_run=True)
    assert len(asked) == 2
    storage.cleaner.sweep("", 1, dry_run=True)
    assert len(asked) == 3


def test_files_from_before_the_database_stay(storage: RunnerStorage) -> None:
    """Who has put a database away and begun anew keeps the pictures of the old one."""
    for path in lone(storage):
        os.utime(path, (storage.index.begins_at - 1, storage.index.begins_at - 1))

    assert storage.sweep() == (0, 0)
    assert len(storage.names()) == 5


def test_after_a_power_cut_or_a_restore_no_older_file_is_taken_for_a_lone_one(
    storage: RunnerStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has a new epoch then: rows may be gone of jobs that others know of. A mere restart changes nothing."""
    began = storage.index.begins_at
    monkeypatch.setattr("time.time", lambda: began + 1000.5)
    assert OutputIndex(storage.log, storage.root).begins_at == began

    storage.log._epochs.begin(storage.log.head)
    assert OutputIndex(storage.log, storage.root).begins_at == began + 1000
    monkeypatch.setattr("time.time", lambda: began + 2000.5)
    assert OutputIndex(storage.log, storage.root).begins_at == began + 1000


def test_files_of_others_stay(storage: RunnerStorage) -> None:
    """A contact sheet, a caption beside a picture, a hidden folder, the working folder of a program, and links."""
    record = storage.job("a", context(), b"red")
    assert record.result
    picture = storage.root / record.result.images[0].path
    digest = hashlib.sha256(b"lone").hexdigest()
    others = [
        storage.root / "exp-1/contact-sheet.png",
        picture.with_suffix(".txt"),
        picture.parent / "note.txt",
        picture.parent / f"copy of {digest}.png",
        picture.parent / f"deeper/{digest}.png",
        storage.root / f".work/job.1/{digest}.png",
        storage.root / f".git/objects/{digest}",
        storage.root / f"{digest}.png",
        storage.root.parent / f"elsewhere/variant-00/{digest}.png",
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"lone")
    (storage.root / "linked").symlink_to(storage.root.parent / "elsewhere")
    (storage.root / "exp-1/variant-77").symlink_to(others[-1].parent)
    link = picture.parent / f"{digest}.link"
    link.symlink_to(picture)

    assert storage.sweep() == (0, 0)

    assert all(path.exists() for path in (*others, link))
    storage.check()


def test_a_name_that_is_no_text_does_not_stop_the_sweep(storage: RunnerStorage) -> None:
    """Where the next step begins has to travel; no file of ours has such a name."""
    lone(storage, "a/variant-0")
    folder = os.fsencode(storage.root)
    for name in (b"a/variant-0/\xff.png", b"\xff/variant-0/x", b"b/\xff/x"):
        (Path(os.fsdecode(folder + b"/" + name))).parent.mkdir(parents=True, exist_ok=True)
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"x")
    after: str | None = ""
    while after is not None:
        after = storage.cleaner.sweep(after, 1, dry_run=False).after
        msgspec.msgpack.encode(after)

    assert len(storage.names()) == 3


def test_a_sweep_of_nothing_is_nothing(storage: RunnerStorage) -> None:
    """The folder is made with the first result."""
    assert storage.sweep() == (0, 0)
    assert storage.cleaner.sweep("../../etc/passwd", 10, dry_run=False).files == 0
    assert storage.cleaner.sweep("/", 10, dry_run=False).files == 0
