"""What can be asked of the runner and of the learning service, beyond what every publisher answers.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from bus.contracts.messages import (
    Config,
    ExperimentDefinition,
    ExperimentStatus,
    ImageRef,
    Index,
    JobError,
    JobResult,
    JobState,
    LearningContext,
    Priority,
    RecommendationUpdated,
    Scalar,
    VariantStatus,
    VariantValue,
)
from bus.contracts.pipeline_specs import StageSpec

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
NewId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,95}\Z")]  # of an experiment


class JobRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job to run. Submitting the same `job_id` again adds nothing, so a submission may be repeated."""

    job_id: Id
    pipeline: Name
    stage: Name
    config: Config = field(default_factory=dict)
    learning_context: LearningContext | None = None
    priority: Priority = 0  # higher ones run first; among equal ones, those that came first


class SubmitParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.submit`: all of these jobs, or none if one is invalid."""

    jobs: Annotated[list[JobRequest], Meta(max_length=1000)]


class SubmitReply(Struct, frozen=True, kw_only=True):
    """How many jobs were new, how many were known already, and for how many more of each pipeline there is room."""

    accepted: int
    known: int
    rooms: dict[str, int] = field(default_factory=dict)


class JobCheckReply(Struct, frozen=True, kw_only=True):
    """`job.check` takes what `job.submit` does, and queues nothing: how many jobs could be submitted."""

    checked: int


class JobParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.show`, `job.retry`."""

    job_id: Id


class JobView(Struct, frozen=True, kw_only=True):
    """One job with its state.

    `faults` counts the runs that ended by no fault of the job, and `fault` is the newest of them. `waits_for` says
    why a queued job does not run though it might be its turn, "" if only other jobs are before it. `eta_seconds`
    estimates the time to its end from those of the jobs before; nil if that is not known.
    """

    job_id: str
    pipeline: str
    stage: str
    state: JobState
    attempt: int
    queued_at: float
    started_at: float | None
    finished_at: float | None
    config: Config
    learning_context: LearningContext | None
    result: JobResult | None
    priority: int = 0
    faults: int = 0
    fault: JobError | None = None
    waits_for: str = ""
    eta_seconds: float | None = None


class JobListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.list`: newest first; the next page begins at the `before` of this one."""

    state: JobState | None = None
    before: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class JobListReply(Struct, frozen=True, kw_only=True):
    """One page of jobs; `before` asks for the next one, nil where there is none."""

    jobs: list[JobView]
    before: int | None


class CancelParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.cancel`: one job, or all jobs of an experiment that have not ended.

    Running ones are stopped, unless `finish_running` lets them come to their end.
    """

    job_id: Id | None = None
    experiment_id: Id | None = None
    finish_running: bool = False


class CancelReply(Struct, frozen=True, kw_only=True):
    """How many jobs were cancelled, or will be as soon as their pipeline stops."""

    cancelled: int


class QueueParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`queue.pause`, `queue.resume`: of one pipeline, or of all. What runs comes to its end."""

    pipeline: Name | None = None


class LaneView(Struct, frozen=True, kw_only=True):
    """The queue of one pipeline; `room` is how many more jobs it takes.

    `waits_for` says why none of its jobs is started now, "" if they are.
    """

    queued: int
    running: int
    concurrency: int
    room: int
    paused: bool
    waits_for: str


class QueueReply(Struct, frozen=True, kw_only=True):
    """The queue after a change: is all of it paused, and each pipeline's part."""

    paused: bool
    lanes: dict[str, LaneView]


class PipelinesReply(Struct, frozen=True, kw_only=True):
    """Answer to `pipelines`: pipeline → stage → what it takes; where the outputs are; how long the queue is."""

    pipelines: dict[str, dict[str, StageSpec]]
    outputs: str
    queued: int
    running: int
    paused: bool = False
    lanes: dict[str, LaneView] = field(default_factory=dict)


class CreateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.create`: the client chooses the id, so that a repeated request plans nothing twice."""

    experiment_id: NewId
    definition: ExperimentDefinition


class PlanParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.plan`: what would come of a definition; nothing is stored."""

    definition: ExperimentDefinition


class PlanReply(Struct, frozen=True, kw_only=True):
    """The values and jobs that are planned first, and how many jobs there may be in all (more if it is adaptive).

    `seconds` estimates the time of all of them one after the other; nil if no such job has run yet.
    """

    values: list[VariantValue]
    jobs: int
    most_jobs: int
    seconds: float | None


class ExperimentParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.show`, and whatever else needs no more than the id."""

    experiment_id: Id


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


class ExtendParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.extend`: plan more values of variables (name -> values), more seeds for every variant, or both.

    Values that are there already are not planned again, so a repeated request adds nothing.
    """

    experiment_id: Id
    values: dict[str, list[Scalar]] = field(default_factory=dict)
    jobs_per_variant: Annotated[int, Meta(ge=1, le=256)] | None = None  # in all; nil: as many as now


Stars = Annotated[int, Meta(ge=1, le=5)]
Digits = Annotated[str, Meta(pattern=r"\A[0-9a-f]{4,64}\Z")]  # of a content hash; a unique beginning of it suffices
Side = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class RateParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`image.rate`: nil as `stars` takes the rating back."""

    experiment_id: Id
    image: Digits
    stars: Stars | None
    note: Annotated[str, Meta(max_length=2000)] = ""


class RatingView(Struct, frozen=True, kw_only=True):
    """What holds of one image."""

    sha256: str
    variant_indices: list[int]  # an image may have come of several variants
    stars: int | None
    note: str
    rated_at: float


class RatedReply(RatingView, frozen=True, kw_only=True):
    """`image.rate`, `rating.undo`: what holds of the image now."""

    rated: int  # images of the experiment that are rated; one that came of several variants counts for each


class RatingListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rating.list`: oldest first; the next page begins at the `after` of this one."""

    experiment_id: Id
    after: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class RatingListReply(Struct, frozen=True, kw_only=True):
    """What holds of each rated image of an experiment; `after` asks for the next page, nil where there is none."""

    ratings: list[RatingView]
    after: int | None


class PairReply(Struct, frozen=True, kw_only=True):
    """`comparison.next`: the two images to show next, without their values; nil where there are no two to compare."""

    left: ImageRef | None
    right: ImageRef | None
    compared: int  # answers so far


class CompareParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`comparison.add`: which of two images is better."""

    experiment_id: Id
    left: Side
    right: Side
    outcome: Literal["left", "right", "tie", "both_bad"]


class ComparedReply(Struct, frozen=True, kw_only=True):
    """`comparison.add`, `comparison.undo`: the answer that was added, or taken back."""

    left: str
    right: str
    outcome: Literal["left", "right", "tie", "both_bad"]
    compared: int  # answers that there are now


class ExperimentListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.list`: newest first."""

    before: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class ExperimentListReply(Struct, frozen=True, kw_only=True):
    """One page of experiments; `before` asks for the next one, nil where there is none."""

    experiments: list[ExperimentStatus]
    before: int | None


Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
AtOnce = Annotated[int, Meta(ge=1, le=1000)]


class OutputParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output`: part of a result, or of its thumbnail, by the hash of its content."""

    sha256: Sha256
    thumbnail: bool = False
    offset: Index = 0


class OutputReply(Struct, frozen=True, kw_only=True):
    """Some bytes from `offset` on; `size` is that of the whole. The next part begins at `offset` plus their number."""

    sha256: str  # of the result, also where `data` is of its thumbnail
    media_type: str  # of what `data` is part of
    size: int
    offset: int
    data: bytes


class OutputFindParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.find`: the results whose hash begins so."""

    prefix: Annotated[str, Meta(pattern=r"\A[0-9a-f]{8,64}\Z")]


class OutputView(Struct, frozen=True, kw_only=True):
    """One result, and the newest job that has made it."""

    sha256: str
    media_type: str
    size: int
    job_id: str
    experiment_id: str | None


class OutputFindReply(Struct, frozen=True, kw_only=True):
    """At most 10 of them."""

    outputs: list[OutputView]


class OutputOwnersParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.owners`: whose jobs ended before a time (unix seconds), in the order of experiment ids."""

    ended_before: float
    after: str | None = None
    limit: AtOnce = 20


class OutputOwner(Struct, frozen=True, kw_only=True):
    """An experiment, or nil for the jobs of none, with its jobs that ended before that time and their results."""

    experiment_id: str | None
    jobs: int
    files: int
    bytes: int


class OutputOwnersReply(Struct, frozen=True, kw_only=True):
    """One page; `after` asks for the next one, nil where there is none."""

    owners: list[OutputOwner]
    after: str | None


class OutputRemoveParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.remove`: jobs that ended before a time (unix seconds), with their results.

    Those of some experiments, and with `outside` those of none; at most `limit` results and as many jobs at once.
    """

    ended_before: float
    experiment_ids: Annotated[list[str], Meta(max_length=1000)] = field(default_factory=list)
    outside: bool = False
    limit: AtOnce = 100


class OutputRemoveReply(Struct, frozen=True, kw_only=True):
    """What went; `more` says that the same request has more to remove."""

    files: int
    bytes: int
    jobs: int
    more: bool


class OutputSweepParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output.sweep`: files that were left in the output folder by a crash; at most `limit` files are looked at.

    `after` is that of the last reply; it is compared with names, and no file is opened by it.
    """

    after: str = ""
    limit: AtOnce = 1000
    dry_run: bool = False


class OutputSweepReply(Struct, frozen=True, kw_only=True):
    """What went, or would; `after` goes on with the rest of the folder, nil at its end."""

    files: int
    bytes: int
    after: str | None
