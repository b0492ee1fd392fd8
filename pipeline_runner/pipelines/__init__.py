"""Pipelines: what can run a job. Third parties add theirs by the entry point group `variantbus.pipelines`.

An entry point names a class that is called with an `Outputs` and gives a `Pipeline`.
"""

import importlib.metadata
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from bus.messages import JobResult
from bus.specs import StageSpec
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


class Pipeline(Protocol):
    """Runs jobs, several at a time, each in a thread of its own."""

    def stages(self) -> Mapping[str, StageSpec]:
        """Give the stages and what each takes."""

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Run a job to its end; an exception is a failure of the job, never of the runner."""


def load_pipelines(outputs: Outputs) -> dict[str, Pipeline]:
    """Make every pipeline that is installed; one that cannot be loaded is logged and left out."""
    pipelines: dict[str, Pipeline] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            pipelines[entry.name] = entry.load()(outputs)
        except Exception:
            logger.exception("pipeline %s cannot be loaded", entry.name)
    return pipelines
