"""Pipelines: what can run a job. Third parties add theirs by the entry point group `variantbus.pipelines`.

An entry point names a class that is called with a `Setup` and gives a `Pipeline`.
"""

import importlib.metadata
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec

from bus.messages import Config, JobResult
from bus.specs import StageSpec
from bus.validate import convert
from pipeline_runner.jobs import NormalizedJobRecord
from pipeline_runner.outputs import Outputs

GROUP: Final = "variantbus.pipelines"
logger = logging.getLogger(__name__)

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

        The kind of an error says what the runner does next, see `pipeline_runner.retries`.
        """
        raise NotImplementedError


def load_pipelines(setup: Setup) -> dict[str, Pipeline]:
    """Make every pipeline that is installed; one that cannot be loaded is logged and left out."""
    pipelines: dict[str, Pipeline] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            pipeline = entry.load()(setup)
            convert({name: getattr(pipeline, name) for name in _Numbers.__struct_fields__}, _Numbers)
        except Exception:
            logger.exception("pipeline %s cannot be loaded", entry.name)
        else:
            if stages_of(entry.name, pipeline) is not None:
                pipelines[entry.name] = pipeline
    return pipelines


def stages_of(name: str, pipeline: Pipeline) -> dict[str, StageSpec] | None:
    """Give what a pipeline takes, in a form that can be sent; None, with a word in the log, if it says nonsense."""
    try:
        stages = convert(msgspec.to_builtins(dict(pipeline.stages())), dict[str, StageSpec])
        msgspec.msgpack.encode(stages)
    except Exception:
        logger.exception("pipeline %s cannot say what it takes", name)
        return None
    return stages


class _Numbers(msgspec.Struct):
    """What a pipeline says of itself in numbers."""

    concurrency: Annotated[int, msgspec.Meta(ge=1)] | None
    refresh_seconds: Annotated[float, msgspec.Meta(gt=0)] | None
