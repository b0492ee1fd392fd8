"""The ends that this runner owes to the cluster: written with the end of each job, sent until they are acknowledged."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final

from bus.cluster import ends, tasks
from bus.cluster.ends import Outcome
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from bus.cluster.messages import RepeatRequest
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.telemetry.logging import RepeatFilter
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from bus.transport.steps import Steps, wait
from pipeline_runner.cluster.link import Link
from pipeline_runner.cluster.numbers import Numbers
from pipeline_runner.cluster.sending import Place, send, subject_of
from pipeline_runner.cluster.store import ClusterStore, EndRow, EndState
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.store import JobStore

WINDOW: Final = 32  # ends that are sent at once
FULL: Final = 4 * WINDOW  # waiting ends from which on no more jobs are taken
REST_SECONDS: Final = 1.0  # after an end could not be sent
PAGE: Final = 100  # ends that are looked up at once when they are to be repeated
Key = tuple[int, int]  # epoch and number
HELP: Final = {
    "variantbus_cluster_ends_waiting": "Ends of jobs that the cluster has not acknowledged.",
    "variantbus_cluster_ends_won_total": "Ends of this runner that count.",
    "variantbus_cluster_ends_fenced_total": "Results of this runner that were dropped, as the job had ended elsewhere.",
}
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a cluster that is away must not decide how much we log


class Outbox:
    """Sends ends in their order, many at once. All methods belong to the loop's thread."""

    def __init__(
        self,
        log: Log,
        loop: Loop,
        link: Link,
        store: ClusterStore,
        jobs: JobStore,
        *,
        name: str,
        root: Path,
    ) -> None:
        """Load what was owed at the last stop.

        Attributes:
            acknowledged: Called after ends were: there is room for more.
        """
        self._log, self._loop, self._link, self._store, self._jobs = log, loop, link, store, jobs
        self._name, self._root = name, root
        self._numbers: dict[int, Numbers] = {}
        self._waiting: dict[Key, NormalizedJobRecord] = {}  # in the order in which they are sent
        self._sending: dict[Key, NormalizedJobRecord] = {}
        self._answered: list[tuple[Key, NormalizedJobRecord, Outcome]] = []  # that are still to be written
        self._rest_until = 0.0
        self._is_repeating = False
        self._is_begun = False
        self._room = Future[None]()  # what `repeat` waits for: done once there is some
        self._won = self._fenced = 0
        self.acknowledged: Callable[[], None] = lambda: None
        self._load()

    @property
    def is_full(self) -> bool:
        """Whether so many ends wait that no more jobs should be taken."""
        return len(self._waiting) + len(self._sending) >= FULL

    @property
    def is_sending(self) -> bool:
        """Whether ends are on their way, or are acknowledged and this is not written yet."""
        return bool(self._sending)

    def begin(self) -> None:
        """Send from now on."""
        self._is_begun = True
        self.go_on()

    def pause(self) -> None:
        """Send nothing more until `begin`."""
        self._is_begun = False

    def renew(self) -> None:
        """Load anew what is owed, which has other numbers now."""
        self._numbers.clear()
        self._waiting.clear()
        self._load()

    def owes(self, job_id: str) -> bool:
        """Return whether the end of a job waits."""
        return any(record.job_id == job_id for some in (self._waiting, self._sending) for record in some.values())

    def note_ends(self, tx: Transaction, records: Iterable[NormalizedJobRecord]) -> None:
        """Write the ends of jobs of experiments in the transaction in which they end; once in a transaction."""
        mine = [record for record in records if record.learning_context]
        epoch = self._log.epoch
        numbers = self._numbers_of(epoch).upcoming(len(mine))
        rows = [EndRow(epoch, number, one.job_id, "waiting") for number, one in zip(numbers, mine, strict=True)]
        self._store.write(tx, rows)
        tx.after_commit(partial(self._add, rows, mine))

    def send_again(self, tx: Transaction, records: Sequence[NormalizedJobRecord]) -> None:
        """Write that ends of jobs are to be sent though they were acknowledged, or dropped: the cluster has none."""
        rows = [(record, self._store.end_of(record.job_id)) for record in records]
        self.note_ends(tx, [record for record, row in rows if row is None])
        again = [(record, row._replace(state="waiting")) for record, row in rows if row and row.state == "won"]
        self._store.write(tx, [row for _, row in again])
        tx.after_commit(partial(self._add, [row for _, row in again], [record for record, _ in again]))

    def go_on(self) -> None:
        """Send as many ends as may be on their way."""
        if not self._is_begun or not self._waiting:
            return
        if not self._link.is_connected or time.monotonic() < self._rest_until:
            return
        keys = list(self._waiting)[: WINDOW - len(self._sending)]
        complete = {epoch: self._numbers_of(epoch).complete for epoch in {epoch for epoch, _ in keys}}
        pairs = []
        for key in keys:
            record = self._sending[key] = self._waiting.pop(key)
            pairs.append((self._work(key, record, complete[key[0]]), partial(self._sent, key)))
        self._link.do_all(pairs)

    def repeat(self, request: RepeatRequest) -> Steps[None]:
        """Send again what was acknowledged and is not in the cluster any more; what is removed here is lost."""
        if self._is_repeating:
            return  # whoever misses ends asks again
        self._is_repeating = True
        try:
            number = request.number
            while rows := self._store.won(request.epoch, number, PAGE):
                yield from self._repeat(rows)
                number = rows[-1].number + 1
                while self.is_full:
                    self._room = Future()
                    yield self._room
        except (ClusterError, StorageError) as error:
            logger.warning("the ends that the cluster has lost are not all repeated: %s", error)
        finally:
            self._is_repeating = False

    def flush(self, seconds: float) -> None:
        """Send what waits, for a short time: the runner stops, and others would do these jobs again."""
        owed = self._sending | self._waiting
        if not owed or not self._is_begun or not self._link.is_connected:
            return
        works = [asked(self._work(key, one, self._numbers_of(key[0]).complete)) for key, one in owed.items()]
        try:
            answers = self._link.connection.run(_gathered(works, seconds), 2 * seconds)
        except ClusterError:
            return  # the next start sends them
        for (key, record), outcome in zip(owed.items(), answers, strict=True):
            if outcome:
                self._answered.append((key, record, outcome))
        self._write()

    def points(self) -> Iterator[Point]:
        """Return the metrics."""
        yield "variantbus_cluster_ends_waiting", {}, len(self._waiting) + len(self._sending)
        yield "variantbus_cluster_ends_won_total", {}, self._won
        yield "variantbus_cluster_ends_fenced_total", {}, self._fenced

    def _load(self) -> None:
        lost: list[EndRow] = []
        for row in self._store.owed():
            if row.state == "waiting":
                record = self._jobs.intact(row.job_id)
                if record is None or record.result is None:
                    lost.append(row._replace(state="fenced"))
                else:
                    self._waiting[row.epoch, row.number] = record
        if lost:
            logger.error("%d ends of jobs are lost before the cluster had them; others do them again", len(lost))
            with self._log.transaction() as tx:
                self._store.write(tx, lost)

    def _numbers_of(self, epoch: int) -> Numbers:
        if epoch not in self._numbers:
            owed = [row for row in self._store.owed() if row.epoch == epoch]
            by_state: dict[EndState, list[int]] = {"waiting": [], "fenced": []}
            for row in owed:
                by_state[row.state].append(row.number)
            self._numbers[epoch] = Numbers(self._store.last(epoch), by_state["waiting"], by_state["fenced"])
        return self._numbers[epoch]

    def _add(self, rows: Sequence[EndRow], records: Sequence[NormalizedJobRecord]) -> None:
        for row, record in zip(rows, records, strict=True):
            self._numbers_of(row.epoch).take([row.number])
            self._waiting[row.epoch, row.number] = record
        self.go_on()

    async def _work(self, key: Key, record: NormalizedJobRecord, complete: int) -> Outcome:
        place = Place(self._name, *key, complete)
        return await send(self._link.connection, self._root, record, place, self._store.tickets.get(record.job_id, ""))

    def _sent(self, key: Key, outcome: Outcome | ClusterError) -> None:
        record = self._sending.pop(key)
        if isinstance(outcome, ClusterError):
            logger.warning("the end of %s waits, as the cluster does not take it: %s", record.job_id, outcome)
            self._waiting[key] = record
            self._rest_until = time.monotonic() + REST_SECONDS
            return
        self._sending[key] = record  # until it is written
        self._answered.append((key, record, outcome))
        if len(self._answered) == 1:
            self._loop.call(self._write)

    def _write(self) -> None:
        """Write what was acknowledged, all of a turn in one transaction."""
        answered = self._answered
        rows = [EndRow(*key, record.job_id, "won" if how == "won" else "fenced") for key, record, how in answered]
        try:
            with self._log.transaction() as tx:
                self._store.write(tx, rows)
                self._store.drop(tx, [row.job_id for row in rows])
        except StorageError as error:
            retry_later(self._loop, error, self._write)
            return
        self._answered = []
        for key, record, outcome in answered:
            self._sending.pop(key, None)
            self._waiting.pop(key, None)
            self._numbers_of(key[0]).note(key[1], won=outcome == "won")
            if outcome == "won":
                self._won += 1
            else:
                self._fenced += 1
                logger.info("%s has ended elsewhere; what was made here is dropped", record.job_id)
        if not self.is_full and not self._room.done():
            self._room.set_result(None)
        self.go_on()
        self.acknowledged()

    def _repeat(self, rows: Sequence[EndRow]) -> Steps[None]:
        records = [record for row in rows if (record := self._jobs.intact(row.job_id))]
        there = yield from wait(self._link.connection.submit(asked(self._are_there(records))))
        missing = {record.job_id: record for record, is_there in zip(records, there, strict=True) if not is_there}
        again = [row._replace(state="waiting") for row in rows if row.job_id in missing]
        if again:
            logger.warning("the cluster has lost %d ends of this runner, which are sent again", len(again))
            with self._log.transaction() as tx:
                self._store.write(tx, again)
            self._add(again, [missing[row.job_id] for row in again])

    async def _are_there(self, records: Sequence[NormalizedJobRecord]) -> list[bool]:
        js = self._link.connection.js
        found = await asyncio.gather(*(ends.find(js, subject_of(record)) for record in records))
        return [stored is not None for stored in found]


async def _gathered(works: Sequence[Coroutine[Any, Any, Outcome]], seconds: float) -> list[Outcome | None]:
    """Return the outcomes that come in time."""
    begun = [tasks.begin(work) for work in works]
    _, late = await asyncio.wait(begun, timeout=seconds)
    for task in late:
        task.cancel()
    return [None if task in late or task.exception() else task.result() for task in begun]
