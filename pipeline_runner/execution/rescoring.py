"""Measures the pictures of jobs that have completed already: because a person asks, or the first value comes last.

What waits is in memory alone. After the runner has died, the request that was made is made again: it goes on with the
jobs that have no number yet.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Final, NamedTuple

from bus.contracts.jobs import ScoreParams, ScoreReply
from bus.contracts.messages import ImageRef
from bus.contracts.scoring import ScoreSettings, merged_score, metric_names, missing_score
from bus.eventlog.errors import StorageError
from bus.protocol.validation import InvalidInputError
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from bus.transport.steps import Steps
from pipeline_runner.queue.jobs import NormalizedJobRecord, error_text, own_metrics
from pipeline_runner.queue.store import JobStore
from pipeline_runner.scoring.measuring import Measured, Measuring
from pipeline_runner.scoring.talk import StoppedError

NEAR: Final = 10  # jobs whose ids begin alike that are looked at: rounds of one job
PROBLEMS: Final = 1000  # experiments of which it is known why something failed
logger = logging.getLogger(__name__)


class Wish(NamedTuple):
    """What a completed job is still to be measured by."""

    experiment_id: str
    score: ScoreSettings
    base: str


class _Task(NamedTuple):
    job: NormalizedJobRecord
    score: ScoreSettings
    base: tuple[ImageRef, ...]


class Rescoring:
    """One job after another, in a thread of its own. All methods belong to the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        store: JobStore,
        measuring: Measuring,
        *,
        check: Callable[[NormalizedJobRecord | None, ScoreSettings], None],
        write: Callable[[str, ScoreSettings, dict[str, float]], None],
        waits: Callable[[], bool],
    ) -> None:
        """`check` refuses scorers that a job, or none at all, cannot have; `write` adds measures to a job.

        While `waits` returns true, none is begun: a job runs that is to run alone.
        """
        self._loop, self._store, self._measuring, self._check = loop, store, measuring, check
        self._write, self._waits = write, waits
        self._wishes: dict[str, Wish] = {}  # by job
        self._counts: Counter[str] = Counter()  # by experiment
        self._problems: dict[str, str] = {}  # by experiment
        self._comparisons: dict[str, list[str]] = {}  # jobs that wait for the pictures of one whose id begins so
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_busy = self._is_closed = False

    def ask(self, params: ScoreParams) -> Steps[ScoreReply]:
        """Answer `job.score`."""
        name, accepted, unknown = params.experiment_id, 0, 0
        if params.score:
            self._check(None, params.score)
        elif params.jobs:
            raise InvalidInputError("score: missing; say what is to measure the jobs")
        for job_id, base in params.jobs.items():
            record = self._store.intact(job_id)
            if record is None or record.result is None or record.state != "completed":
                unknown += 1
            elif params.score:
                accepted += self._take(record, Wish(name, params.score, base), again=params.again)
            yield None
        return ScoreReply(
            accepted=accepted, unknown=unknown, waiting=self._counts[name], problem=self._problems.get(name, "")
        )

    def base_of(self, prefix: str) -> tuple[ImageRef, ...]:
        """Return the pictures of the completed job whose id begins so, the newest one; none if there is none yet."""
        if not prefix:
            return ()
        for job_id in reversed(self._store.find(prefix, NEAR)):
            record = self._store.intact(job_id)
            if record and record.result and record.result.success and record.result.images:
                return record.result.images
        return ()

    def note_ended(self, records: Iterable[NormalizedJobRecord]) -> None:
        """Compare what waits for the pictures of these jobs, and let those wait that could not be compared."""
        for record in records:
            for job_id in self._comparisons.pop(_prefix_of(record.job_id), ()) if record.state == "completed" else ():
                self._compare(job_id)
            if record.state == "completed" and record.score and record.score_base and record.result:
                lacking = set(self._measuring.compares(record.score)) - record.result.metrics.keys()
                if lacking and self.base_of(record.score_base):
                    self._compare(record.job_id)
                elif lacking:
                    self._comparisons.setdefault(record.score_base, []).append(record.job_id)

    def close(self, seconds: float) -> None:
        """Stop; what is not measured yet stays so."""
        self._is_closed = True
        self._tasks.put(None)
        if self._thread:
            self._thread.join(seconds)

    def _take(self, record: NormalizedJobRecord, wish: Wish, *, again: bool) -> bool:
        """Return whether a job is measured; what it has already is published again, as who asks may lack it."""
        wanted = self._wanted(record, wish.score, again=again)
        if wanted:
            self._problems.pop(wish.experiment_id, None)
            self._add(record.job_id, wish._replace(score=wanted))
        elif record.result:
            known = {name: record.result.metrics[name] for name in metric_names(wish.score)}
            self._write(record.job_id, wish.score, known)
        return wanted is not None

    def _wanted(self, record: NormalizedJobRecord, score: ScoreSettings, *, again: bool) -> ScoreSettings | None:
        self._check(record, score)
        if clash := sorted(own_metrics(record) & set(metric_names(score))):
            raise InvalidInputError(f"score: {clash[0]!r} is what the pipeline reports itself; take another name")
        return score if again else missing_score(score, record.score, record.result.metrics if record.result else {})

    def _compare(self, job_id: str) -> None:
        record = self._store.intact(job_id)
        context = record.learning_context if record else None
        if record and record.score and context:
            only = ScoreSettings(
                use=self._measuring.compares(record.score),
                options=record.score.options,
                timeout_seconds=record.score.timeout_seconds,
            )
            self._add(job_id, Wish(context.experiment_id, only, record.score_base))

    def _add(self, job_id: str, wish: Wish) -> None:
        known = self._wishes.get(job_id)
        if known:
            wish = wish._replace(score=merged_score(known.score, wish.score))
        else:
            self._counts[wish.experiment_id] += 1
        self._wishes[job_id] = wish
        self.go_on()

    def go_on(self) -> None:
        """Hand the next job to the thread, if it is idle."""
        if self._is_busy or self._is_closed or not self._wishes or self._waits():
            return
        job_id, wish = next(iter(self._wishes.items()))
        record = self._store.intact(job_id)
        if record is None or record.result is None:
            self._ended(job_id, wish, Measured({}))
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="rescoring", daemon=True)
            self._thread.start()
        self._is_busy = True
        self._tasks.put(_Task(record, wish.score, self.base_of(wish.base)))

    def _work(self) -> None:
        """Run in the thread."""
        while task := self._tasks.get():
            images = task.job.result.images if task.job.result else ()
            try:
                measured = self._measuring.measure(task.job, task.score, images, task.base, lambda: self._is_closed)
            except StoppedError:
                return
            except Exception as error:
                logger.exception("job %s cannot be scored", task.job.job_id)
                measured = Measured({}, (error_text(error),))
            self._loop.call(partial(self._measured, task, measured))

    def _measured(self, task: _Task, measured: Measured) -> None:
        wish = self._wishes[task.job.job_id]
        try:
            if measured.metrics:
                self._write(task.job.job_id, task.score, measured.metrics)
        except StorageError as error:  # the disk is full
            retry_later(self._loop, error, lambda: self._measured(task, measured))
            return
        self._is_busy = False
        if wish.score != task.score:  # more was asked for meanwhile
            self.go_on()
            return
        self._ended(task.job.job_id, wish, measured)

    def _ended(self, job_id: str, wish: Wish, measured: Measured) -> None:
        del self._wishes[job_id]
        self._counts[wish.experiment_id] -= 1
        if not self._counts[wish.experiment_id]:
            del self._counts[wish.experiment_id]
        if measured.warnings:
            self._problems.pop(wish.experiment_id, None)
            self._problems[wish.experiment_id] = f"{job_id}: {measured.warnings[0]}"
            if len(self._problems) > PROBLEMS:
                del self._problems[next(iter(self._problems))]
        self._loop.call(self.go_on)


def _prefix_of(job_id: str) -> str:
    """Return how the ids of all rounds of a job begin."""
    return f"{job_id.rpartition('.')[0]}."
