"""Planning: from what a person wrote to variants and jobs, by plain functions."""

import math
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

from bus.messages import INT64_MAX, Config, ExperimentDefinition, LearningContext, Scalar, Variable
from bus.requests import JobRequest
from bus.specs import SEED, Pipelines, check_config, check_value, find_stage, variables_of
from bus.validate import InvalidInputError, near_miss

MAX_VARIANTS: Final = 1000
MAX_JOBS: Final = 100_000
CONFIG_BYTES: Final = 32_768  # it travels with every job; larger things belong in a file that the config names
VALUE_BYTES: Final = 2048  # it travels with every job twice; a hundred jobs have to fit into one request
DEFINITION_BYTES: Final = 524_288  # it travels with every status of its experiment, within the limit of a message
SMALLEST: Final = Decimal("1e-18")  # start, stop and step as decimals; anything smaller is a typing error


class PlannedJob(NamedTuple):
    """One job of a plan; retry rounds count from 0."""

    variant_index: int
    repeat_index: int
    round: int = 0


def job_id(experiment_id: str, job: PlannedJob) -> str:
    """Derive a job's id from what it is, so that submitting it again adds nothing. Ids hold no dot, so it is unique."""
    return f"{experiment_id}.{job.variant_index}.{job.repeat_index}.{job.round}"


def plan_values(variable: Variable, max_variants: int = MAX_VARIANTS) -> list[Scalar]:
    """Give the values of a variable, in order.

    Raises:
        InvalidInputError: neither or both of list and range are given, or they make no sense or too many values.
    """
    in_range = [name for name in ("start", "stop", "step") if getattr(variable, name) is not None]
    if variable.values is None:
        values = _range(variable, max_variants)
    elif in_range:
        raise InvalidInputError(f"variable.{in_range[0]}: give either values or start, stop and step")
    else:
        values = list(variable.values)
    if not values:
        raise InvalidInputError("variable.values: empty; give at least one value")
    _check_count(len(values), max_variants)
    seen: set[tuple[bool, Scalar]] = set()
    for index, value in enumerate(values):
        if value == "" or (isinstance(value, float) and not math.isfinite(value)):
            raise InvalidInputError(f"variable.values[{index}]: {value!r} is no usable value")
        identity = (isinstance(value, bool), value)  # 1 and 1.0 are the same value, 1 and true are two
        if identity in seen:
            raise InvalidInputError(f"variable.values[{index}]: {value!r} is there twice; remove one")
        seen.add(identity)
    return values


def plan_jobs(definition: ExperimentDefinition, variants: int, *, slow: bool = False) -> list[PlannedJob]:
    """Give the jobs of all variants, repeat by repeat, so that every variant shows something early.

    Where another value takes the pipeline long (`slow`), variant by variant: it is changed as seldom as can be.
    """
    jobs = [
        PlannedJob(variant_index, repeat_index)
        for repeat_index in range(definition.jobs_per_variant)
        for variant_index in range(variants)
    ]
    return sorted(jobs) if slow else jobs


def is_slow(definition: ExperimentDefinition, pipelines: Pipelines) -> bool:
    """Does it take the pipeline long to go from one value of the variable to another, as from model to model?"""
    spec = find_stage(pipelines, definition.pipeline, definition.stage)
    variable = variables_of(spec, definition.config).get(definition.variable.name)
    return variable is not None and variable.slow


def job_config(definition: ExperimentDefinition, value: Scalar, repeat_index: int) -> Config:
    """Give the whole configuration of a job: the same seeds under every variant, and only the variable differs."""
    return {**definition.config, SEED: definition.seed + repeat_index, definition.variable.name: value}


