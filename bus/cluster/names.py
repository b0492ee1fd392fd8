"""The streams, buckets and subjects of a cluster. Tokens are encoded as those of topics are."""

from typing import Final

from bus.protocol.topics import encode_token

JOBS: Final = "JOBS"  # jobs that have not ended: a work queue
ENDS: Final = "ENDS"  # the one end of each job
LEDGER: Final = "LEDGER"  # the transactions of the learning services
LEADER: Final = "variantbus-leader"  # a bucket of keys: which learning service leads
RUNNERS: Final = "variantbus-runners"  # a bucket of keys: what each runner offers
PICTURES: Final = "variantbus-pictures"  # a bucket of objects, by sha256
SNAPSHOTS: Final = "variantbus-snapshots"  # a bucket of objects: a learning service's data up to a place of the ledger

ENTRY: Final = "ledger.entry"
NEWS: Final = "news."  # what may be lost: that a job has started, and how far it is; behind it a topic
CANCEL: Final = "cancel"  # to all runners, which look anyway whether their jobs have ended
WAKE: Final = "wake"  # to all runners: there are new jobs
REPEAT: Final = "repeat."  # to one runner, by name: publish ends again
ASK: Final = "ask.learning"  # a request to the learning service that leads
BANDS: Final = ("high", "normal", "low")  # of priorities, in the order in which workers look


def band_of(priority: int) -> str:
    """Return the band of a priority: above 0, 0, below 0."""
    return BANDS[0] if priority > 0 else BANDS[1] if priority == 0 else BANDS[2]


def job_subject(pipeline: str, band: str, job_id: str) -> str:
    """Return the subject of a job that waits."""
    return f"job.{encode_token(pipeline)}.{band}.{encode_token(job_id)}"


def jobs_of(pipeline: str, band: str) -> str:
    """Return the subjects of all jobs of a pipeline in a band."""
    return f"job.{encode_token(pipeline)}.{band}.*"


def consumer_of(pipeline: str, band: str) -> str:
    """Return the name of the consumer of these jobs; one of a consumer has no dot, no star and no `%`."""
    return f"{encode_token(pipeline).replace('%', '=')}-{band}"


def any_job_of(job_id: str) -> str:
    """Return the subjects of a job that waits, of any pipeline."""
    return f"job.*.*.{encode_token(job_id)}"


def end_subject(experiment_id: str, variant_index: int, job_id: str) -> str:
    """Return the subject of the end of a job."""
    return f"end.{encode_token(experiment_id)}.{variant_index}.{encode_token(job_id)}"


def any_end_of(job_id: str) -> str:
    """Return the subjects of the end of a job of any experiment."""
    return f"end.*.*.{encode_token(job_id)}"


def ends_of(experiment_id: str) -> str:
    """Return the subjects of all ends of an experiment."""
    return f"end.{encode_token(experiment_id)}.>"
