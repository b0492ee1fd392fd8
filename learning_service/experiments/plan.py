"""Planning: from a definition to variants and jobs, by pure functions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from bus.contracts.definition import OF_THE_WHOLE, ExperimentDefinition
from bus.contracts.fields import SEED_MAX, VariantValue
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import LearningContext
from bus.contracts.pipeline_specs import (
    SEED,
    Pipelines,
    StageSpec,
    check_config,
    check_text,
    find_stage,
    variables_of,
)
from bus.contracts.scoring import check_score, metric_names
from bus.protocol.validation import InvalidInputError, near_miss
from learning_service.experiments.axes import MAX_VARIANTS, axes_of, settings_set
from learning_service.experiments.axis_checks import Offered, check_axes, check_marks, check_settings
from learning_service.experiments.blocks import BLOCKS_BYTES, check_blocks, in_block, shared_config
from learning_service.experiments.grid import grid_of, plan_values
from learning_service.experiments.settings import check_text_sizes, job_config, value_settings, varied_settings
from learning_service.experiments.skips import check_skips
from learning_service.experiments.space import Space, first_round, space_of

OF_PEOPLE: Final = ("stars", "preference")  # objectives that people decide, by ratings and by comparisons
SECONDS: Final = "seconds"  # the objective that every job has
MAX_JOBS: Final = 100_000
VALUE_BYTES: Final = 65_536  # of a value: it travels with every job twice
VALUES_BYTES: Final = VALUE_BYTES + 8192  # of all of a variant: the longest prompt beside samplers
CONFIG_BYTES: Final = 98_304  # with two values it stays below `job_bytes`, and twice that below the limit of a message
SCORE_BYTES: Final = 16_384  # of what measures pictures: it travels with every job
DEFINITION_BYTES: Final = 524_288  # of all values: they travel with every status of their experiment


class PlannedJob(NamedTuple):
    """One job of a plan; retry rounds count from 0."""

    variant_index: int
    repeat_index: int
    round: int = 0


def job_id(experiment_id: str, job: PlannedJob) -> str:
    """Derive a job's id from what it is, so that submitting it again adds nothing. Ids hold no dot, so it is unique."""
    return f"{experiment_id}.{job.variant_index}.{job.repeat_index}.{job.round}"


def parse_job_id(name: str) -> PlannedJob:
    """Return variant, repeat and retry round of a job id."""
    return PlannedJob(*map(int, name.rsplit(".", 3)[1:]))


def is_slow(definition: ExperimentDefinition, pipelines: Pipelines) -> bool:
    """Return whether the pipeline takes long to go from one value to another, as from model to model."""
    spec = find_stage(pipelines, definition.pipeline, definition.stage)
    variables = variables_of(spec, shared_config(definition), _names(definition))
    specs = [variables.get(name) for name in _names(definition)]
    return any(spec is not None and spec.slow for spec in specs)


def _names(definition: ExperimentDefinition) -> list[str]:
    """Return the settings that any variable sets."""
    return [name for knob in definition.knobs for name in sorted(settings_set(knob))]


def job_request(
    experiment_id: str, definition: ExperimentDefinition, value: VariantValue, job: PlannedJob
) -> JobRequest:
    """Return the request that submits a planned job."""
    return JobRequest(
        job_id=job_id(experiment_id, job),
        pipeline=definition.pipeline,
        stage=definition.stage,
        config=job_config(definition, value, job.repeat_index),
        learning_context=LearningContext(
            experiment_id=experiment_id,
            experiment_name=definition.name,
            variant_index=job.variant_index,
            variable_under_test=definition.variable_name,
            variant_value=value,
            repeat_index=job.repeat_index,
            metric=metric_of(definition) or UNSET,
            settings=_settings_named(definition, value, job.repeat_index),
        ),
        priority=definition.priority,
        exclusive=runs_alone(definition),
        score=definition.score,
        score_base=score_base(experiment_id, job.repeat_index) if definition.score else "",
    )


def score_base(experiment_id: str, repeat_index: int) -> str:
    """Return how the ids of all rounds of the job begin that has the first value and this repeat."""
    return job_id(experiment_id, PlannedJob(0, repeat_index)).removesuffix("0")


