"""What follows when a job fails, by the kind of its error: rules without a clock or storage.

| kind | meaning | what follows |
|---|---|---|
| `invalid_request` | the job can never succeed as it is | it has failed; it is never retried |
| `substituted` | the server used another value of the variable than was asked for | it has failed |
| `oom` | out of memory, even after the pipeline had unloaded what it could and tried once more | it has failed |
| `timeout` | the job took longer than it may | it has failed |
| `interrupted` | another user interrupted it at the server | it has failed |
| `storage` | our own disk is full or read-only | all pipelines rest until there is room, then it runs again |
| `server_error` | the server failed | its pipeline rests, then it runs again |
| `unreachable` | the server does not answer, or lost the job | its pipeline rests and waits for it, then again |
| any other | as the pipeline says | it has failed |

`storage` counts as nothing: the job is not to blame, however often. `server_error` and `unreachable` are faults of the
server: after `MAX_FAULTS` of them a job has failed. A pipeline rests longer with each
fault in a row, whichever jobs they hit.
"""

from typing import Final

from bus.contracts.messages import JobError, JobResult

MAX_FAULTS: Final = 5  # of one job; a job that crashes the server must not do so without end
FIRST_REST_SECONDS: Final = 2.0  # doubled each time
LAST_REST_SECONDS: Final = 60.0

STORAGE: Final = "storage"
FAULTS: Final = frozenset({"server_error", "unreachable"})


def fault_of(result: JobResult) -> JobError | None:
    """Return the fault of the server that ended a run, None if it ended otherwise."""
    return result.error if result.error and result.error.kind in FAULTS else None


def storage_fault_of(result: JobResult) -> JobError | None:
    """Return why a run could not write its result, None if it ended otherwise."""
    return result.error if result.error and result.error.kind == STORAGE else None


def rest_seconds(faults: int) -> float:
    """Return the seconds that a pipeline rests after so many faults in a row, counted from 1: 2, 4, 8 … 60."""
    return min(LAST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(faults - 1, 30))
