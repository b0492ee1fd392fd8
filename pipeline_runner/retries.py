"""What becomes of a job that has failed, by the kind of its error: plain rules, without clock or queue.

| kind | meaning | what follows |
|---|---|---|
| `invalid_request` | the job can never succeed as it is | it has failed; it is never repeated |
| `substituted` | the server used another value of the variable than was asked for | it has failed |
| `oom` | out of memory, even after the pipeline had unloaded what it could and tried once more | it has failed |
| `timeout` | the job took longer than it may | it has failed |
| `interrupted` | somebody else interrupted it at the server | it has failed |
| `server_error` | the server failed | its pipeline rests for a growing while, then it runs again |
| `unreachable` | the server does not answer, or left the job | its pipeline waits for it, then it runs again |
| any other | as the pipeline says | it has failed |

After `MAX_FAULTS` runs of the last two kinds a job has failed.
"""

from typing import Final, Literal

from bus.messages import JobResult

MAX_FAULTS: Final = 5  # runs that may end with a fault of the server; one that brings it down must not do so for ever
FIRST_REST_SECONDS: Final = 2.0  # doubled each time
LAST_REST_SECONDS: Final = 60.0

Verdict = Literal["end", "rest", "wait"]


def judge(result: JobResult, faults: int) -> Verdict:
    """Say what follows a run: its end, another run after a rest, or another run when the server answers again.

    `faults` counts the runs of this job that ended with a fault of the server, this one included.
    """
    if result.success or result.cancelled or result.error is None or faults >= MAX_FAULTS:
        return "end"
    match result.error.kind:
        case "server_error":
            return "rest"
        case "unreachable":
            return "wait"
        case _:
            return "end"


def rest_seconds(faults: int) -> float:
    """Give how long a pipeline rests after so many faults under one job, counted from 1."""
    return min(LAST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** (faults - 1))
