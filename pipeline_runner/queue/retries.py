"""What becomes of a job that has failed, by the kind of its error: plain rules, without clock or queue.

| kind | meaning | what follows |
|---|---|---|
| `invalid_request` | the job can never succeed as it is | it has failed; it is never repeated |
| `substituted` | the server used another value of the variable than was asked for | it has failed |
| `oom` | out of memory, even after the pipeline had unloaded what it could and tried once more | it has failed |
| `timeout` | the job took longer than it may | it has failed |
| `interrupted` | somebody else interrupted it at the server | it has failed |
| `server_error` | the server failed | its pipeline rests, then it runs again |
| `unreachable` | the server does not answer, or left the job | its pipeline rests and waits for it, then again |
| any other | as the pipeline says | it has failed |

The last two are faults of the server: after `MAX_FAULTS` of them a job has failed. A pipeline rests the longer, the
more of them came in a row, whichever jobs they met.
"""

from typing import Final

from bus.contracts.messages import JobError, JobResult

MAX_FAULTS: Final = 5  # runs that may end with a fault of the server; one that brings it down must not do so for ever
FIRST_REST_SECONDS: Final = 2.0  # doubled each time
LAST_REST_SECONDS: Final = 60.0

FAULTS: Final = frozenset({"server_error", "unreachable"})


def fault_of(result: JobResult) -> JobError | None:
    """Give the fault of the server that ended a run, None if it ended otherwise."""
    return result.error if result.error and result.error.kind in FAULTS else None


def rest_seconds(faults: int) -> float:
    """Give how long a pipeline rests after so many faults in a row, counted from 1."""
    return min(LAST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(faults - 1, 30))
