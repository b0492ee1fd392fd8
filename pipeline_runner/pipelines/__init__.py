"""The pipelines that run jobs; other packages add theirs by the entry point group `variantbus.pipelines`.

May import `bus`, `pipeline_runner.queue` and `pipeline_runner.outputs`; no pipeline imports another one.
"""

from pipeline_runner.pipelines.base import Cancelled, Pipeline, Progress, ServerAddress, Setup

__all__ = ["Cancelled", "Pipeline", "Progress", "ServerAddress", "Setup"]
