"""What can be asked of the runner about the order in which its jobs run."""

from typing import Annotated

from msgspec import Meta, Struct

from bus.contracts.fields import Id, Priority
from bus.contracts.jobs import LaneView
from bus.contracts.servers import ServerView


class PrioritizeParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.prioritize`: a job that waits, or all jobs of an experiment that wait and those that are still to come.

    Jobs with a higher priority run first; among equal ones, those that came first.
    """

    priority: Priority
    job_id: Id | None = None
    experiment_id: Id | None = None


class PrioritizeReply(Struct, frozen=True, kw_only=True):
    """How many jobs wait to which this applies; of an experiment some of them may be moved a moment later."""

    waiting: int


class QueueListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`queue.list`: what runs, and what waits in the order in which it will run, in at most `limit` groups."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class RunningJob(Struct, frozen=True, kw_only=True):
    """A job that runs; `fraction` is how far it is, `eta_seconds` estimates the time to its end, nil if not known."""

    job_id: str
    pipeline: str
    stage: str
    started_at: float | None
    fraction: float
    eta_seconds: float | None
    experiment_id: str | None = None
    experiment_name: str | None = None


class WaitingJobs(Struct, frozen=True, kw_only=True):
    """The waiting jobs of one experiment, pipeline and priority, or one job of no experiment.

    `job_id` is the first of them that runs. `eta_seconds` estimates the time until the last of them has ended; nil if
    that is not known.
    """

    pipeline: str
    priority: int
    jobs: int
    job_id: str
    eta_seconds: float | None
    experiment_id: str | None = None
    experiment_name: str | None = None


class QueueListReply(Struct, frozen=True, kw_only=True):
    """What runs, and what waits: of each pipeline in the order of running; `left` counts the jobs behind `limit`.

    `paused`: all of it is. `lanes` are the queues of the pipelines, `servers` what those of them have told of
    themselves that have one.
    """

    paused: bool
    running: list[RunningJob]
    waiting: list[WaitingJobs]
    left: int
    lanes: dict[str, LaneView]
    servers: dict[str, ServerView]
