"""Removing results: their files before their rows are gone for good, and never what somebody needs."""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.contracts.messages import JobState
from pipeline_runner.outputs import safe_paths
from pipeline_runner.outputs.files import thumbnail_path
from tests.support.factories import context
from tests.support.runner_storage import ENDED, LATER, RunnerStorage

CONTENTS: Final = (b"red", b"green", b"blue")


class Crash(BaseException):
    """The death of the process."""


@pytest.fixture
def storage(no_leaks: None, tmp_path: Path) -> Iterator[RunnerStorage]:  # noqa: ARG001 - it looks after us
    """Return a storage with nothing in it."""
    storage = RunnerStorage(tmp_path)
    yield storage
    storage.log.close()


def test_an_experiment_goes_with_all_its_files(storage: RunnerStorage) -> None:
    """Pictures, sidecars, thumbnails, folders and the records of its jobs; nothing of another one."""
    storage.job("a", context(0, 1.0), b"red", b"green")
    storage.job("b", context(1, 2.0), b"blue", state="failed")
    storage.job("c", context(experiment="exp-10"), b"white")
    storage.job("d", None, b"black")

    assert storage.remove(["exp-1"]) == (3, len(b"redgreenblue"), 2)

    assert storage.jobs() == ["c", "d"]
    assert storage.removed == ["a", "b"]
    assert storage.names() == storage.expected()
    assert len(storage.names()) == 6
    assert storage.folders() == {"exp-10", "exp-10/variant-00_cfg_scale-2.0", "jobs", "jobs/d"}


def test_jobs_outside_any_experiment_go_by_their_age(storage: RunnerStorage) -> None:
    """Only those that ended before."""
    storage.job("old", None, b"red", ended=10.0)
    storage.job("edge", None, b"green", ended=20.0)
    storage.job("new", None, b"blue", ended=30.0)

    assert storage.remove([None], before=20.0) == (1, 3, 1)

    assert storage.jobs() == ["edge", "new"]
    assert storage.names() == storage.expected()


def test_nothing_goes_that_is_not_named(storage: RunnerStorage) -> None:
    """No owner, no removal; an unknown one neither."""
    storage.job("a", context(), b"red")
    storage.job("b", None, b"red")

    assert storage.remove([]) == storage.remove(["exp-2", ""]) == (0, 0, 0)

    assert storage.jobs() == ["a", "b"]
    storage.check()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_experiment_that_is_at_work_stays_whole(storage: RunnerStorage, state: JobState) -> None:
    """A job that has not ended may be about to name a file that an ended one has made too."""
    storage.job("a", context(repeat=0), b"red")
    storage.job("b", context(repeat=1), b"red", state=state)

    assert storage.remove(["exp-1"]) == (0, 0, 0)

    assert storage.jobs() == ["a", "b"]
    storage.check()


def test_a_file_of_two_jobs_goes_with_the_last(storage: RunnerStorage) -> None:
    """Each takes its own sidecar along."""
    storage.job("a", context(repeat=0), b"red", ended=10.0)
    storage.job("b", context(repeat=1), b"red", ended=20.0)

    assert storage.remove(["exp-1"], before=15.0) == (0, 0, 1)
    storage.check()
    assert storage.names() == storage.expected()

    assert storage.remove(["exp-1"]) == (1, 3, 1)
    assert storage.names() == set()


def test_a_thumbnail_goes_with_the_last_picture_of_its_hash(storage: RunnerStorage) -> None:
    """Two experiments may have made the same picture."""
    storage.job("a", context(), b"red")
    storage.job("b", context(experiment="exp-2"), b"red")

    storage.remove(["exp-1"])
    storage.check()

    storage.remove(["exp-2"])
    assert storage.names() == set()


def test_a_thumbnail_that_a_job_has_just_made_stays(storage: RunnerStorage) -> None:
    """The job that found it there has not ended yet; the next sweep takes it if nobody needs it."""
    storage.job("a", context(), b"red")
    storage.job("b", None, state="running")
    storage.ahead = 0.0

    storage.remove(["exp-1"])
    assert storage.names() == {thumbnail_path(hashlib.sha256(b"red").hexdigest())}

    storage.ahead = LATER
    assert storage.sweep() == (1, len(b"small"))
    assert storage.names() == set()


def test_a_new_thumbnail_goes_while_no_job_runs(storage: RunnerStorage) -> None:
    """Then nobody can have found it there."""
    storage.job("a", context(), b"red")
    storage.ahead = 0.0

    storage.remove(["exp-1"])

    assert storage.names() == set()


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_a_step_is_bounded_and_the_steps_are_the_whole(storage: RunnerStorage, limit: int) -> None:
    """Also within one job that has made much."""
    storage.job("a", context(), *(b"%d" % number for number in range(5)))
    storage.job("b", context(1), b"red")
    storage.job("c", None)
    storage.job("d", None, b"blue")

    assert storage.remove(["exp-1", None], limit=limit) == (7, 5 + 3 + 4, 4)

    assert (storage.jobs(), storage.names()) == ([], set())


