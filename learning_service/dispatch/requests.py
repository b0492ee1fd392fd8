"""The request that submits jobs, and whether a job is known to its runner."""

import time
from collections.abc import Iterable
from typing import Final

from msgspec import Raw

from bus.contracts.jobs import JobRequest
from bus.contracts.messages import JobCompleted, JobError, JobResult
from bus.protocol.frames import encode
from learning_service.experiments.plan import job_request
from learning_service.storage.job_rows import JobRow
from learning_service.storage.store import LearningStore

BATCH_BYTES: Final = 2 << 20  # of the jobs in one request; it stays below the limit of a request


def request_of(store: LearningStore, row: JobRow) -> JobRequest:
    """Return the request that submits a job."""
    experiment = store.get(row.experiment_id)
    value = experiment.variants[row.planned.variant_index].value
    return job_request(row.experiment_id, experiment.definition, value, row.planned)


def is_known(store: LearningStore, row: JobRow) -> bool:
    """Return whether events show that a runner has the job, that the job has ended, or that it is deleted."""
    experiment = store.find(row.experiment_id)
    return experiment is None or experiment.variants[row.planned.variant_index].jobs[row.job_id] != "planned"


def refusal(request: JobRequest, message: str) -> JobCompleted:
    """Return the end of a job that its runner does not take: its pipeline was changed since the job was planned."""
    now = time.time()
    return JobCompleted(
        job_id=request.job_id,
        stage=request.stage,
        pipeline=request.pipeline,
        attempt=0,
        learning_context=request.learning_context,
        config=request.config,
        result=JobResult(success=False, error=JobError(kind="invalid_request", message=message)),
        queued_at=now,
        started_at=None,
        finished_at=now,
    )


def fitting(jobs: Iterable[JobRequest]) -> list[Raw]:
    """Return the encoded jobs that fit into one request, beginning with the first."""
    encoded: list[Raw] = []
    size = 0
    for job in jobs:
        encoded.append(Raw(encode(job)))
        size += len(encoded[-1])
        if size > BATCH_BYTES:
            break
    return encoded
