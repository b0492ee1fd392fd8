"""What follows when a job fails, by the kind of its error: rules without a clock or storage.

| kind | meaning | what follows |
|---|---|---|
| `invalid_request` | the job can never succeed as it is | it has failed; it is never retried |
| `substituted` | the server used another value of the variable than was asked for | it has failed |
| `oom` | out of memory, even after the pipeline had unloaded what it could and tried once more | it has failed |
| `timeout` | the job took longer than it may | it has failed |
| `interrupted` | another user interrupted it at the server | it has failed |
| `storage` | our own disk is full or read-only | all pipelines rest until there is room, then it runs again |
| `server_error` | a server that is well reports an exception, or gives an unusable answer | it runs again at once |
| `busy` | the server takes no more for now | its pipeline rests, then it runs again |
| `unreachable` | the server does not answer, or lost the job | its pipeline rests and waits for it, then again |
| any other | as the pipeline says | it has failed |

`storage` counts as nothing: the job is not to blame, however often. Of the three others, after `MAX_FAULTS` a job has
failed. A `server_error` most likely belongs to the job: with the same words twice in a row it has failed, and nobody
else waits for it. `busy` and `unreachable` belong to the server. Its pipeline rests, longer with each of them in a row,
whichever jobs they hit. The rest ends early when the job that met it is cancelled, or when the server was seen away
and is back.

Jobs of a variant that wait behind `ENOUGH` others, which have all failed with the same words, are not run: see
`FailedVariants`.
"""

import re
from typing import Final

from bus.contracts.messages import JobError, JobResult, LearningContext

MAX_FAULTS: Final = 5  # of one job; a job that crashes the server must not do so without end
FIRST_REST_SECONDS: Final = 2.0  # doubled each time
LAST_REST_SECONDS: Final = 60.0
VARIANTS_KNOWN: Final = 20_000

STORAGE: Final = "storage"
NOT_RUN: Final = "not_run"
OF_THE_SERVER: Final = frozenset({"busy", "unreachable"})
FAULTS: Final = OF_THE_SERVER | {"server_error"}
ENOUGH: Final = 2  # jobs of a variant that failed in the same way, so that the others would too
_NOT_OF_THE_VALUE: Final = OF_THE_SERVER | {"crashed", "interrupted", NOT_RUN}
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")


def fault_of(result: JobResult) -> JobError | None:
    """Return the fault that ended a run and after which it is tried again, None if it ended otherwise."""
    return result.error if result.error and result.error.kind in FAULTS else None


def may_run_again(fault: JobError, last: JobError | None, faults: int) -> bool:
    """Return whether a job runs again after a fault; `last` is the one before, `faults` how many there were before."""
    repeated = fault.kind == "server_error" and last is not None and is_same(fault, last)
    return not repeated and faults + 1 < MAX_FAULTS


def is_same(one: JobError, other: JobError) -> bool:
    """Return whether two errors say the same; addresses, times and amounts in them may differ."""
    return one.kind == other.kind and _NUMBER.sub("#", one.message) == _NUMBER.sub("#", other.message)


def storage_fault_of(result: JobResult) -> JobError | None:
    """Return why a run could not write its result, None if it ended otherwise."""
    return result.error if result.error and result.error.kind == STORAGE else None


def rest_seconds(faults: int) -> float:
    """Return the seconds that a pipeline rests after so many faults in a row, counted from 1: 2, 4, 8 … 60."""
    return min(LAST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(faults - 1, 30))


class FailedVariants:
    """Which variants have failed from their first job on, so that running the others would show nothing new.

    It is known of the variants whose jobs were submitted since the start of the runner, of the newest
    `VARIANTS_KNOWN` of them.
    """

    def __init__(self) -> None:
        """Start with none."""
        # the failures of each, as long as there is nothing else
        self._known: dict[tuple[str, int], list[JobError]] = {}

    def note_submitted(self, context: LearningContext | None) -> None:
        """Judge a variant anew: new seeds, or failed jobs once more, were planned for a reason."""
        if context:
            key = context.experiment_id, context.variant_index
            self._known.pop(key, None)
            self._known[key] = []
            if len(self._known) > VARIANTS_KNOWN:
                del self._known[next(iter(self._known))]

    def note_end(self, context: LearningContext | None, result: JobResult) -> None:
        """Take the end of a job into account; cancelled ones say nothing of their value."""
        if context is None or result.cancelled or (result.error and result.error.kind in _NOT_OF_THE_VALUE):
            return
        key = context.experiment_id, context.variant_index
        failures = self._known.get(key)
        if failures is None:
            return
        if result.error and all(is_same(result.error, one) for one in failures[-1:]):
            self._known[key] = [*failures, result.error][:ENOUGH]
        else:
            del self._known[key]

    def reason(self, context: LearningContext | None) -> JobError | None:
        """Return why a job of a variant is not run, None if it is."""
        failures = self._known.get((context.experiment_id, context.variant_index)) if context else None
        if not failures or len(failures) < ENOUGH:
            return None
        text = f"not run, as the first {ENOUGH} jobs of this value failed with: {failures[0].message}"
        return JobError(kind=NOT_RUN, message=text)
