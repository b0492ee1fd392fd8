"""What can be asked of the runner about jobs, the queue and pipelines.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from bus.contracts.fields import Config, Id, Index, Name, Priority
from bus.contracts.messages import JobError, JobResult, JobState, JobWord, LearningContext
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.contracts.scoring import ScoreSettings

SUBMITTED_EXPERIMENTS: Final = 1000  # that a learning service names at a time: the newest


class JobRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job to run. Submitting the same `job_id` again adds nothing, so a submission may be repeated."""

    job_id: Id
    pipeline: Name
    stage: Name
    config: Config = field(default_factory=dict)
    learning_context: LearningContext | None = None
    priority: Priority = 0  # higher ones run first; among equal ones, those that came first
    exclusive: bool = False  # it runs while no other job of the runner does
    score: ScoreSettings | None = None  # what measures its pictures before it ends
    score_base: str = ""  # how the id of the job begins whose pictures its own are compared with


class SubmitParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.submit`: all of these jobs, or none if one is invalid."""

    jobs: Annotated[list[JobRequest], Meta(max_length=1000)]


class SubmitReply(Struct, frozen=True, kw_only=True):
    """How many jobs were new, how many were known already, and for how many more of each pipeline there is room."""

    accepted: int
    known: int
    rooms: dict[str, int] = field(default_factory=dict)


class SubmittersParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.submitters`: a learning service says which experiments it submits jobs of, every few seconds.

    `instance` is another one each time it starts, `control` its control address as people know it.
    """

    instance: Id
    control: Annotated[str, Meta(max_length=300)]
    experiments: Annotated[list[Id], Meta(max_length=SUBMITTED_EXPERIMENTS)]


class SubmittersReply(Struct, frozen=True, kw_only=True):
    """Those of these experiments that other learning services submit jobs of at present, with their addresses."""

    shared: dict[str, list[str]]


class JobCheckReply(Struct, frozen=True, kw_only=True):
    """`job.check` takes what `job.submit` does, and queues nothing: how many jobs could be submitted.

    It looks for the files that a configuration names, so it needs the role that submits.
    """

    checked: int


class JobParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.show`, `job.preview`, `job.retry`."""

    job_id: Id


class JobView(Struct, frozen=True, kw_only=True):
    """One job with its state.

    `faults` counts the runs that ended by no fault of the job, and `fault` is the newest of them. `waits_for` says
    why a queued job does not run though it might be its turn, "" if only other jobs are before it. `eta_seconds`
    estimates the time to its end from those of the jobs before; nil if that is not known. An `exclusive` job
    runs alone.
    """

    job_id: str
    pipeline: str
    stage: str
    state: JobWord
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
    exclusive: bool = False


class PreviewReply(Struct, frozen=True, kw_only=True):
    """What a running job has made so far; `number` is that of the preview, as `job.progress` tells it.

    It is kept in memory until a newer one comes or the job ends.
    """

    number: int
    media_type: str  # image/png, image/jpeg or image/webp
    data: bytes


class JobListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.list`: newest first; the next page begins at the `before` of this one."""

    state: JobState | None = None
    before: Index | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class JobListReply(Struct, frozen=True, kw_only=True):
    """One page of jobs; `before` asks for the next one, nil where there is none.

    `damaged` has the ids of jobs of which nothing else is left: their rows fail their checksum.
    """

    jobs: list[JobView]
    before: int | None
    damaged: list[str] = field(default_factory=list)


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


class ScoreParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.score`: measure the pictures of completed jobs of an experiment, some of them at a time.

    `jobs` has for each job how the id of the one begins whose pictures its own are compared with, "" for none. What a
    job has already is not measured again, unless `again`. Without jobs it only asks how far that is.
    """

    experiment_id: Id
    jobs: Annotated[dict[str, str], Meta(max_length=1000)] = field(default_factory=dict)
    score: ScoreSettings | None = None
    again: bool = False


class ScoreReply(Struct, frozen=True, kw_only=True):
    """How many of these jobs are measured now, and how many of them this runner has not, or not as completed ones.

    `waiting` counts all jobs of the experiment that are still to be measured; `problem` says why one could not be.
    """

    accepted: int
    unknown: int
    waiting: int
    problem: str = ""


class ScorerSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What measures a picture: in a sentence, with the options that it takes and those without which it cannot."""

    about: str = ""
    options: dict[str, VariableSpec] = field(default_factory=dict)
    required: tuple[str, ...] = ()


class PipelinesReply(Struct, frozen=True, kw_only=True):
    """Answer to `pipelines`: pipeline → stage → what it takes; where the outputs are; how long the queue is.

    `outputs` is a folder of the runner's machine; "" for a client that may only read.
    """

    pipelines: dict[str, dict[str, StageSpec]]
    outputs: str
    queued: int
    running: int
    paused: bool = False
    lanes: dict[str, LaneView] = field(default_factory=dict)
    scorers: dict[str, ScorerSpec] = field(default_factory=dict)  # what can measure pictures, by name
