"""The base class of a pipeline, and what the runner passes to it.

An entry point of the group `variantbus.pipelines` names a class that is called with a `Setup` and returns a `Pipeline`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bus.config.limits import DEFAULT_LIMITS
from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec
from bus.contracts.servers import ServerView
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.queue.jobs import NormalizedJobRecord

Job = NormalizedJobRecord
"""A job as a pipeline sees it: `job_id`, `stage`, `config`, and the rest of its record."""

Cancelled = Callable[[], bool]
"""Called now and then by a running pipeline; returns whether the job must stop."""


class Progress(Protocol):
    """Called by a running pipeline, as often as it likes; the runner limits the messages."""

    def __call__(
        self, fraction: float, step: int | None = None, steps: int | None = None, *, preview: bytes | None = None
    ) -> None:
        """Report the progress of the job: a fraction from 0 to 1, and step and number of steps if known.

        A `preview` shows what the job has made so far: a whole PNG, JPEG or WebP of at most 1 MiB and 2048 pixels a
        side. Anything else is left out, as it is only a hint.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """The address of an image server, and the file with `user:password`, or with a token, if it needs one."""

    url: str
    auth_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a pipeline is created with.

    Attributes:
        outputs: The output folder.
        servers: The servers by name of the pipeline that uses them.
        output_bytes: How much one job may make.
    """

    outputs: Outputs
    servers: Mapping[str, ServerAddress] = field(default_factory=dict)
    output_bytes: int = DEFAULT_LIMITS.output_bytes


class Pipeline:
    """Runs jobs, each in its own thread. A subclass must define `stages` and `run`.

    Attributes:
        concurrency: How many of its jobs run at a time; None for as many as the runner has workers.
        refresh_seconds: How often `refresh` is called; None for never, where there is no server.
    """

    concurrency: int | None = None
    refresh_seconds: float | None = None

    def stages(self) -> Mapping[str, StageSpec]:
        """Return the stages and what each takes; called again after each `refresh`."""
        raise NotImplementedError

    def check(self, stage: str, config: Config) -> None:
        """Refuse what `stages` cannot express, such as a file that is not there; called before a job is queued.

        Raises:
            InvalidInputError: naming the field and what to do.
        """

    def identity(self, stage: str, config: Config) -> str | None:  # noqa: ARG002 - for those that need them
        """Return what decides a result besides stage and configuration, None if that is not known for certain.

        If it is known, a job of an experiment with the settings of an earlier job gets the result of that job. Called
        in a worker thread right before the job runs, so it may ask a server.
        """
        return None

    def confirm(self, job: NormalizedJobRecord, identity: str) -> bool:
        """Return whether the job that has just run was made by what `identity` said before it.

        Only then is its result given to later jobs. Called in the same thread right after `run`.
        """
        return self.identity(job.stage, job.config) == identity

    def refresh(self) -> str:
        """Read again what the server offers, in a thread; return why it cannot be reached, "" if it can."""
        return ""

    def seen(self) -> ServerView | None:
        """Return what its server has told of itself at the last `refresh`, None where there is nothing to tell."""
        return None

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Run a job and return its result; an exception fails the job, never the runner.

        The kind of an error says what the runner does next, see `pipeline_runner.queue.retries`.
        """
        raise NotImplementedError
