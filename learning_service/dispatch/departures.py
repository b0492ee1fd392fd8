"""Runners that are away: since when, how much waits for them, and what becomes of that if they never come back.

A forgotten runner's unfinished jobs get new ids, and go to others that offer the pipeline. What it may still publish of
the old ids counts nothing, so no job is counted twice, whoever of the two ends it first. If it comes back, it is told
to drop them before it is sent anything else.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from bus.contracts.runners import RunnerForgetParams, RunnerForgetReply, RunnerListReply, RunnerView
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError, InfoReply, NoParams
from bus.telemetry.metrics import Point
from bus.transport.loop import Loop
from bus.transport.pace import Pace
from bus.transport.retry import log_transient
from bus.transport.server import MethodServer
from bus.transport.steps import Steps, complete
from learning_service.dispatch.links import RunnerLink
from learning_service.dispatch.resending import Resending
from learning_service.experiments import variants
from learning_service.experiments.model import SearchState
from learning_service.experiments.plan import job_id
from learning_service.storage.departures import HeldJob, HeldJobs
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork

NUMBERS_AT_ONCE: Final = 400  # jobs that are looked at in one turn of the loop, at most
DROPPED_AT_ONCE: Final = 50  # requests; the runner syncs each to its disk
COUNTED_AT_ONCE: Final = 10_000  # of which only the number is wanted
HELP: Final = {
    "variantbus_runner_away_seconds": "For how long a runner has not answered for which something waits.",
    "variantbus_runner_waiting": "What waits for a runner that does not answer: jobs, and cancels of experiments.",
}
logger = logging.getLogger(__name__)


class Departures:
    """Knows which runners are away, and gives the jobs of a forgotten one to others, some in each step."""

    def __init__(
        self,
        log: Log,
        store: LearningStore,
        loop: Loop,
        links: Sequence[RunnerLink],
        resending: Resending,
        pump: Callable[[], None],
    ) -> None:
        """Wire the parts; `pump` goes on with what there is to do."""
        self._log, self._store, self._loop, self._rows = log, store, loop, store.departures
        self._resending, self._pump = resending, pump
        self._links = {link.address: link for link in links}
        self._since = self._rows.absences()
        self._pace, self._count_pace = Pace(NUMBERS_AT_ONCE), Pace(COUNTED_AT_ONCE)
        self._looked_at = 0  # the numbers of jobs up to here were looked at in the present round
        # never grows: jobs are assigned only to followed runners
        self._held = complete(self._rows.count_held(self._count_pace))  # as last counted, for the metrics
        self._is_counting = False
        self._strangers = self._held.keys() - self._links.keys()
        for stranger in self._strangers:
            logger.warning("%s has jobs that have not ended, and is not followed: name it with --runner", stranger)

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("runner.list", NoParams, self._list, role="read")
        methods.add_steps("runner.forget", RunnerForgetParams, self._forget)

    def is_away(self, runner: str) -> bool:
        """Return whether a runner does not answer, or is not followed."""
        link = self._links.get(runner)
        return link is None or not link.alive

    def has_nothing(self, runner: str, experiment_id: str) -> bool:
        """Return whether a runner is away, and has no job left of an experiment: nothing is waited for there."""
        return self.is_away(runner) and not self._rows.has_unended(experiment_id, runner)

    def stranded(self, experiment_id: str) -> int:
        """Return how many jobs of an experiment have not ended, of runners that do not answer or are not followed."""
        away = [address for address, link in self._links.items() if not link.alive]
        return sum(self._rows.count_of(experiment_id, runner) for runner in (*away, *self._strangers))

    def note_answer(self, runner: str) -> None:
        """Record that a runner answers."""
        if self._since.pop(runner, None) is not None:
            self._write(lambda tx: self._rows.end_absence(tx, runner))

    def note_silence(self, runner: str) -> None:
        """Record that a runner does not answer; the first time counts."""
        if runner not in self._since:
            since = self._since[runner] = time.time()
            self._write(lambda tx: self._rows.begin_absence(tx, runner, since))
            self._count_anew()

    def adopt(self, runner: str, info: InfoReply) -> None:
        """Give a runner what was given to another address that is not followed any more, if it has the same log.

        Raises:
            StorageError: nothing can be read or written now.
        """
        epochs = {info.epoch, *(epoch for epoch, _ in info.epochs)}
        for stranger in sorted(self._strangers):
            mark = self._resending.confirmed(stranger)
            if mark and mark.epoch in epochs:
                with self._log.transaction(sync=True) as tx:
                    self._rows.move(tx, stranger, runner)
                self._strangers.discard(stranger)
                logger.warning("the runner at %s is the one that was at %s: it has its log", runner, stranger)

    def step(self) -> bool:
        """Give some jobs of a forgotten runner to others; return whether more may be left.

        Raises:
            StorageError: nothing can be read or written now.
        """
        runner = self._rows.forgotten()
        if runner is None:
            return False
        at_once = self._pace.count
        high = self._looked_at + at_once
        with self._pace.timed(at_once):
            held, is_last = self._rows.held(runner, self._looked_at, high), high >= self._rows.last_number()
            if held or is_last:
                with self._log.transaction(sync=True) as tx:
                    self._hand_on(tx, runner, held)
                    if is_last:
                        self._rows.finish(tx, runner)
        self._looked_at = 0 if is_last else high
        if is_last:
            self._strangers.discard(runner)
            logger.warning("runner %s is forgotten", runner)
        return True

    def next_withdrawals(self, runner: str) -> list[tuple[int, str]]:
        """Return the jobs that a runner which came back has to drop next, with their numbers."""
        return self._rows.next_withdrawals(runner, DROPPED_AT_ONCE)

    def finish_withdrawals(self, runner: str, numbers: Iterable[int]) -> None:
        """Record that a runner has dropped jobs.

        Raises:
            StorageError: nothing can be written now.
        """
        with self._log.transaction() as tx:
            self._rows.finish_withdrawals(tx, runner, numbers)

    def points(self) -> Iterator[Point]:
        """Return the metrics: what waits for runners that do not answer, or are not followed."""
        away = [address for address, link in self._links.items() if not link.alive]
        if not away and not self._strangers:
            return
        self._count_anew()  # for the next time
        held, cancels = self._held, self._rows.count_cancels()
        for stranger in self._strangers:
            yield "variantbus_runner_unfollowed", {"runner": stranger}, 1
        for runner in away:
            jobs = sum(some.jobs for some in held.get(runner, ()))
            if (jobs or cancels[runner]) and runner in self._since:
                yield "variantbus_runner_away_seconds", {"runner": runner}, max(0.0, time.time() - self._since[runner])
                yield "variantbus_runner_waiting", {"runner": runner, "what": "jobs"}, jobs
                yield "variantbus_runner_waiting", {"runner": runner, "what": "cancels"}, cancels[runner]

    def _write(self, change: Callable[[Transaction], None]) -> None:
        """Write when a runner was last there; if that cannot be written now, it is known until the next start."""
        try:
            with self._log.transaction() as tx:
                change(tx)
        except StorageError as error:
            log_transient(error)

    def _count_anew(self) -> None:
        """Count in the background what runners have, unless that is under way."""
        if not self._is_counting:
            self._is_counting = True
            self._loop.start(self._recount())

    def _recount(self) -> Steps[None]:
        try:
            self._held = yield from self._rows.count_held(self._count_pace)
            self._strangers &= self._held.keys()
        except StorageError as error:  # the next time counts again
            log_transient(error)
        finally:
            self._is_counting = False

    def _list(self, _params: NoParams) -> Steps[RunnerListReply]:
        return RunnerListReply(runners=(yield from self._views()))

    def _views(self) -> Steps[list[RunnerView]]:
        held = yield from self._rows.count_held(self._count_pace)
        cancels, withdrawals = self._rows.count_cancels(), self._rows.count_withdrawals()
        addresses = dict.fromkeys((*self._links, *sorted({*held, *cancels, *withdrawals})))
        return [
            self._view(address, held.get(address, []), cancels[address], withdrawals[address]) for address in addresses
        ]

    def _view(self, address: str, held: list[HeldJobs], cancels: int, withdrawals: int) -> RunnerView:
        link = self._links.get(address)
        return RunnerView(
            address=address,
            followed=link is not None,
            answers=link is not None and link.alive,
            away_since=self._since.get(address) if link else None,
            pipelines=sorted(link.pipelines) if link else [],
            jobs=sum(some.jobs for some in held),
            stranded=sum(some.jobs for some in held if some.cancelled or not self._others_offer(some.kind, address)),
            cancels=cancels,
            withdrawals=withdrawals,
        )

    def _forget(self, params: RunnerForgetParams) -> Steps[RunnerForgetReply]:
        runner, views = params.runner, {view.address: view for view in (yield from self._views())}
        if runner not in views:
            raise ControlError("not_found", f"runner {runner!r} is unknown; see `variantbus runner-list`")
        if views[runner].answers:
            text = f"{runner} answers, so its jobs are not lost; stop it first, or end them by `experiment cancel`"
            raise ControlError("conflict", text)
        with self._log.transaction(sync=True) as tx:
            self._rows.begin(tx, runner)
        self._since.pop(runner, None)
        if link := self._links.get(runner):
            link.offer({})
        self._looked_at = 0
        self._pump()
        stranded = views[runner].stranded
        return RunnerForgetReply(handed_on=views[runner].jobs - stranded, cancelled=stranded)

    def _others_offer(self, kind: str, runner: str) -> bool:
        return any(link.offers(kind) for address, link in self._links.items() if address != runner)

    def _hand_on(self, tx: Transaction, runner: str, held: list[HeldJob]) -> None:
        """Stage what becomes of jobs of a forgotten runner: new ones in their place, or an end as cancelled."""
        work, now = UnitOfWork(tx, self._store), time.time()
        by_variant: dict[tuple[str, int], list[HeldJob]] = {}
        for job in held:
            by_variant.setdefault((job.experiment_id, job.planned.variant_index), []).append(job)
        for (experiment_id, index), mine in by_variant.items():
            draft = work.draft(experiment_id)
            variant = draft.variants[index]
            jobs = [job for job in mine if variant.jobs.get(job.job_id, "ended") not in variants.GONE]
            if not jobs:
                continue
            names = [job.job_id for job in jobs]
            if reason := self._reason(runner, jobs[0]):
                work.put(draft, variants.cancelled(variant, names, now, reason), now)
                self._store.stale.mark(tx, [experiment_id])
                if draft.is_searching:
                    draft.search = SearchState("stopped", reason)
            else:
                again = {job.job_id: job.planned._replace(round=job.planned.round + 1) for job in jobs}
                new = {old: job_id(experiment_id, planned) for old, planned in again.items()}
                work.put(draft, variants.handed_on(variant, new, now), now)
                self._store.add_jobs(tx, draft, [(new[old], planned) for old, planned in again.items()])
            draft.moved += names
            self._rows.withdraw(tx, runner, [(job.number, job.job_id) for job in jobs])

    def _reason(self, runner: str, job: HeldJob) -> str | None:
        """Return why jobs of a forgotten runner are cancelled, None if they go to another one."""
        if self._rows.is_cancelled(job.experiment_id, runner):
            return f"cancelled, as its runner {runner} was forgotten"
        if self._others_offer(job.kind, runner):
            return None
        return f"cancelled, as its runner {runner} was forgotten and no other one offers {job.kind}"
