"""The pipelines that run jobs; other packages add theirs by the entry point group `variantbus.pipelines`.

All that a pipeline needs can be imported from here. May import `bus`, `pipeline_runner.queue` and
`pipeline_runner.outputs`; no pipeline imports another one.
"""

from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.base import Cancelled, Job, Pipeline, Progress, ServerAddress, Setup
from pipeline_runner.queue.jobs import cancelled_result, failed_result

__all__ = [
    "Cancelled",
    "InvalidInputError",
    "Job",
    "JobResult",
    "Pipeline",
    "Progress",
    "ServerAddress",
    "Setup",
    "StageSpec",
    "VariableSpec",
    "cancelled_result",
    "failed_result",
]
