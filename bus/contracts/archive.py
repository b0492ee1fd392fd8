"""An experiment as it is exported, imported and looked back at: what came of its jobs, and what people said of it."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Id, Index, Name, NewId, VariantValue
from bus.contracts.messages import ImageRef, OutcomeWord
from bus.protocol.doors import words

Sha = Annotated[str, Meta(min_length=1, max_length=128)]
Kind = Literal["results", "pictures", "ratings", "comparisons"]


class ResultRecord(Struct, frozen=True, kw_only=True, gc=False):
    """How a job ended; `seconds` is what a completed one took."""

    job_id: Id
    variant_index: Annotated[int, Meta(ge=0)]
    repeat_index: Annotated[int, Meta(ge=0)]
    state: Annotated[str, words("completed", "failed", "cancelled")]
    finished_at: float
    seconds: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    warnings: tuple[str, ...] | UnsetType = UNSET
    reused_from: str | UnsetType = UNSET  # the job that made this result, where it was not made again


class PictureRecord(Struct, frozen=True, kw_only=True, gc=False):
    """A picture, and the job that it came of."""

    job_id: Id
    variant_index: Annotated[int, Meta(ge=0)]
    repeat_index: Annotated[int, Meta(ge=0)]
    image: ImageRef


class RatingRecord(Struct, frozen=True, kw_only=True, gc=False):
    """What holds of a rated picture."""

    sha256: Sha
    stars: Annotated[int, Meta(ge=1, le=5)]
    note: Annotated[str, Meta(max_length=2000)] = ""
    rated_at: float = 0.0


class ComparisonRecord(Struct, frozen=True, kw_only=True, gc=False):
    """One answer to "which of these two is better?"; the pictures with their variants and seeds."""

    left: Sha
    left_variant: Annotated[int, Meta(ge=0)]
    left_repeat: Annotated[int, Meta(ge=0)]
    right: Sha
    right_variant: Annotated[int, Meta(ge=0)]
    right_repeat: Annotated[int, Meta(ge=0)]
    outcome: OutcomeWord
    compared_at: float = 0.0


class Records(Struct, frozen=True, kw_only=True):
    """Some records, each kind in the order in which it is stored."""

    results: list[ResultRecord] = field(default_factory=list)
    pictures: list[PictureRecord] = field(default_factory=list)
    ratings: list[RatingRecord] = field(default_factory=list)
    comparisons: list[ComparisonRecord] = field(default_factory=list)


class RecordsParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.records`: those of one kind; the next page begins at the `after` of this one."""

    experiment_id: Id
    kind: Kind
    after: Annotated[str, Meta(max_length=300)] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class RecordsReply(Struct, frozen=True, kw_only=True):
    """One page; `after` asks for the next one, nil where there is none."""

    records: Records
    after: str | None


class ImportParams(Struct, frozen=True, kw_only=True):
    """`experiment.import`: one of `parts` parts of an experiment, from 0 on; the last one makes it.

    Nothing of it is to be seen before. `values` are those of the variants, by their indices; the job ids are what the
    service would have given. A part that comes again replaces the first one.
    """

    experiment_id: NewId
    part: Annotated[int, Meta(ge=0, lt=10_000)]
    parts: Annotated[int, Meta(ge=1, le=10_000)]
    definition: ExperimentDefinition
    values: list[VariantValue]
    created_at: float
    records: Records


class ImportReply(Struct, frozen=True, kw_only=True):
    """How many parts are there; `done`: the experiment is made, or was there already with the same records."""

    parts: int
    done: bool


class HistoryParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`history`: over the newest experiments, those of one variable or pipeline perhaps.

    The next page, of older ones, begins at the `before` of this one.
    """

    variable: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    pipeline: Name | None = None
    before: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


class ValueHistory(Struct, frozen=True, kw_only=True):
    """What was seen of one value of a variable; `stars` counts the ratings of 1, 2 … 5 stars.

    A picture counts once for each variant that made it, and so does its rating.
    """

    variable: str
    value: VariantValue
    experiments: int
    images: int
    stars: tuple[int, int, int, int, int]
    mean: float | None  # stars
    seconds: float | None  # of a job, on average
    completed: int = 0  # jobs, of which `seconds` is the mean


class ExperimentHistory(Struct, frozen=True, kw_only=True):
    """What was said of one experiment; best and worst are by their means of stars, nil without ratings."""

    experiment_id: str
    name: str
    created_at: float
    variable: str
    images: int
    ratings: int
    mean: float | None
    best: VariantValue | None
    best_mean: float | None
    worst: VariantValue | None
    worst_mean: float | None
    origin: str = ""  # the file that it was made from, and what was changed


class HistoryReply(Struct, frozen=True, kw_only=True):
    """Experiments, oldest first, so that trends can be seen; and values, of each variable in their order.

    All numbers are of this page; `before` asks for the next one, of older experiments, nil where there is none. A page
    may be empty. Counts of pages add up; means are weighted with `completed`, or made of `stars`.
    """

    experiments: list[ExperimentHistory]
    values: list[ValueHistory]
    images: int
    ratings: int
    mean: float | None
    before: int | None = None
