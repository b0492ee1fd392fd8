"""Makes up for damaged rows: from the newest published statuses, the other tables, and the runners.

The log sets rows that fail their checksum aside when it opens the tables. None of their values is trusted: what is
missing is found by comparing the tables with each other and with what was published. A damaged row only tells which of
several ways to try first, and what to call that which cannot be restored.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import msgspec

from bus.contracts.messages import ExperimentStatus, JobCompleted, SearchProgress
from bus.contracts.topics import EXPERIMENT_STATUS
from bus.eventlog import sql
from bus.eventlog.damage import DamagedRow
from bus.eventlog.errors import DiskError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from learning_service.experiments import variants
from learning_service.experiments.model import Experiment, SearchState
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.plan import parse_job_id
from learning_service.storage.job_rows import job_kind
from learning_service.storage.judgement_repair import repair_comparisons, repair_ratings
from learning_service.storage.results import EndedJobs
from learning_service.storage.store import LearningStore, is_definition
from learning_service.storage.unit_of_work import UnitOfWork
from learning_service.storage.variant_repair import newest, planned_jobs, repair_variants
from learning_service.storage.variant_rows import is_readable

SQL: Final = sql.load("learning_service.storage", "repair.sql")
# What is read, made or asked for again by itself.
RENEWED: Final = frozenset(
    {"positions", "runners", "confirmations", "reconciles", "stale", "import_parts", "late_events", "catalogue"}
)
DEPARTED: Final = ("absences", "forgotten", "withdrawals")  # costs at most a job that runs twice, and counts once
FROM_RUNNERS: Final = ("results", "pictures")  # is asked for at the runner that had the job; once there were two tables
VARIANTS: Final = ("variants", "variant_news")
_encode = msgspec.msgpack.Encoder().encode
logger = logging.getLogger(__name__)


class Repair:
    """Repairs the tables of one learning service when it starts, and fills in what its runners then tell."""

    def __init__(self, log: Log, store: LearningStore, runners: Iterable[str]) -> None:
        """`runners` are those that are followed: they are asked for what only they know."""
        self._log, self._store, self._runners = log, store, list(runners)
        self._waiting = log.damaged_rows()
        self._lost: set[str] = set()  # jobs that have ended, but whose result or pictures are not here
        unreadable = self._find_unreadable()
        if self._waiting or unreadable:
            self._run(unreadable)

    @property
    def lost(self) -> list[str]:
        """The ids of jobs whose ends are known, but not their results: their runner may still know."""
        return sorted(self._lost)

    def fill_in(self, job: JobCompleted) -> None:
        """Write the result of a job that was lost here, as its runner tells it.

        Raises:
            StorageError: nothing can be written now.
        """
        context = job.learning_context
        if job.job_id not in self._lost or context is None or self._store.find(context.experiment_id) is None:
            return
        self._lost.discard(job.job_id)
        mine = [row for row in self._rows(*FROM_RUNNERS) if row.values.get("job_id") == job.job_id or not self._lost]
        with self._log.transaction() as tx:
            self._store.results.write(tx, EndedJobs([job]))
            self._store.stale.mark(tx, [context.experiment_id])
            work = UnitOfWork(tx, self._store)
            draft = work.draft(context.experiment_id)
            if context.variant_index in draft.variants:
                work.rate(draft, context.variant_index, job.finished_at)
            self._settle(tx, mine)
        logger.info("the result of job %s is restored: its runner has told it", job.job_id)
        self._name_lost()

    def _run(self, unreadable: set[str]) -> None:
        before = len(self._waiting)
        steps: dict[str, Callable[[UnitOfWork], list[DamagedRow]]] = {
            "experiments": self._experiments,
            "variants": lambda work: repair_variants(self._log, work, self._store, self._rows(*VARIANTS)),
            "adaptive": self._searches,
            "archived": self._archived,
            "deletions": self._deletions,
            "purges": self._deletions,
            "jobs": self._jobs,
            "layouts": self._layouts,
            "shares": self._shares,
            "cancels": self._cancels,
            "ratings": lambda work: repair_ratings(self._log, work, self._store, self._rows("ratings")),
            "comparisons": lambda work: repair_comparisons(self._log, work, self._store, self._rows("comparisons")),
        }
        with self._log.transaction(sync=True) as tx:
            work = UnitOfWork(tx, self._store)
            for name in unreadable:
                self._remove_unreadable(tx, name)
            for table, step in steps.items():
                tables = VARIANTS if table == "variants" else (table,)
                if self._rows(*tables) or (unreadable and table in ("experiments", "variants")):
                    self._settle(tx, step(work))
            self._renew(tx)
            self._find_lost(work)
            for runner in self._runners if before > len(self._waiting) or self._lost or unreadable else ():
                self._store.begin_reconcile(tx, runner)
        if restored := before - len(self._waiting) + len(unreadable):
            logger.warning("%d damaged %s restored", restored, "row was" if restored == 1 else "rows were")
        for row in self._waiting:
            named = row.values.get("experiment_id")
            asked = bool(self._lost) and row.table in FROM_RUNNERS
            level, yet = (logging.WARNING, " yet, a runner is asked") if asked else (logging.ERROR, "")
            logger.log(level, "a damaged row of %s, of experiment %r, is not restored%s", row.table, named, yet)
        self._name_lost()

    def _find_unreadable(self) -> set[str]:
        """Return the experiments whose rows are intact, but do not make sense, as another program has written them."""
        found = set()
        for name in self._ids():
            try:
                self._store.find(name)
            except DiskError as error:
                logger.error("%s", error)  # noqa: TRY400 - no bug of ours
                found.add(name)
            self._store.trim()
        return found

    def _remove_unreadable(self, tx: Transaction, name: str) -> None:
        """Remove those rows of an experiment that cannot be read."""
        for definition in self._log.query(SQL["select_definition"], (name,)):
            if not is_definition(*definition):
                tx.execute(SQL["delete_experiment"], (name,))
        for index, *states in self._log.query(SQL["select_states"], (name,)):
            if not is_readable(*states):
                tx.execute(SQL["delete_variant"], (name, index))

    def _name_lost(self) -> None:
        """Let each experiment say what damage has cost it."""
        before, self._store.damage = self._store.damage, {}
        for row in self._waiting:
            if isinstance(named := row.values.get("experiment_id"), str):
                what = f"a row of {row.table} was damaged and is not restored"
                self._store.damage[named] = (*self._store.damage.get(named, ()), what)
        for name in {*before, *self._store.damage}:
            if experiment := self._store.find(name):
                experiment.damage = self._store.damage.get(name, ())

    def _rows(self, *tables: str) -> list[DamagedRow]:
        return [row for row in self._waiting if row.table in tables]

    def _settle(self, tx: Transaction, rows: list[DamagedRow]) -> None:
        """Note rows as repaired."""
        self._log.mark_repaired(tx, rows)
        done = {row.number for row in rows}
        self._waiting = [row for row in self._waiting if row.number not in done]

    def _experiments(self, work: UnitOfWork) -> list[DamagedRow]:
        """Restore experiments from their newest published statuses."""
        rows, restored = self._rows("experiments"), set()
        known = set(self._ids())
        for status in newest(self._log, EXPERIMENT_STATUS):
            if (
                isinstance(status, ExperimentStatus)
                and status.experiment_id not in known
                and not self._store.deletions.has(status.experiment_id)
            ):
                numbers = [
                    row.values.get("number") for row in rows if row.values.get("experiment_id") == status.experiment_id
                ]
                self._restore(work, status, numbers)
                restored.add(status.experiment_id)
        return rows if len(restored) >= len(rows) else _named(rows, "experiment_id", restored)

    def _restore(self, work: UnitOfWork, status: ExperimentStatus, numbers: list[Any]) -> None:
        name, ended = status.experiment_id, status.status in variants.ENDED
        began = [row.finished_at - (row.seconds or 0.0) for row in self._store.results.all(name)]
        free = [
            one for one in numbers if type(one) is int and one > 0 and not self._log.query(SQL["has_number"], (one,))
        ]
        row = (
            free[0] if free else None,
            name,
            _encode(status.definition),
            status.created_at,
            # an adopted one has ended from the beginning; of any other discovered one no job was ever planned here
            status.definition.is_adopted or (not ended and not self._log.query(SQL["select_jobs"], (name,))),
            min(began, default=None),
            status.updated_at,
            status.revision,
            ended,
        )
        work.tx.execute(SQL["restore_experiment"], row)

    def _searches(self, work: UnitOfWork) -> list[DamagedRow]:
        """Restore how far searches are from the newest published statuses."""
        restored = set()
        for status in newest(self._log, EXPERIMENT_STATUS):
            if not isinstance(status, ExperimentStatus) or status.search is None:
                continue
            experiment = work.find(status.experiment_id)
            if experiment and experiment.search is None:
                draft = work.draft(status.experiment_id)
                draft.search = SearchState(cast("SearchProgress", status.search.state), status.search.reason)
                self._store.searches.write(work.tx, status.experiment_id, draft.search)
                restored.add(status.experiment_id)
        rows = self._rows("adaptive")
        return rows if len(restored) >= len(rows) else _named(rows, "experiment_id", restored)

    def _shares(self, _work: UnitOfWork) -> list[DamagedRow]:
        """Give up links whose digests are damaged: nobody can know the tokens."""
        rows = self._rows("shares")
        logger.error("%d links by which others see experiments are damaged, and hold no more; share again", len(rows))
        return rows

    def _archived(self, work: UnitOfWork) -> list[DamagedRow]:
        """Restore which experiments are archived from their newest published statuses."""
        for status in newest(self._log, EXPERIMENT_STATUS):
            if isinstance(status, ExperimentStatus) and status.archived and self._store.find(status.experiment_id):
                self._store.archived.write(work.tx, status.experiment_id, status.updated_at, archived=True)
                self._store.drop(status.experiment_id)  # it was read without its mark
        return self._rows("archived")

    def _deletions(self, work: UnitOfWork) -> list[DamagedRow]:
        """Delete again what a row says was deleted, unless it is there; what is gone already stays so."""
        rows = self._rows("deletions", "purges")
        named = [name for row in rows if isinstance(name := row.values.get("experiment_id"), str)]
        self._store.deletions.repair(work.tx, named, self._runners, time.time())
        return rows

    def _jobs(self, work: UnitOfWork) -> list[DamagedRow]:
        """Restore the jobs that have not ended; they are sent again, to the runner that had them if that is known."""
        rows = self._rows("jobs")
        assigned = {row.values.get("job_id"): row.values.get("runner") for row in rows}
        alone = self._runners[0] if len(self._runners) == 1 else None
        for (name,) in self._log.query(SQL["select_submitting"]):
            draft = work.draft(name)
            present = {job_id for job_ids in planned_jobs(self._log, name).values() for job_id in job_ids}
            kind = job_kind(draft.definition.pipeline, draft.definition.stage)
            for variant in list(draft.variants.values()):
                missing = [
                    one for one, phase in variant.jobs.items() if phase not in variants.GONE and one not in present
                ]
                for job_id in missing:
                    runner = assigned.get(job_id)
                    place = runner if runner in self._runners else alone
                    job = (job_id, name, *parse_job_id(job_id), kind, draft.definition.priority, place)
                    work.tx.execute(SQL["restore_job"], job)
                if missing:
                    draft.put(variants.resent(variant, missing))
        return rows

    def _layouts(self, work: UnitOfWork) -> list[DamagedRow]:
        """Lay out all experiments that have not ended: what is there already stays as it is."""
        for (name,) in self._log.query(SQL["select_submitting"]):
            self._store.layouts.begin(work.tx, name, by_value=False)
        return self._rows("layouts")

    def _cancels(self, work: UnitOfWork) -> list[DamagedRow]:
        """Restore the wish to cancel an experiment at a runner, where another row of the same wish is left."""
        rows, restored = self._rows("cancels"), set()
        for name in self._ids():
            wishes = dict(self._log.query(SQL["select_cancels"], (name,)))
            experiment = self._store.find(name)
            if wishes and experiment and not experiment.has_ended:
                restored.add(name)
                for runner in {"", *self._store.runners_of(name)} - wishes.keys():
                    self._store.write_cancel(work.tx, name, runner, finish_running=bool(min(wishes.values())))
            elif experiment and experiment.has_ended:
                restored.add(name)
        return _named(rows, "experiment_id", restored)

    def _renew(self, tx: Transaction) -> None:
        """Begin again what is read or asked for by itself."""
        if self._rows("stale"):
            self._store.stale.mark(tx, self._ids())
        self._settle(tx, self._rows(*RENEWED, *DEPARTED))

    def _find_lost(self, work: UnitOfWork) -> None:
        """Find the jobs whose results or pictures are missing."""
        open_again = []
        for row in self._rows(*FROM_RUNNERS):
            experiment_id, job_id = row.values.get("experiment_id"), row.values.get("job_id")
            experiment = work.find(experiment_id) if isinstance(experiment_id, str) else None
            phase = _phases(experiment).get(job_id) if experiment and isinstance(job_id, str) else None
            if phase == "ended":
                self._lost.add(str(job_id))
            elif phase:  # its variant was damaged, too; the result comes with the end
                open_again.append(row)
            else:  # the row does not tell whose it is
                for name in self._ids():
                    self._lost |= self._incomplete(work, name)
        self._settle(work.tx, open_again)

    def _incomplete(self, work: UnitOfWork, name: str) -> set[str]:
        """Return the ended jobs without a result, and all ended jobs of variants of which a picture is missing."""
        experiment = work.find(name)
        if experiment is None:
            return set()
        pictures = {(row.variant_index, row.sha256) for row in self._store.results.pictures(name)}
        results = {row.job_id: row.state for row in self._store.results.all(name)}
        found: set[str] = set()
        for variant in experiment.variants.values():
            ended = {one for one, phase in variant.jobs.items() if phase == "ended"}
            withdrawn = variant.cancelled - sum(results.get(one) == "cancelled" for one in ended)  # they have no result
            if len(ended - results.keys()) > withdrawn:
                found |= ended - results.keys()
            if any((variant.index, image.sha256) not in pictures for image in variant.images):
                found |= ended
        return found

    def _ids(self) -> list[str]:
        return [name for (name,) in self._log.query(SQL["select_ids"])]


def _named(rows: list[DamagedRow], column: str, values: set[str]) -> list[DamagedRow]:
    return [row for row in rows if row.values.get(column) in values]


def _phases(experiment: Experiment) -> dict[str, JobPhase]:
    """Return how far each job of an experiment is."""
    return {name: phase for variant in experiment.variants.values() for name, phase in variant.jobs.items()}
