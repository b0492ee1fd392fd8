"""The `noop` pipeline: jobs that do nothing, to measure what a job costs on its way."""

from collections.abc import Mapping
from typing import Final

from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, Setup
from pipeline_runner.queue.jobs import NormalizedJobRecord

_STAGES: Final = {"run": StageSpec(variables={"level": VariableSpec(kind="float", target="nothing")}, metrics=())}


class NoopPipeline(Pipeline):
    """Ends every job at once, well and without a picture."""

    concurrency = 64  # none of them takes a processor

    def __init__(self, _setup: Setup) -> None:
        """Need nothing."""

    def stages(self) -> Mapping[str, StageSpec]:
        """Return `run`, whose one variable changes nothing."""
        return _STAGES

    def run(self, _job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Do nothing."""
        return JobResult(success=True)
