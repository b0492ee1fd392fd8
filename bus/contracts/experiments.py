"""What can be asked of the learning service about experiments.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Id, Index, NewId, Scalar, VariantValue
from bus.contracts.messages import ExperimentStatus, RecommendationUpdated, VariantStatus
from bus.contracts.scoring import ScoreSettings


class CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.create`: the client chooses the id, so that a repeated request plans nothing twice."""

    experiment_id: NewId
    definition: ExperimentDefinition


class PlanParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.plan`: what would come of a definition; nothing is stored."""

    definition: ExperimentDefinition


class PlanReply(Struct, frozen=True, kw_only=True):
    """The values and jobs that are planned first, and how many jobs there may be in all (more if it is adaptive).

    `seconds` estimates the time of all of them one after the other; nil if no such job has run yet. `exclusive`: each
    of them runs while no other job of its runner does.
    """

    values: list[VariantValue]
    jobs: int
    most_jobs: int
    seconds: float | None
    exclusive: bool = False


class ExperimentParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.show`, and whatever else needs no more than the id."""

    experiment_id: Id


class RetryParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`experiment.retry`: the failed jobs, or only those of some variants, and of some repeats."""

    experiment_id: Id
    variants: Annotated[tuple[Index, ...], Meta(max_length=1000)] = ()
    repeats: Annotated[tuple[Index, ...], Meta(max_length=1024)] = ()


class ExperimentCancelParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.cancel`: jobs that run are stopped, unless `finish_running` lets them come to their end."""

    experiment_id: Id
    finish_running: bool = False


class ExperimentView(ExperimentStatus, frozen=True, kw_only=True, tag="experiment.status"):
    """One experiment with all that is known of it."""

    variants: list[VariantStatus]
    recommendation: RecommendationUpdated | None = None


class RenameParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.rename`: give it another display name; its id stays."""

    experiment_id: Id
    name: Annotated[str, Meta(min_length=1, max_length=200)]


class SetParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.set`: let something else decide it: another objective, goal or limit of the time; add scorers.

    The goal stays from one metric to another; else an objective comes with its own default goal. The recommendation is
    made anew; a search that had ended by itself goes on within its budget.
    """

    experiment_id: Id
    objective: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    goal: Literal["maximize", "minimize"] | None = None
    within: Annotated[str, Meta(min_length=1, max_length=100)] | None = None  # `none`: time is no matter any more
    score: ScoreSettings | None = None  # more scorers, for jobs that are still to come


class ExtendParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.extend`: plan more values of variables (name -> values), more seeds for every variant, or both.

    Values that are there already are not planned again, so a repeated request adds nothing.
    """

    experiment_id: Id
    values: dict[str, list[Scalar]] = field(default_factory=dict)
    jobs_per_variant: Annotated[int, Meta(ge=1, le=256)] | None = None  # in all; nil: as many as now


class DeletedReply(Struct, frozen=True, kw_only=True):
    """`experiment.delete`: since when it is deleted, also by an earlier request; what is left of it goes by itself."""

    deleted_at: float


class ExperimentListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.list`: newest first; the next page begins at the `before` of this one.

    `search`: only those that have each of its words somewhere in their id, name, pipeline, stage, variables, values or
    texts of the configuration, such as the prompt, in small or capital letters; the name of a state finds those in it.
    `archived`: only those that are, or only the others.
    """

    before: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    search: Annotated[str, Meta(max_length=200)] = ""
    archived: bool | None = None


class ExperimentListReply(Struct, frozen=True, kw_only=True):
    """One page of experiments; `before` asks for the next one, nil where there is none. A page may be empty."""

    experiments: list[ExperimentStatus]
    before: int | None
