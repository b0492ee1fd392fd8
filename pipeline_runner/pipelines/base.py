"""What a pipeline is, and what the runner gives to it.

An entry point of the group `variantbus.pipelines` names a class that is called with a `Setup` and gives a `Pipeline`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bus.contracts.messages import Config, JobResult
from bus.contracts.pipeline_specs import StageSpec
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.queue.jobs import NormalizedJobRecord

Cancelled = Callable[[], bool]
"""Asked now and then by a running pipeline: is the job to stop?"""


class Progress(Protocol):
    """Called by a running pipeline, as often as it likes."""

    def __call__(self, fraction: float, step: int | None = None, steps: int | None = None) -> None:
        """Report how far the job is, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where an image server is, and the file with `user:password` if it asks for them."""

    url: str
    auth_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a pipeline is made with: where results go, and the servers by the name of the pipeline that uses them."""

    outputs: Outputs
    servers: Mapping[str, ServerAddress] = field(default_factory=dict)


class Pipeline:
    """Runs jobs, each in a thread of its own; a base class, of which `stages` and `run` have to be written.

    Attributes:
        concurrency: How many of its jobs run at a time; None for as many as the runner has workers.
        refresh_seconds: How often `refresh` is called; None for never, where there is no server.
    """

    concurrency: int | None = None
    refresh_seconds: float | None = None

    def stages(self) -> Mapping[str, StageSpec]:
        """Give the stages and what each takes; asked again after each `refresh`."""
        raise NotImplementedError

    def check(self, stage: str, config: Config) -> None:
        """Refuse what `stages` cannot express, such as a file that is not there; called before a job is queued.

        Raises:
            InvalidInputError: naming the field and what to do.
        """

    def identity(self, stage: str, config: Config) -> str | None:  # noqa: ARG002 - for those that need them
        """Give what decides a result besides stage and configuration; None where that is not known.

        Where it is known, a job of an experiment with settings that a job had before is not run again.
        """
        return None

    def refresh(self) -> str:
        """Read anew what the server offers, in a thread; give why it cannot be reached, "" if it can."""
        return ""

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Run a job to its end; an exception is a failure of the job, never of the runner.

        The kind of an error says what the runner does next, see `pipeline_runner.queue.retries`.
        """
        raise NotImplementedError
