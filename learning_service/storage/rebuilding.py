"""A variant whose row was damaged, made again from what else is known of it. No file, no clock."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from bus.contracts.fields import VariantValue
from bus.contracts.messages import Message, VariantStatus, decode_body
from bus.protocol.frames import Record
from bus.protocol.validation import InvalidInputError
from learning_service.experiments import pictures, variants
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.plan import PlannedJob, job_id, parse_job_id
from learning_service.experiments.variants import IMAGES_LIMIT, Variant
from learning_service.storage.results import PictureRow, ResultRow


class Evidence(NamedTuple):
    """What the other tables and the newest published status say of a variant."""

    experiment_id: str
    variant_index: int
    value: VariantValue
    published: VariantStatus | None  # None: its record is damaged, too
    older: Variant | None  # the variant before what has changed since is lost; None: all of it is
    planned: Sequence[str]  # the jobs that were to be sent, all rounds; none of an imported or discovered experiment
    seeds: int  # jobs of a variant by the definition
    ended: Sequence[ResultRow]  # of this variant
    pictures: Sequence[PictureRow]


def readable(records: Iterable[Record]) -> Iterator[Message]:
    """Yield the messages of records of our own log, but for those that cannot be read."""
    for record in records:
        try:
            message = decode_body(record.body)
        except InvalidInputError:
            continue
        if message is not None:
            yield message


def rebuild(seen: Evidence) -> Variant:
    """Return the variant as it was published last, or as far as the results of its jobs tell.

    A job whose end is not known counts as planned: its runner has to be asked.
    """
    ends = sorted(seen.ended, key=lambda row: row.finished_at)  # in the order in which they were counted
    jobs = _phases(seen, ends)
    phases, states = Counter(jobs.values()), Counter(row.state for row in ends)
    completed, failed = states["completed"], states["failed"]
    cancelled = phases["ended"] - completed - failed  # those that no runner had have no result
    variant = Variant(
        index=seen.variant_index,
        value=seen.value,
        jobs=jobs,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        replaced=phases["replaced"],
        handed_on=seen.older.handed_on if seen.older else 0,
        packed=pictures.pack([row.image for row in seen.pictures if jobs.get(row.job_id) == "ended"][:IMAGES_LIMIT]),
        error=next((row.error for row in reversed(ends) if row.state == "failed"), None),
        metric_sums=_metric_sums(ends),
        duration_sum=sum(row.seconds or 0.0 for row in ends),
        revision=seen.older.revision if seen.older else 0,
        updated_at=ends[-1].finished_at if ends else 0.0,
    )
    status = variants.transition("running", variants.end_of(completed, failed, cancelled))
    variant = replace(variant, status="running" if phases["planned"] or not jobs else status)
    return _with_published(variant, seen.published) if seen.published else variant


def _with_published(variant: Variant, published: VariantStatus) -> Variant:
    """Return the variant with what only its status tells; all of that, if no end is missing."""
    counts = published.completed, published.failed, published.cancelled
    whole = counts == (variant.completed, variant.failed, variant.cancelled) and published.planned == variant.planned
    is_status_good = whole or (published.status not in variants.ENDED and variant.status == "running")
    return replace(
        variant,
        status=published.status if is_status_good else variant.status,
        packed=pictures.pack(published.images) if whole else variant.packed,
        error=published.error if whole else variant.error,
        warned=min(published.warned, variant.completed),
        warning=published.warning,
        reused=min(published.reused, variant.completed),
        rating=published.rating,
        revision=published.revision,
        updated_at=published.updated_at,
    )


def _phases(seen: Evidence, ends: Sequence[ResultRow]) -> dict[str, JobPhase]:
    """Return how far each job is: a later round replaces an earlier one, and what is nowhere was withdrawn."""
    ended = {row.job_id for row in ends}
    older = seen.older.jobs if seen.older else {}
    names = list(dict.fromkeys([*older, *seen.planned, *(row.job_id for row in ends)]))
    newest: dict[int, int] = {}
    ours = [name for name in names if _is_ours(seen.experiment_id, name)]
    for repeat, round_ in ((job.repeat_index, job.round) for job in map(parse_job_id, ours)):
        newest[repeat] = max(round_, newest.get(repeat, 0))
    jobs: dict[str, JobPhase] = {name: "ended" if name in ended else "planned" for name in names}
    withdrawn = _withdrawn(seen, ends)
    known = [name for name in names if jobs[name] == "planned" and older.get(name) == "ended"][: max(0, withdrawn)]
    jobs.update(dict.fromkeys(known, "ended"))
    for name in ours:
        job = parse_job_id(name)
        if job.round < newest[job.repeat_index]:
            jobs[name] = "replaced"
    wanted = seen.published.planned if seen.published else seen.seeds
    missing = wanted - sum(phase != "replaced" for phase in jobs.values())
    free = (repeat for repeat in range(len(newest) + max(0, missing)) if repeat not in newest)
    for repeat, place in zip(free, range(missing), strict=False):
        name = job_id(seen.experiment_id, PlannedJob(seen.variant_index, repeat))
        jobs[name] = "ended" if place < withdrawn - len(known) else "planned"
    return jobs


def _withdrawn(seen: Evidence, ends: Sequence[ResultRow]) -> int:
    """Return how many jobs were cancelled before a runner had them; without a status, those that are missing."""
    if seen.published is None:
        return seen.seeds
    return seen.published.cancelled - sum(row.state == "cancelled" for row in ends)


def _is_ours(experiment_id: str, name: str) -> bool:
    """Return whether a job was named by a plan; those of discovered experiments have any name."""
    parts = name.removeprefix(f"{experiment_id}.").split(".")
    return (
        name.startswith(f"{experiment_id}.")
        and len(parts) == len(PlannedJob._fields)
        and all(part.isascii() and part.isdecimal() for part in parts)
    )


def _metric_sums(ends: Sequence[ResultRow]) -> dict[str, tuple[float, int]]:
    sums: dict[str, tuple[float, int]] = {}
    for row in ends:
        if row.state == "completed":
            variants.add_metrics(sums, row.metrics)
    return sums
