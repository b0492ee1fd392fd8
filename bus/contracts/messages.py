"""Every message of protocol 1: frozen Structs in one union, told apart by `type`.

Readers ignore fields and types that they do not know; writers only add fields; a field never changes its meaning.
Times are unix seconds (float), durations seconds.
"""

from typing import Annotated, Final, Literal, get_args

from msgspec import UNSET, Raw, Struct, UnsetType, field
from msgspec.msgpack import Decoder, Encoder

from bus.contracts.answers import AxisEffect, BlockAnswer, Interaction, TradeOff
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config, VariantValue
from bus.protocol.doors import words
from bus.protocol.validation import InvalidInputError, decode

JobState = Literal["queued", "running", "completed", "failed", "cancelled"]
VariantState = Literal["pending", "queued", "running", "completed", "partial", "failed", "cancelled"]
SearchProgress = Literal["searching", "decided", "exhausted", "stopped"]
Outcome = Literal["left", "right", "tie", "both_bad"]
JobWord = Annotated[str, words(*get_args(JobState))]  # as it travels: a reader takes an unknown word as it is
VariantWord = Annotated[str, words(*get_args(VariantState))]
OutcomeWord = Annotated[str, words(*get_args(Outcome))]


class LearningContext(Struct, frozen=True, kw_only=True, gc=False):
    """The mark that says to which variant of which experiment a job belongs.

    `variant_index` is any integer here: whether it fits the plan is the learning service's to judge and to report.
    """

    experiment_id: str
    experiment_name: str
    variant_index: int
    variable_under_test: str
    variant_value: VariantValue
    repeat_index: int = 0
    metric: str | UnsetType = UNSET  # by which the experiment is decided; absent where it needs none
    settings: tuple[str, ...] | UnsetType = UNSET  # that the value decides; absent where variables are called so

    @property
    def decided(self) -> tuple[str, ...]:
        """The settings that the value decides."""
        if not isinstance(self.settings, UnsetType):
            return self.settings
        return tuple(self.variant_value) if isinstance(self.variant_value, dict) else (self.variable_under_test,)


class ImageRef(Struct, frozen=True, kw_only=True, gc=False):
    """A result in the runner's output folder, 0 by 0 if it has no known size in pixels; no event has its bytes."""

    sha256: str
    path: str  # relative to the runner's output folder, with forward slashes
    width: int
    height: int
    seed: int | None = None
    media_type: str = "image/png"
    node: str | UnsetType = UNSET  # of a workflow: the id of the node that gave it
    name: str | UnsetType = UNSET  # that a program gave its file
    duration: float | UnsetType = UNSET  # seconds: of an animation, a video or a sound, if that is known
    frames: int | UnsetType = UNSET  # of an animation or a video, if that is known


class JobError(Struct, frozen=True, kw_only=True, gc=False):
    """Why a job failed: a stable word for programs, a sentence for people."""

    kind: str
    message: str