def job_request(experiment_id: str, definition: ExperimentDefinition, value: Scalar, job: PlannedJob) -> JobRequest:
    """Give what is submitted to a runner for a planned job."""
    return JobRequest(
        job_id=job_id(experiment_id, job),
        pipeline=definition.pipeline,
        stage=definition.stage,
        config=job_config(definition, value, job.repeat_index),
        learning_context=LearningContext(
            experiment_id=experiment_id,
            experiment_name=definition.name,
            variant_index=job.variant_index,
            variable_under_test=definition.variable.name,
            variant_value=value,
            repeat_index=job.repeat_index,
        ),
        priority=definition.priority,
    )


def check_plan(
    definition: ExperimentDefinition, pipelines: Pipelines, max_variants: int = MAX_VARIANTS
) -> list[Scalar]:
    """Check a definition against what runners offer, before anything is stored; give the values of its variants.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    values = plan_values(definition.variable, max_variants)
    if len(values) * definition.jobs_per_variant > MAX_JOBS:
        count = f"{len(values)} variants x {definition.jobs_per_variant}"
        raise InvalidInputError(f"jobs_per_variant: {count} jobs are more than {MAX_JOBS}")
    _check_sizes(definition, values)
    name = definition.variable.name
    if name in definition.config:
        raise InvalidInputError(f"config.{name}: is the variable already; remove it from config")
    if SEED in definition.config:
        raise InvalidInputError("config.seed: write seed at the top level; every variant gets the same seeds")
    if name == SEED and definition.jobs_per_variant > 1:
        raise InvalidInputError("jobs_per_variant: must be 1 where the seed itself is the variable")
    spec = find_stage(pipelines, definition.pipeline, definition.stage)
    variables = variables_of(spec, definition.config)
    if name not in variables:
        stage = f"{definition.pipeline} ({definition.stage})"
        raise InvalidInputError(f"variable.name: {stage} has no variable {name!r}; {near_miss(name, list(variables))}")
    for index, value in enumerate(values):
        check_value(f"variable.values[{index}]", variables[name], value)
        check_config(spec, job_config(definition, value, 0))
    return values


def _check_sizes(definition: ExperimentDefinition, values: list[Scalar]) -> None:
    """Refuse what would not fit into requests and messages later."""
    _check_size("config", definition.config, CONFIG_BYTES)
    for index, value in enumerate(values):
        _check_size(f"variable.values[{index}]", value, VALUE_BYTES)
    _check_size("variable.values", values, DEFINITION_BYTES)


def _check_size(where: str, part: object, limit: int) -> None:
    size = len(msgspec.msgpack.encode(part))
    if size > limit:
        raise InvalidInputError(f"{where}: {size} bytes are more than {limit}; put large values in a file")


def _range(variable: Variable, max_variants: int) -> list[Scalar]:
    """Expand start/stop/step in decimal arithmetic: 0.5 to 0.9 by 0.05 has 9 values, and the last one is 0.9."""
    start, stop, step = (_decimal(variable, name) for name in ("start", "stop", "step"))
    if step == 0:
        raise InvalidInputError("variable.step: 0 never gets from start to stop")
    if (stop - start) * step < 0:
        raise InvalidInputError(f"variable.step: {step} leads away from stop; change its sign")
    count = int((stop - start) / step) + 1
    _check_count(count, max_variants)
    numbers = [start + step * index for index in range(count)]
    whole = all(number == number.to_integral_value() for number in (start, step))
    return [int(number) if whole else float(number) for number in numbers]


def _decimal(variable: Variable, name: str) -> Decimal:
    value = getattr(variable, name)
    if value is None:
        raise InvalidInputError(f"variable.{name}: missing; give values, or start, stop and step")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise InvalidInputError(f"variable.{name}: {value!r} is no number") from None
    if not number.is_finite() or (number and not SMALLEST <= abs(number) <= INT64_MAX):
        raise InvalidInputError(f"variable.{name}: {value!r} is no usable number")
    return number


def _check_count(count: int, max_variants: int) -> None:
    if count > max_variants:
        raise InvalidInputError(
            f"variable.values: {count} variants are more than {max_variants}; "
            "take fewer, or raise --max-variants of the learning service"
        )