def test_a_job_whose_record_is_gone_can_be_submitted_again(storage: RunnerStorage) -> None:
    """Its id is new again."""
    record = storage.job("a", None, b"red")
    storage.remove([None])

    with storage.log.transaction() as tx:
        assert storage.store.insert(tx, [record])


def test_a_file_that_is_gone_already_is_no_trouble(storage: RunnerStorage) -> None:
    """What somebody removed by hand is not counted."""
    record = storage.job("a", None, b"red", b"green")
    assert record.result
    (storage.root / record.result.images[0].path).unlink()

    assert storage.remove([None]) == (1, len(b"green"), 1)


def test_a_file_that_cannot_be_removed_does_not_stop_the_rest(
    storage: RunnerStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names it, and a later sweep tries it again."""
    storage.job("a", None, b"red", b"green")
    stuck = hashlib.sha256(b"red").hexdigest() + ".bin"
    unlink = safe_paths.unlink

    def refuse(root: Path, path: str) -> None:
        if path.endswith(stuck):
            raise PermissionError(13, "Permission denied", path)
        unlink(root, path)

    monkeypatch.setattr(safe_paths, "unlink", refuse)
    assert storage.remove([None]) == (1, len(b"green"), 1)
    assert f"cannot remove jobs/a/{stuck}" in caplog.text
    assert storage.names() == {f"jobs/a/{stuck}"}

    monkeypatch.setattr(safe_paths, "unlink", unlink)
    assert storage.sweep() == (1, 3)
    assert storage.folders() == {"jobs"}


def dying(calls: int) -> Callable[[Path, str], None]:
    """Return an `unlink` that dies instead of its last call."""
    unlink, left = safe_paths.unlink, [calls]

    def die(root: Path, path: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        unlink(root, path)

    return die


@pytest.mark.parametrize("calls", range(8))
@pytest.mark.fault(item="F103")
def test_a_crash_between_two_files_leaves_nothing_behind_for_good(
    storage: RunnerStorage, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Whatever was removed before it, what others need is there, and the same request takes the rest."""
    storage.job("a", context(0), b"red", b"green")
    storage.job("b", context(1), b"red")
    storage.job("c", context(experiment="exp-2"), b"red")
    storage.job("d", None, b"green", ended=2000.0)
    with monkeypatch.context() as patched:
        patched.setattr(safe_paths, "unlink", dying(calls))
        with contextlib.suppress(Crash):
            storage.remove(["exp-1"])
    assert "c" in storage.jobs()
    storage.remove(["exp-1"])

    assert storage.jobs() == ["c", "d"]
    storage.check()
    assert storage.names() == storage.expected(), "no sweep is needed"


def test_a_crash_before_the_commit_takes_nothing(storage: RunnerStorage) -> None:
    """Rows and files are as they were."""
    storage.job("a", context(), b"red")
    storage.log.query("CREATE TEMP TRIGGER die BEFORE DELETE ON jobs BEGIN SELECT raise(ABORT, 'dead'); END")
    before = storage.names()

    with pytest.raises(Exception, match="dead"):
        storage.remove(["exp-1"])

    assert (storage.jobs(), storage.names()) == (["a"], before)
    storage.check()


JOBS = st.lists(
    st.tuples(
        st.sampled_from([None, "exp-1", "exp-10", "jobs", "a/b"]),
        st.integers(0, 1),
        st.lists(st.sampled_from(CONTENTS), max_size=3),
        st.sampled_from([*ENDED, "queued", "running"]),
        st.sampled_from([10.0, 20.0]),
    ),
    max_size=8,
)
STEPS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([None, "exp-1", "exp-10", "jobs", "a/b", "none"]), max_size=3, unique=True),
        st.sampled_from([5.0, 15.0, 25.0]),
        st.integers(1, 4),
        st.integers(0, 6) | st.just(1000),
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(jobs=JOBS, steps=STEPS)
def test_whatever_is_removed_what_others_refer_to_is_there(jobs: list[Any], steps: list[Any]) -> None:
    """Jobs that were not named, or had not ended by then, keep their record and every file, through crashes too."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.fsync", lambda _descriptor: None)
        storage = RunnerStorage(Path(folder))
        kept: dict[str, tuple[str | None, JobState, float]] = {}
        for number, (owner, index, data, state, ended) in enumerate(jobs):
            mark = context(index, experiment=owner) if owner is not None else None
            storage.job(f"job-{number}", mark, *data, state=state, ended=ended)
            kept[f"job-{number}"] = (owner, state, ended)
        try:
            for owners, before, limit, calls in steps:
                busy = {owner for owner, state, _ in kept.values() if owner is not None and state not in ENDED}
                for name, (owner, state, ended) in list(kept.items()):
                    if owner in owners and owner not in busy and state in ENDED and ended < before:
                        kept.pop(name)
                with patched.context() as dead:
                    dead.setattr(safe_paths, "unlink", dying(calls))
                    with contextlib.suppress(Crash):
                        storage.remove(owners, before, limit)
                storage.check(list(kept))
                storage.remove(owners, before, limit)
                storage.sweep(limit)
                storage.check()
                assert storage.jobs() == sorted(kept)
        finally:
            storage.log.close()