class JobResult(Struct, frozen=True, kw_only=True, gc=False):
    """What came of a job; success, failure and cancellation share this one shape."""

    success: bool
    error: JobError | None = None
    cancelled: bool = False
    images: tuple[ImageRef, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    effective: Config = field(default_factory=dict)  # what the server says it used
    warnings: tuple[str, ...] = ()
    seconds: float | None = None  # what the job itself took, without warming up; nil: from start to end
    reused_from: str | None = None  # the job that made this result, where it was not made again
    untimed: bool | UnsetType = UNSET  # true: nobody knows what the job itself takes, not even by its start and end


class _Message(Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What all messages share: the field `type`."""


class JobQueued(_Message, frozen=True, gc=False, tag="job.queued"):
    """A job is in the runner's queue, for the first time or again after the runner died."""

    job_id: str
    stage: str
    pipeline: str
    attempt: int
    learning_context: LearningContext | None
    queued_at: float


class JobStarted(_Message, frozen=True, gc=False, tag="job.started"):
    """A worker has taken a job; `attempt` counts from 1."""

    job_id: str
    stage: str
    pipeline: str
    attempt: int
    learning_context: LearningContext | None
    started_at: float


class JobProgress(_Message, frozen=True, gc=False, tag="job.progress"):
    """How far a running job is; never logged, at most 5 a second for a job."""

    job_id: str
    learning_context: LearningContext | None
    fraction: float  # 0..1
    step: int | None = None
    steps: int | None = None
    eta_seconds: float | None = None
    preview: int | UnsetType = UNSET  # the number of its newest preview, which `job.preview` returns; absent if none


class JobCompleted(_Message, frozen=True, gc=False, tag="job.completed"):
    """A job has ended, well or not: see `result`."""

    job_id: str
    stage: str
    pipeline: str
    attempt: int
    learning_context: LearningContext | None
    config: Config
    result: JobResult
    queued_at: float
    started_at: float | None  # nil for a job that was cancelled before it ran
    finished_at: float


class JobScored(_Message, frozen=True, gc=False, tag="job.scored"):
    """The pictures of a job that had completed before were measured; these numbers are new, or replace earlier ones."""

    job_id: str
    learning_context: LearningContext | None
    metrics: dict[str, float]
    scored_at: float


class RatingSummary(Struct, frozen=True, kw_only=True, gc=False):
    """Mean of the newest rating of each rated image, 1..5 stars."""

    mean: float
    count: int


class VariantStatus(_Message, frozen=True, gc=False, omit_defaults=True, tag="variant.status"):
    """The whole state of one variant, so the newest one suffices; `revision` grows each time, and may skip numbers."""

    experiment_id: str
    experiment_name: str
    variant_index: int
    variable_under_test: str
    variant_value: VariantValue
    status: VariantWord
    planned: int
    completed: int
    failed: int
    cancelled: int
    images: tuple[ImageRef, ...]
    error: str | None  # of the newest failed job
    rating: RatingSummary | None
    metrics: dict[str, float]  # mean over the completed jobs
    duration_mean: float | None  # seconds, over the completed jobs; see `JobResult.seconds`
    revision: int
    updated_at: float
    warned: int = 0  # completed jobs whose result has warnings
    warning: str | None = None  # of the newest of them
    reused: int = 0  # completed jobs whose result an earlier job had made


class VariantProgress(_Message, frozen=True, gc=False, tag="variant.progress"):
    """How far a variant is while its jobs run; never logged."""

    experiment_id: str
    variant_index: int
    job_id: str
    fraction: float  # of all its planned jobs, 0..1
    eta_seconds: float | None = None


class Totals(Struct, frozen=True, kw_only=True, gc=False):
    """Counts over all variants of an experiment; the last four are jobs and add up to at most `jobs`."""

    variants: int
    jobs: int
    running: int
    completed: int
    failed: int
    cancelled: int


class SearchStatus(Struct, frozen=True, kw_only=True, gc=False):
    """How far an adaptive experiment is; `reason` says in a sentence why it waits or has ended."""

    state: Annotated[str, words(*get_args(SearchProgress))]
    budget: int  # jobs in all
    spent: int  # jobs planned so far
    reason: str


class ExperimentStatus(_Message, frozen=True, gc=False, omit_defaults=True, tag="experiment.status"):
    """The whole state of an experiment but for its variants, which speak for themselves."""

    experiment_id: str
    experiment_name: str
    status: VariantWord
    definition: ExperimentDefinition
    totals: Totals
    eta_seconds: float | None
    created_at: float
    updated_at: float
    revision: int
    search: SearchStatus | None = None  # of an adaptive one
    damage: tuple[str, ...] = ()  # what damage to the learning service's data has cost it, in words
    archived: bool = False  # a person has put it away: lists of experiments at work do not show it


class ExperimentDeleted(_Message, frozen=True, gc=False, tag="experiment.deleted"):
    """An experiment is deleted: what was published of it holds no longer. Its topic is that of `experiment.status`."""

    experiment_id: str
    experiment_name: str
    deleted_at: float


class ImageRated(_Message, frozen=True, gc=False, tag="image.rated"):
    """A person has rated an image; a later rating of the same image replaces this one."""

    experiment_id: str
    variant_index: int
    sha256: str
    stars: int | None  # 1..5, or nil where the rating was taken back
    note: str = ""
    rated_at: float = 0.0


class ImagesCompared(_Message, frozen=True, gc=False, tag="images.compared"):
    """A person has compared two images of different variants.

    Nil as the outcome takes the newest answer back that is like this one in all else.
    """

    experiment_id: str
    left: str  # content hashes
    right: str
    left_variant: int
    right_variant: int
    outcome: OutcomeWord | None
    compared_at: float = 0.0


class ValueEstimate(Struct, frozen=True, kw_only=True, gc=False):
    """What is known of one value: mean with its interval, from `n` observations."""

    value: VariantValue
    mean: float | None
    low: float | None
    high: float | None
    n: int
    p_best: float | None


class RecommendationUpdated(_Message, frozen=True, gc=False, tag="recommendation.updated"):
    """The present answer to "which value is best?"; `value` is nil where there is none.

    `problem` is there if no more of the same would bring a better answer: it says why, and what a person can do. It is
    part of `sentence`. `effects` and `interactions` are there if there are several variables: what matters most comes
    first. `pareto` is there if a better value takes more time: the fastest one first. `blocks` is there if scores of
    several blocks, such as prompts, decide. `equals` is there if several values are as good as the best one, which are
    these. `more` is there if about so many more observations would decide.
    """

    experiment_id: str
    value: VariantValue | None
    p_best: float | None
    sentence: str
    tier: str
    objective: str
    estimates: tuple[ValueEstimate, ...] = ()
    problem: str | UnsetType = UNSET
    effects: tuple[AxisEffect, ...] | UnsetType = UNSET
    interactions: tuple[Interaction, ...] | UnsetType = UNSET
    pareto: tuple[TradeOff, ...] | UnsetType = UNSET
    blocks: tuple[BlockAnswer, ...] | UnsetType = UNSET
    equals: tuple[VariantValue, ...] | UnsetType = UNSET
    more: int | UnsetType = UNSET


class EventRejected(_Message, frozen=True, gc=False, tag="event.rejected"):
    """An event that the learning service refused, and why; `topic` and `offset` find it in the runner's log."""

    reason: str
    topic: str
    offset: int
    job_id: str | None
    detail: str


Message = (
    JobQueued
    | JobStarted
    | JobProgress
    | JobCompleted
    | JobScored
    | VariantStatus
    | VariantProgress
    | ExperimentStatus
    | ExperimentDeleted
    | ImageRated
    | ImagesCompared
    | RecommendationUpdated
    | EventRejected
)


class _Tag(Struct):
    type: str


_KNOWN: Final = frozenset(member.__struct_config__.tag for member in Message.__args__)
_encoder = Encoder()
_decoder: Decoder[Message] = Decoder(Message)
_tag_decoder = Decoder(_Tag)


def encode_body(message: Message) -> bytes:
    """Encode a message as the msgpack map that travels as `body`."""
    return _encoder.encode(message)


def decode_body(body: bytes | Raw) -> Message | None:
    """Decode a body; a type that this version does not know gives None, as a newer writer may send it.

    Raises:
        InvalidInputError: the bytes are no message of the type that they claim to be.
    """
    try:
        return decode(_decoder, body)
    except InvalidInputError:
        if decode(_tag_decoder, body).type not in _KNOWN:
            return None
        raise