def _settings_named(
    definition: ExperimentDefinition, value: VariantValue, repeat_index: int
) -> tuple[str, ...] | UnsetType:
    """Return the settings that values decide in a repeat, unless these are what the variables are called."""
    if all(knob.is_plain for knob in definition.knobs):
        return UNSET
    return tuple(sorted({*_names(definition), *value_settings(definition, value, repeat_index)}))


def first_jobs(
    experiment_id: str, definition: ExperimentDefinition, values: Mapping[int, VariantValue]
) -> Iterator[JobRequest]:
    """Yield a job of each block and of each of these values: a runner that takes these takes the others."""
    for index, value in islice(values.items(), 1):
        for block in range(max(1, len(definition.blocks))):
            yield job_request(experiment_id, definition, value, PlannedJob(index, block))
    for index, value in islice(values.items(), 1, None):
        yield job_request(experiment_id, definition, value, PlannedJob(index, 0))


def runs_alone(definition: ExperimentDefinition) -> bool:
    """Return whether nothing else runs beside a job of an experiment, which would change its time."""
    is_timed = definition.objective == SECONDS or definition.within is not None
    return is_timed if definition.exclusive is None else definition.exclusive


def metric_of(definition: ExperimentDefinition) -> str:
    """Return the metric by which an experiment is decided, "" if no job has to report one."""
    return "" if definition.objective in (*OF_PEOPLE, SECONDS) else definition.objective


def check_objective(definition: ExperimentDefinition, spec: StageSpec) -> None:
    """Refuse an objective that no job can have.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    if definition.goal == "minimize" and definition.objective in OF_PEOPLE:
        raise InvalidInputError(f"goal: more {definition.objective} is always better; leave it out")
    if definition.slack is not None and definition.objective == SECONDS:
        raise InvalidInputError("within: the time alone decides here; leave it out, or give another objective")
    name = metric_of(definition)
    if name and spec.metrics is not None and name not in (known := (*spec.metrics, *metric_names(definition.score))):
        hint = near_miss(name, [*known, *OF_PEOPLE, SECONDS])
        stage = f"{definition.pipeline} ({definition.stage})"
        raise InvalidInputError(f"objective: {stage} reports no metric {name!r}; {hint}")


def plan_space(definition: ExperimentDefinition, pipelines: Pipelines) -> Space:
    """Return all values that an adaptive experiment chooses from.

    Raises:
        InvalidInputError: they are all that a pipeline offers, and no runner offers it now.
    """
    if all(knob.values != "all" for knob in definition.knobs):
        return space_of(definition)
    return space_of(
        definition,
        variables_of(
            find_stage(pipelines, definition.pipeline, definition.stage), shared_config(definition), _names(definition)
        ),
    )


def check_plan(
    definition: ExperimentDefinition,
    pipelines: Pipelines,
    max_variants: int = MAX_VARIANTS,
    kept: Sequence[VariantValue] = (),
) -> list[VariantValue]:
    """Check a definition against what runners offer, before anything is stored; return the values of its variants.

    Those of a search are the ones that it begins with; a sample begins with the values that are `kept`.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    if definition.is_adopted:
        raise InvalidInputError("seeds: those of pictures that were adopted; write seed and jobs_per_variant")
    spec = find_stage(pipelines, definition.pipeline, definition.stage)
    if definition.score:
        check_score(definition.score, spec.metrics or ())
        check_size("score", definition.score, SCORE_BYTES)
    check_objective(definition, spec)
    check_blocks(definition)
    offered = variables_of(spec, shared_config(definition), _names(definition))
    check_axes(definition, spec, offered)
    check_text("name", definition.name)
    check_seeds(definition)
    _check_places(definition, {*spec.config, *offered})
    values = _values(definition, max_variants, offered, kept)
    if definition.mode == "grid" and len(values) * definition.repeats > MAX_JOBS:
        count = f"{len(values)} variants x {definition.repeats}"
        raise InvalidInputError(f"jobs_per_variant: {count} jobs are more than {MAX_JOBS}")
    check_sizes(definition)
    for (where, knob), (_, listed) in zip(
        axes_of(definition), grid_of(definition, max_variants, offered).axes, strict=True
    ):
        for index, one in enumerate(listed, 1):
            check_size(f"{where}.values #{index}", one, VALUE_BYTES)
        check_size(f"{where}.settings", knob.settings, DEFINITION_BYTES)
        check_settings(where, knob, listed, spec, offered)
    check_size("values", values, DEFINITION_BYTES)
    check_text_sizes(definition, values)
    _check_jobs(spec, definition, values)
    return values


