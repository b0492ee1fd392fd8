"""A variant is made again from its status and the results of its jobs, and is what it was."""

from collections.abc import Sequence

import pytest
from msgspec import Raw, msgpack
from msgspec.structs import replace

from bus.contracts.messages import JobCompleted, JobResult
from bus.protocol.frames import Record
from learning_service.experiments import variants
from learning_service.experiments.model import variant_status
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.variants import Variant, seconds_of
from learning_service.storage.rebuilding import Evidence, readable, rebuild
from learning_service.storage.results import PictureRow, ResultRow, State
from tests.support.factories import CANCELLED, EXPERIMENT, JobScript, badly, context, planned_experiment, well

pytestmark = pytest.mark.fault(item="F62")
JOBS = 4


def name_of(repeat: int, round_: int = 0) -> str:
    """Return the id of a job of the first variant."""
    return job_id(EXPERIMENT, PlannedJob(0, repeat, round_))


def ended(name: str, result: JobResult, at: float) -> JobCompleted:
    """Return the end of a job of the first variant."""
    return replace(JobScript(context(), name).completed(result), finished_at=at)


def results_of(jobs: Sequence[JobCompleted]) -> list[ResultRow]:
    """Return what is stored of ends, in no particular order."""
    return [
        ResultRow(job.job_id, 0, 0, _state(job), seconds_of(job), job.finished_at, job.result.metrics, _error(job))
        for job in reversed(jobs)
    ]


def _state(job: JobCompleted) -> State:
    if job.result.cancelled:
        return "cancelled"
    return "completed" if job.result.success else "failed"


def _error(job: JobCompleted) -> str | None:
    return job.result.error.message if job.result.error else None


def pictures_of(jobs: Sequence[JobCompleted]) -> list[PictureRow]:
    """Return the stored pictures of ends."""
    return [PictureRow(image.sha256, job.job_id, 0, 0, image) for job in jobs for image in job.result.images]


def evidence(of: Variant, jobs: Sequence[JobCompleted], planned: Sequence[str]) -> Evidence:
    """Return what is left of a variant when its row is damaged."""
    published = variant_status(planned_experiment(), of)
    return Evidence(EXPERIMENT, 0, of.value, published, None, planned, JOBS, results_of(jobs), pictures_of(jobs))


def fresh() -> Variant:
    """Return a variant whose jobs are planned."""
    return Variant(index=0, value=2.0, jobs={name_of(n): "planned" for n in range(JOBS)}, revision=1, updated_at=1.0)


def after(variant: Variant, jobs: Sequence[JobCompleted]) -> Variant:
    """Return the variant after its jobs ended."""
    for job in jobs:
        variant = variants.job_ended(variant, job)
    return variant


ENDS = [
    ended(name_of(2), well("b", match=0.1), 20.0),
    ended(name_of(0), badly("no memory"), 21.0),
    ended(name_of(1), well("a", "c", match=0.2), 22.0),
    ended(name_of(3), CANCELLED, 23.0),
]


@pytest.mark.parametrize("count", range(JOBS + 1))
def test_it_is_what_it_was(count: int) -> None:
    """After any number of ends, with every count, sum and picture in its place."""
    variant = after(fresh(), ENDS[:count])

    assert rebuild(evidence(variant, ENDS[:count], list(fresh().jobs))) == variant


def test_jobs_that_were_withdrawn_have_ended() -> None:
    """They have no result, and stand nowhere any more; their number is known from the status."""
    variant = variants.cancelled(after(fresh(), ENDS[:2]), [name_of(1), name_of(3)], 30.0)

    assert rebuild(evidence(variant, ENDS[:2], [name_of(0), name_of(2)])) == variant


@pytest.mark.parametrize("is_told", [True, False], ids=["with its status", "without"])
def test_what_only_the_older_state_tells_is_kept(is_told: bool) -> None:
    """Which of the jobs without a result no runner ever had, and that one is in the place of a forgotten runner's."""
    older = variants.handed_on(fresh(), {name_of(0): name_of(0, 1)}, 10.0)
    older = variants.cancelled(older, [name_of(0, 1), name_of(3)], 11.0)
    variant = variants.job_ended(older, ENDS[0])
    seen = evidence(variant, ENDS[:1], [name_of(1), name_of(2)])._replace(older=older)

    rebuilt = rebuild(seen if is_told else seen._replace(published=None))

    assert rebuilt == (variant if is_told else replace(variant, revision=older.revision))
    assert rebuilt.jobs[name_of(1)] == "planned"


def test_a_job_that_was_retried_is_replaced() -> None:
    """By the later round of its seed; only that one counts."""
    variant = variants.retried(after(fresh(), ENDS), {name_of(0): name_of(0, 1)}, 40.0)
    left = [ENDS[0], *ENDS[2:]]

    assert rebuild(evidence(variant, left, [*fresh().jobs, name_of(0, 1)])) == variant


def test_a_result_that_is_lost_as_well_leaves_its_job_open() -> None:
    """The runner is asked for it; with its answer the variant is what it was."""
    variant = after(fresh(), ENDS)

    rebuilt = rebuild(evidence(variant, ENDS[1:], list(fresh().jobs)))

    assert (rebuilt.status, rebuilt.completed, rebuilt.failed, rebuilt.cancelled) == ("running", 1, 1, 1)
    assert rebuilt.jobs[name_of(2)] == "planned"
    again = variants.job_ended(rebuilt, ENDS[0])
    assert (again.status, again.completed, set(again.images)) == ("partial", 2, set(variant.images))


def test_a_job_whose_row_is_lost_as_well_is_planned_again() -> None:
    """The status tells how many there are."""
    variant = after(fresh(), ENDS[:1])

    rebuilt = rebuild(evidence(variant, ENDS[:1], [name_of(0), name_of(2), name_of(3)]))

    assert rebuilt.jobs == {**dict.fromkeys(fresh().jobs, "planned"), name_of(2): "ended"}


def test_without_a_status_the_results_tell() -> None:
    """What has a result counts; a seed that stands nowhere was withdrawn."""
    seen = evidence(after(fresh(), ENDS[:2]), ENDS[:2], [name_of(0), name_of(1), name_of(2)])._replace(published=None)

    rebuilt = rebuild(seen)

    assert (rebuilt.status, rebuilt.completed, rebuilt.failed, rebuilt.cancelled) == ("running", 1, 1, 1)
    assert (rebuilt.error, rebuilt.planned) == ("no memory", JOBS)


def test_jobs_of_a_discovered_experiment_have_any_name() -> None:
    """They are no rounds of each other."""
    jobs = [ended("one", well("a"), 20.0), ended("exp-1.two", badly("no"), 21.0)]
    variant = after(Variant(index=0, value=2.0, jobs={"one": "planned", "exp-1.two": "planned"}), jobs)

    assert rebuild(evidence(variant, jobs, [])).jobs == variant.jobs


def test_of_the_records_of_a_log_those_that_can_be_read_are_messages() -> None:
    """A damaged body, one of no message, and one of a later version cost themselves only."""
    first, last = ended(name_of(0), well(), 1.0), ended(name_of(1), well(), 2.0)
    wrong = {"type": "job.completed", "job_id": 5}
    bodies = [msgpack.encode(one) for one in (first, wrong, {"type": "from.later"}, last)]
    records = [Record(number, "job.completed.", 0, Raw(body)) for number, body in enumerate([*bodies, b"\xc1"], 1)]

    assert list(readable(records)) == [first, last]
