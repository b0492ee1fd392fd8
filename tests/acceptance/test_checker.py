"""The checker of the other tests notices what it is there for: its negative controls."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.contracts.messages import ImageRef, Message, VariantStatus
from learning_service.experiments.model import variant_status
from learning_service.experiments.variants import Variant
from tests.support.checker import check_files, check_jobs, check_life, check_revisions, torn_files
from tests.support.factories import EXPERIMENT, JobScript, context, planned_experiment, planned_jobs
from tests.support.invariants import Event, check_offsets

JOB = JobScript(context(), "job-1")
LIFE: list[Message] = [JOB.queued(), JOB.started(), JOB.queued(attempt=1), JOB.started(attempt=2)]
LIFE.append(JOB.completed(attempt=2))


@pytest.mark.parametrize(
    ("offsets", "complaint"),
    [
        ([1, 3], "a hole"),
        ([1, 2], "a hole"),
        ([1, 2, 2, 3], "more than once"),
        ([1, 3, 2], "out of order"),
        ([], "hole"),
    ],
)
def test_a_hole_a_repetition_and_a_wrong_order_are_noticed(offsets: list[int], complaint: str) -> None:
    """Offsets must be 1, 2, 3 up to the head, each once."""
    check_offsets([1, 2, 3], 3)

    with pytest.raises(AssertionError, match=complaint):
        check_offsets(offsets, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda life: life[1:],  # never queued
        lambda life: life[:-1],  # never ended
        lambda life: [*life, life[-1]],  # ended twice
        lambda life: [*life, life[0]],  # queued after its end
        lambda life: [*life[:2], *life[3:]],  # taken again without a queue
        lambda life: [*life[:3], JOB.started(attempt=1), life[4]],  # an attempt counted twice
        lambda life: [*life[:4], JOB.completed(attempt=1)],  # ended in an attempt that was over
    ],
)
def test_a_life_that_no_job_may_have_is_noticed(spoil: Callable[[list[Message]], list[Message]]) -> None:
    """A job is queued before each attempt, attempts count up, and the last one has the one end."""
    check_life(LIFE)

    with pytest.raises(AssertionError):
        check_life(spoil(LIFE))


@pytest.mark.parametrize("planned", [[], ["job-1", "job-2"], ["job-2"]])
def test_a_job_that_is_missing_or_was_not_planned_is_noticed(planned: list[str]) -> None:
    """The ends in the log are those of the plan."""
    events = [Event(offset, "job", message) for offset, message in enumerate(LIFE, 1)]
    check_jobs(events, ["job-1"])

    with pytest.raises(AssertionError, match="each planned job"):
        check_jobs(events, planned)


@pytest.mark.parametrize("revisions", [[1, 2, 2], [1, 3, 2], [1, 2, 1], [2, 3]])
def test_a_revision_that_repeats_or_goes_back_is_noticed(revisions: list[int]) -> None:
    """Revisions of a variant begin with 1 and grow."""
    check_revisions([Event(number, "variant", status(number)) for number in (1, 2, 4)], EXPERIMENT)

    with pytest.raises(AssertionError, match="revisions"):
        check_revisions([Event(1, "variant", status(number)) for number in revisions], EXPERIMENT)


def status(revision: int) -> VariantStatus:
    """Return the state of a variant."""
    return variant_status(planned_experiment(), Variant(index=0, value=2.0, jobs=planned_jobs(), revision=revision))


def test_a_torn_file_is_noticed(tmp_path: Path) -> None:
    """A file whose content has not the hash in its name was not written whole."""
    name = hashlib.sha256(b"whole").hexdigest()
    image = ImageRef(sha256=name, path=f"{name}.txt", width=0, height=0)
    (tmp_path / image.path).write_bytes(b"whole")
    check_files(tmp_path, [image])
    assert torn_files(tmp_path) == []

    (tmp_path / image.path).write_bytes(b"who")
    (tmp_path / f"{name}.png").write_bytes(b"who")

    with pytest.raises(AssertionError):
        check_files(tmp_path, [image])
    assert torn_files(tmp_path) == [tmp_path / f"{name}.png"]