def _check_places(definition: ExperimentDefinition, known: Collection[str]) -> None:
    """Refuse what is no setting: in a file, whatever stands behind the head of a table belongs to that table."""
    if SEED in definition.config:
        raise InvalidInputError("config.seed: write seed at the top level; every variant gets the same seeds")
    for name in definition.config:
        if name in OF_THE_WHOLE and name not in known:
            raise InvalidInputError(f"config.{name}: is no setting; write it above the first table, such as [config]")


def _values(
    definition: ExperimentDefinition, max_variants: int, offered: Offered, kept: Sequence[VariantValue]
) -> list[VariantValue]:
    check_skips(definition, grid_of(definition, max_variants, offered).axes)
    space = space_of(definition, offered)
    check_search(definition, space)
    if definition.mode == "grid":
        return plan_values(definition, max_variants, offered, kept)
    if space.size <= max_variants:
        return plan_values(replace(definition, sample=None), max_variants, offered)
    if definition.budget and definition.budget > max_variants:
        text = f"a search over {space.size} combinations has at most {max_variants} jobs; take fewer"
        raise InvalidInputError(f"budget: {text}, or raise --max-variants of the learning service")
    return first_round(space, definition.sample, definition.seed)


def _check_jobs(spec: StageSpec, definition: ExperimentDefinition, values: Sequence[VariantValue]) -> None:
    varied = varied_settings(definition)
    jobs = [(value, 0) for value in values]
    jobs += [(values[0], repeat) for repeat in range(1, len(definition.blocks))]  # whether a block fits
    for number, (value, repeat) in enumerate(jobs, 1):
        if repeat == 0:
            check_size(f"variant #{number}: its values together", value, VALUES_BYTES)
        check_marks(definition, value, repeat)
        config = job_config(definition, value, repeat)
        if varied != {knob.name for knob in definition.knobs}:
            check_size(f"variant #{number}: its settings", config, CONFIG_BYTES + VALUES_BYTES)
        try:
            check_config(spec, config, varied)
        except InvalidInputError as error:
            raise InvalidInputError(in_block(definition, repeat, str(error))) from None


def check_sizes(definition: ExperimentDefinition, where: str = "") -> None:
    """Refuse settings that no request could hold.

    Raises:
        InvalidInputError: naming the field.
    """
    check_size(f"{where}config", definition.config, CONFIG_BYTES)
    check_size(f"{where}blocks", definition.blocks, BLOCKS_BYTES)
    for place in range(len(definition.blocks)):
        check_size(f"{where}blocks #{place + 1}: with config", shared_config(definition, place), CONFIG_BYTES)


def check_seeds(definition: ExperimentDefinition) -> None:
    """Refuse seeds that no message can hold.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    last = definition.seed + definition.jobs_per_variant - 1
    if last > SEED_MAX:
        raise InvalidInputError(
            f"seed: the last one would be {last}, and at most {SEED_MAX} is possible; take a lower one"
        )


def check_search(definition: ExperimentDefinition, space: Space) -> None:
    """Refuse a budget that does not fit, and a search where there is nothing to choose from.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    if definition.mode != "adaptive":
        if definition.budget is not None:
            raise InvalidInputError('budget: only an adaptive experiment has one; remove it, or set mode = "adaptive"')
        return
    if definition.budget is None:
        raise InvalidInputError("budget: missing; say how many jobs an adaptive experiment may have in all")
    if sum(1 for _ in islice(space.points(), 2)) < 2:  # noqa: PLR2004 - a choice
        where = "variable.values" if definition.variable else "variables"
        raise InvalidInputError(
            f'{where}: a search has to choose from two or more; add some, or remove mode = "adaptive"'
        )
    jobs = len(first_round(space, definition.sample, definition.seed)) * definition.repeats
    if definition.budget < jobs:
        raise InvalidInputError(
            f"budget: {definition.budget} is less than the {jobs} jobs of the first round; raise it to {jobs} or more"
        )


def check_size(where: str, part: object, limit: int) -> None:
    """Refuse a part of a definition that would not fit into requests and messages later."""
    size = len(part.encode()) if isinstance(part, str) else len(msgspec.msgpack.encode(part))
    if size > limit:
        raise InvalidInputError(f"{where}: {size} bytes are more than {limit}; shorten the texts or take fewer")
