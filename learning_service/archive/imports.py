"""Build an experiment from the records of an export. No socket, no file."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from bus.contracts.archive import ImportParams, Records, ResultRecord
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.messages import ImageRef, JobCompleted, JobError, JobResult, LearningContext
from bus.contracts.pipeline_specs import StageSpec
from bus.contracts.scoring import without_program
from bus.contracts.values import identity
from bus.protocol.validation import InvalidInputError
from bus.transport.steps import Steps
from learning_service.experiments import variants
from learning_service.experiments.axes import axes_of
from learning_service.experiments.blocks import check_repeats
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.plan import (
    DEFINITION_BYTES,
    MAX_JOBS,
    PlannedJob,
    check_objective,
    check_size,
    check_sizes,
    job_id,
)
from learning_service.experiments.settings import check_text_sizes, job_config, parts_of
from learning_service.experiments.variants import Variant

AT_ONCE: Final = 1000  # records between two steps


def check_import(params: ImportParams, max_variants: int) -> None:
    """Check one part.

    Raises:
        InvalidInputError: naming the field.
    """
    axes_of(params.definition)
    check_repeats(params.definition)
    check_objective(params.definition, StageSpec())
    check_sizes(params.definition, "definition.")
    check_size("values", params.values, DEFINITION_BYTES)
    if not 1 <= len(params.values) <= max_variants:
        raise InvalidInputError(f"values: {len(params.values)}; an experiment has 1 to {max_variants}")
    if len({identity(value) for value in params.values}) < len(params.values):
        raise InvalidInputError("values: one is there twice")
    _check_parts(params)
    if params.part >= params.parts:
        raise InvalidInputError(f"part: {params.part} is none of {params.parts}; the first one is 0")
    for kind in ("results", "pictures"):
        for place, record in enumerate(getattr(params.records, kind), 1):
            _check_place(f"records.{kind} #{place}", params, record)
    for place, one in enumerate(params.records.comparisons, 1):
        if max(one.left_variant, one.right_variant) >= len(params.values):
            raise InvalidInputError(f"records.comparisons #{place}: there is no such variant")


def _check_parts(params: ImportParams) -> None:
    """Refuse values that are not those of the variables, where what they set follows from that."""
    if all(knob.is_plain for knob in params.definition.knobs):
        return
    names = {knob.name for knob in params.definition.knobs}
    for number, value in enumerate(params.values):
        if parts_of(params.definition, value).keys() != names:
            raise InvalidInputError(f"values #{number}: is no value of {', '.join(sorted(names))}; export it again")
    check_text_sizes(params.definition, params.values)


def _check_place(where: str, params: ImportParams, record: ResultRecord) -> None:
    if record.variant_index >= len(params.values):
        raise InvalidInputError(f"{where}.variant_index: {record.variant_index}; there are {len(params.values)} values")
    start = job_id(params.experiment_id, PlannedJob(record.variant_index, record.repeat_index))[:-1]
    rest = record.job_id.removeprefix(start)
    if not (record.job_id.startswith(start) and rest.isascii() and rest.isdecimal()):
        raise InvalidInputError(f"{where}.job_id: {record.job_id!r}; must be {start}0, or a later round of it")


def joined(parts: Sequence[ImportParams]) -> ImportParams:
    """Return the parts joined in their order.

    Raises:
        InvalidInputError: they are not of one experiment, or there are too many jobs.
    """
    first = parts[0]
    for part in parts:
        alike = (part.definition, part.values, part.created_at, part.parts)
        if alike != (first.definition, first.values, first.created_at, first.parts):
            raise InvalidInputError(f"part: {part.part} is of another export than part 0; import it again as a whole")
    records = Records(
        results=[one for part in parts for one in part.records.results],
        pictures=[one for part in parts for one in part.records.pictures],
        ratings=[one for part in parts for one in part.records.ratings],
        comparisons=[one for part in parts for one in part.records.comparisons],
    )
    if len(records.results) > MAX_JOBS:
        raise InvalidInputError(f"records.results: {len(records.results)} jobs are more than {MAX_JOBS}")
    return replace(first, records=records)


def pictures_by_job(records: Records) -> Steps[dict[str, list[ImageRef]]]:
    """Return the pictures of each job."""
    found: dict[str, list[ImageRef]] = {}
    for place, picture in enumerate(records.pictures):
        found.setdefault(picture.job_id, []).append(picture.image)
        if place % AT_ONCE == 0:
            yield None
    return found


def harmless(whole: ImportParams) -> ImportParams:
    """Return an import whose experiment starts no program that somebody else has written into it for its scores."""
    return replace(whole, definition=without_score_program(whole.definition))


def without_score_program(definition: ExperimentDefinition) -> ExperimentDefinition:
    """Return a definition whose scores come of scorers alone that the runner has."""
    return replace(definition, score=without_program(definition.score))


def completed_job(whole: ImportParams, record: ResultRecord, images: Sequence[ImageRef]) -> JobCompleted:
    """Return the end of a job as the event that its runner would have published."""
    definition, value = whole.definition, whole.values[record.variant_index]
    return JobCompleted(
        job_id=record.job_id,
        stage=definition.stage,
        pipeline=definition.pipeline,
        attempt=1,
        learning_context=LearningContext(
            experiment_id=whole.experiment_id,
            experiment_name=definition.name,
            variant_index=record.variant_index,
            variable_under_test=definition.variable_name,
            variant_value=value,
            repeat_index=record.repeat_index,
        ),
        config=job_config(definition, value, record.repeat_index),
        result=JobResult(
            success=record.state == "completed",
            cancelled=record.state == "cancelled",
            error=JobError(kind="imported", message=record.error or "") if record.state == "failed" else None,
            images=tuple(images),
            metrics=record.metrics,
            seconds=record.seconds,
            warnings=record.warnings or (),
            reused_from=record.reused_from or None,
        ),
        queued_at=record.finished_at,
        started_at=None,
        finished_at=record.finished_at,
    )


def planned_variants(whole: ImportParams) -> Steps[list[Variant]]:
    """Return the variants before their jobs ended: with a job for each record, and for each seed that has none."""
    names: list[dict[str, JobPhase]] = [{} for _ in whole.values]
    seeds: list[set[int]] = [set() for _ in whole.values]
    for place, record in enumerate(whole.records.results):
        names[record.variant_index][record.job_id] = "planned"
        seeds[record.variant_index].add(record.repeat_index)
        if place % AT_ONCE == 0:
            yield None
    for index, present in enumerate(seeds):
        for repeat in range(whole.definition.repeats):
            if repeat not in present:
                names[index][job_id(whole.experiment_id, PlannedJob(index, repeat))] = "planned"
    return [
        Variant(index=index, value=value, jobs=jobs)
        for index, (value, jobs) in enumerate(zip(whole.values, names, strict=True))
    ]


def finished(variant: Variant, created_at: float) -> Variant:
    """Return the variant after all records: a seed without one counts as cancelled."""
    missing = [name for name, phase in variant.jobs.items() if phase == "planned"]
    ended = variants.cancelled(variant, missing, created_at) if missing else variant
    return replace(ended, revision=1)
