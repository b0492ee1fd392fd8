"""A pipeline: throw darts at a square, and estimate pi by those that hit the circle in it."""

import math
from collections.abc import Mapping
from random import Random

import msgspec

from pipeline_runner.pipelines import (
    Cancelled,
    Job,
    JobResult,
    Pipeline,
    Progress,
    Setup,
    StageSpec,
    VariableSpec,
    cancelled_result,
)


class Wanted(msgspec.Struct):
    """The configuration of a job, with its types: the runner has checked it already."""

    darts: int
    seed: int = 0  # an experiment gives one to each of its jobs


class PiPipeline(Pipeline):
    """Writes a text file with the estimate, and reports how wrong it is."""

    def __init__(self, setup: Setup) -> None:
        """Keep where results go."""
        self._outputs = setup.outputs

    def stages(self) -> Mapping[str, StageSpec]:
        """Return the one stage: what can be varied in it, what must be given, and which metrics its jobs report."""
        darts = VariableSpec(kind="int", minimum=100, maximum=10_000_000)
        return {"estimate": StageSpec(variables={"darts": darts}, required=("darts",), metrics=("error",))}

    def run(self, job: Job, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Throw the darts of one job; its seed is the same under every number of darts."""
        wanted, hits = msgspec.convert(job.config, Wanted), 0
        random = Random(wanted.seed)  # noqa: S311 - darts are no secret
        for dart in range(wanted.darts):
            if dart % 1000 == 0:
                if cancelled():
                    return cancelled_result()
                progress(dart / wanted.darts)
            hits += random.random() ** 2 + random.random() ** 2 < 1
        found = 4 * hits / wanted.darts
        file = self._outputs.save(job, f"{found}\n".encode(), suffix=".txt", media_type="text/plain")
        return JobResult(success=True, images=(file,), metrics={"error": abs(found - math.pi)})
