"""A completion hook: append a line of JSON to a file for each job that has ended.

The environment variable JOB_JOURNAL of the runner names the file; the default is `jobs.jsonl` in its working folder.
"""

import json
import os
from pathlib import Path

from bus.contracts.messages import JobResult
from pipeline_runner.queue.jobs import NormalizedJobRecord


def write_line(record: NormalizedJobRecord, result: JobResult) -> None:
    """Append one line; an exception is logged by the runner and changes nothing else."""
    line = {
        "job": record.job_id,
        "pipeline": record.pipeline,
        "experiment": record.learning_context.experiment_id if record.learning_context else None,
        "state": record.state,
        "error": result.error.message if result.error else None,
        "files": [image.path for image in result.images],
        "metrics": result.metrics,
    }
    with Path(os.environ.get("JOB_JOURNAL", "jobs.jsonl")).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
