"""The learning service's tables, in the same file as its log."""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.pipeline_specs import StageSpec
from bus.eventlog import sql
from bus.eventlog.errors import DiskError
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import Row, checked
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.subscriber.delivery import Position
from learning_service.experiments.model import Busy, Experiment, Listed, Summary
from learning_service.experiments.plan import PlannedJob
from learning_service.experiments.sharding import ALL, Shard, owner
from learning_service.experiments.variants import ENDED, GONE
from learning_service.storage.archived import Archived
from learning_service.storage.catalogue import Catalogue
from learning_service.storage.confirmations import Confirmations
from learning_service.storage.deletions import Deletions
from learning_service.storage.departures import Departures
from learning_service.storage.job_rows import JobRow, job_kind, job_rows
from learning_service.storage.judgements import Judgements
from learning_service.storage.layouts import Layouts
from learning_service.storage.recent import RecentExperiments
from learning_service.storage.results import Results
from learning_service.storage.searches import Searches
from learning_service.storage.shares import Shares
from learning_service.storage.stale import StaleMarks
from learning_service.storage.variant_rows import loaded, variant_rows

SQL: Final = sql.load("learning_service.storage", "store.sql")
UNASSIGNED: Final = ""  # the runner of jobs that have none yet, where a cancel is stored
FILLED_AT_ONCE: Final = 100  # experiments in one transaction
RunnerPipelines = dict[str, dict[str, StageSpec]]

_encode = msgspec.msgpack.Encoder().encode
_decode_definition = msgspec.msgpack.Decoder(ExperimentDefinition).decode
_decode_summary = msgspec.msgpack.Decoder(Summary).decode
_decode_pipelines = msgspec.msgpack.Decoder(RunnerPipelines).decode


class LearningStore:
    """Reads and writes experiments; every write happens in a transaction of the log."""

    def __init__(self, log: Log, shard: Shard = ALL) -> None:
        """Create the tables if they are not there.

        Raises:
            InvalidInputError: it has experiments of another shard that have not ended.
        """
        self._log, self._shard = log, shard
        self._recent = RecentExperiments()
        self.being_made: set[str] = set()  # experiments that are being imported; none is created under these ids
        self.damage: dict[str, tuple[str, ...]] = {}  # experiment -> what damage has cost it; see `Repair`
        log.create_tables("learning", SQL)
        self.results, self.stale = Results(log), StaleMarks(log)
        self.judgements = Judgements(log, self.results)
        self.searches, self.confirmations, self.layouts = Searches(log), Confirmations(log), Layouts(log)
        self.archived, self.deletions, self.catalogue = Archived(log), Deletions(log), Catalogue(log)
        self.departures, self.shares = Departures(log), Shares(log)
        foreign = [name for (name,) in log.query(SQL["select_open"]) if not shard.owns(name)]
        if foreign:
            text = f"{log.path} has {len(foreign)} of other shards that have not ended, such as {foreign[0]}"
            raise InvalidInputError(f"shard: {text}; let them end under the shard that they were planned in")

    def find(self, experiment_id: str) -> Experiment | None:
        """Return an experiment, from memory or from disk."""
        experiment = self._recent.get(experiment_id)
        if experiment is None and (experiment := self._read(experiment_id)):
            self._recent.put(experiment)
        return experiment

    def peek(self, experiment_id: str) -> Experiment | None:
        """Return an experiment to be looked at only; memory keeps those that are used."""
        return self._recent.peek(experiment_id) or self._read(experiment_id)

    def get(self, experiment_id: str) -> Experiment:
        """Return the experiment that a request names.

        Raises:
            ControlError: there is none of that id (code `not_found`).
        """
        experiment = self.find(experiment_id)
        if experiment is None and not self._shard.owns(experiment_id):
            belongs = Shard(owner(experiment_id, self._shard.total), self._shard.total)
            text = f"experiment {experiment_id!r} belongs to shard {belongs}; ask that learning service"
            raise ControlError("not_found", text, {"shard": str(belongs)})
        if experiment is None:
            text = f"experiment {experiment_id!r} was not found; see `variantbus experiment list`"
            details = {"deleted": experiment_id} if self.deletions.has(experiment_id) else {}
            raise ControlError("not_found", text, details)
        return experiment

    def keep(self, experiment: Experiment) -> None:
        """Keep a committed experiment in memory."""
        self._recent.put(experiment)

    def drop(self, experiment_id: str) -> None:
        """Drop from memory what was deleted or archived."""
        self._recent.drop(experiment_id)

    def trim(self) -> None:
        """Drop from memory what was not used for longest; never within a transaction, which writes only at its end."""
        self._recent.trim(self._log.limits.experiments_in_memory)

    def page(
        self, before: int | None, limit: int, search: str = "", *, archived: bool | None = None
    ) -> tuple[list[Listed], int | None]:
        """Return experiments with all words of a search, newest first, and the `before` of the next page.

        `archived`: only those that are, or only the others.
        """
        return self.catalogue.page(before, limit, search, self.damage, archived=archived)

    def fill_catalogue(self) -> None:
        """List the experiments that an earlier version has written, or whose entries were damaged."""
        while names := self.catalogue.unlisted(FILLED_AT_ONCE):
            with self._log.transaction() as tx:
                for name in names:
                    experiment = self.get(name)
                    self.write_experiment(tx, experiment)
                    self.catalogue.write(tx, experiment)
                    if experiment.definition.minimizes:  # earlier versions maximized the time, unless told otherwise
                        self.stale.mark(tx, [name])
            self.trim()

    def insert(self, tx: Transaction, experiment: Experiment) -> None:
        """Add an experiment with its variants; the rows of its jobs are added by `add_jobs`."""
        self.insert_row(tx, experiment)
        name = experiment.experiment_id
        self.write_variants(tx, variant_rows({(name, index): one for index, one in experiment.variants.items()}))

    def insert_row(self, tx: Transaction, experiment: Experiment) -> None:
        """Add an experiment whose variants are written beside it."""
        row = (
            experiment.experiment_id,
            _encode(experiment.definition),
            experiment.created_at,
            experiment.discovered,
            experiment.started_at,
            experiment.updated_at,
            experiment.revision,
            *_summed(experiment),
        )
        tx.execute(SQL["insert_experiment"], row)
        self.catalogue.write(tx, experiment)
        self._write_search(tx, experiment)

    def add_jobs(self, tx: Transaction, experiment: Experiment, jobs: Iterable[tuple[str, PlannedJob]]) -> None:
        """Add jobs to be sent, by their ids; those that are there already are left as they are."""
        plan, last = experiment.definition, self._log.query(SQL["select_last_job"])[0][0]
        same = job_kind(plan.pipeline, plan.stage), plan.priority, None, 0  # no runner, which has not acknowledged it
        rows = [(at, job_id, experiment.experiment_id, *job, *same) for at, (job_id, job) in enumerate(jobs, last + 1)]
        tx.insert(SQL["insert_job"], checked("jobs", rows))

    def write_experiment(self, tx: Transaction, experiment: Experiment) -> None:
        """Write the columns of an experiment that can change."""
        status, *sums = _summed(experiment)
        row = (
            experiment.started_at,
            experiment.updated_at,
            experiment.revision,
            status in ENDED,
            status,
            *sums,
            experiment.experiment_id,
        )
        tx.execute(SQL["update_experiment"], row)
        self._write_search(tx, experiment)

    def _write_search(self, tx: Transaction, experiment: Experiment) -> None:
        if experiment.search:
            self.searches.write(tx, experiment.experiment_id, experiment.search)

    def write_definition(self, tx: Transaction, experiment: Experiment) -> None:
        """Write a changed definition; the original is kept beside it."""
        tx.execute(SQL["update_definition"], (_encode(experiment.definition), experiment.experiment_id))
        self.catalogue.write(tx, experiment)

    def created_as(self, experiment_id: str) -> ExperimentDefinition | None:
        """Return the original definition; None if it was never changed."""
        rows = self._log.query(SQL["select_created_as"], (experiment_id,))
        return _decode_definition(rows[0][0]) if rows else None

    def write_variants(self, tx: Transaction, rows: list[Row]) -> None:
        """Write variants as a whole: what `variant_rows` makes of them."""
        tx.insert(SQL["upsert_variant"], rows)
        tx.executemany(SQL["delete_news"], [row[:2] for row in rows])

    def write_news(self, tx: Transaction, rows: list[Row]) -> None:
        """Write what has changed of variants: what `news_rows` makes of it."""
        tx.insert(SQL["upsert_news"], rows)

    def write_late(self, tx: Transaction, experiment_id: str, variant_index: int, body: bytes) -> None:
        """Keep an event that arrived after its variant had ended."""
        tx.execute(SQL["insert_late"], (experiment_id, variant_index, body))
        tx.execute(SQL["trim_late"], (experiment_id, self._log.limits.late_events))

    def unassigned(self, kinds: Iterable[str], limit: int) -> list[JobRow]:
        """Return jobs of some kinds that have no runner yet, in queue order."""
        # kind by kind, so that the many jobs of a kind without capacity are not even scanned
        rows = [row for kind in kinds for row in job_rows(self._log.query(SQL["select_unassigned"], (kind, limit)))]
        return sorted(rows, key=lambda row: (-row.priority, row.number))[:limit]

    def cancelled_unsent(self, runner: str, limit: int) -> list[JobRow]:
        """Return jobs of experiments to be cancelled that their runner does not have yet; or that have no runner."""
        return job_rows(self._log.query(SQL["select_cancelled_unsent"], (runner, limit)))

    def assign(self, tx: Transaction, rows: list[JobRow], runner: str) -> list[JobRow]:
        """Assign jobs to a runner, and return their rows as they are now."""
        assigned = [row._replace(runner=runner) for row in rows]
        tx.executemany(SQL["assign_job"], [(runner, row.crc(acknowledged=False), row.number) for row in assigned])
        return assigned

    def unacknowledged(self, runner: str, limit: int, *, but: Iterable[str] = ()) -> list[JobRow]:
        """Return jobs to be sent to a runner, except for some kinds, in queue order."""
        return job_rows(self._log.query(SQL["select_unacknowledged"], (runner, json.dumps(list(but)), limit)))

    def count_unassigned(self) -> int:
        """Return the number of jobs that have no runner yet."""
        return int(self._log.query(SQL["count_unassigned"])[0][0])

    def acknowledge(self, tx: Transaction, rows: list[JobRow]) -> None:
        """Record that their runner has stored jobs; not of those that are another one's by now."""
        tx.executemany(SQL["acknowledge_job"], [(row.crc(acknowledged=True), row.number, row.runner) for row in rows])

    def withdraw(self, tx: Transaction, rows: list[JobRow]) -> None:
        """Remove jobs that no runner has."""
        tx.executemany(SQL["delete_job"], [(row.number,) for row in rows])

    def submitted(self, limit: int) -> list[str]:
        """Return the newest experiments that have not ended and whose jobs this service submits."""
        return [experiment_id for (experiment_id,) in self._log.query(SQL["select_submitted"], (limit,))]

    def unended(self) -> list[str]:
        """Return the ids of all jobs that have not ended."""
        found: list[str] = []
        for (experiment_id,) in self._log.query(SQL["select_open"]):
            experiment = self.find(experiment_id)
            variants = experiment.variants.values() if experiment else ()
            found += [
                job_id for one in variants for job_id, phase in one.jobs.items() if phase not in ("ended", "replaced")
            ]
            self.trim()
        return found

    def unended_of(self, runner: str) -> Iterator[tuple[Experiment, int, list[JobRow]]]:
        """Return the jobs of a runner that have not ended, by experiment and variant."""
        for (experiment_id,) in self._log.query(SQL["select_open_of_runner"], (runner,)):
            experiment = self.find(experiment_id)
            rows = job_rows(self._log.query(SQL["select_jobs_of_runner"], (experiment_id, runner)))
            by_variant: dict[int, list[JobRow]] = {}
            for row in rows:
                by_variant.setdefault(row.planned.variant_index, []).append(row)
            for index, mine in by_variant.items():
                if experiment and index in experiment.variants:
                    phases = experiment.variants[index].jobs
                    yield experiment, index, [row for row in mine if phases[row.job_id] not in GONE]

    def resend(self, tx: Transaction, rows: list[JobRow]) -> None:
        """Mark jobs to be sent again to their runner."""
        tx.executemany(SQL["resend_job"], [(row.number,) for row in rows])

    def repeat_cancels(self, tx: Transaction, runner: str) -> None:
        """Mark cancel requests to be sent again to a runner."""
        tx.execute(SQL["repeat_cancels"], (runner,))

    def positions(self) -> dict[tuple[str, str], Position]:
        """Return the stored position in the log of each runner."""
        rows = self._log.query(SQL["select_positions"])
        return {(source, prefix): Position(epoch, offset) for source, prefix, epoch, offset in rows}

    def write_positions(self, tx: Transaction, positions: dict[tuple[str, str], Position]) -> None:
        """Write the positions in the logs of runners."""
        rows = checked("positions", ((*key, *position) for key, position in positions.items()))
        tx.executemany(SQL["upsert_position"], rows)

    def runners(self) -> dict[str, RunnerPipelines]:
        """Return the last known pipelines of each runner."""
        return {address: _decode_pipelines(blob) for address, blob in self._log.query(SQL["select_runners"])}

    def write_runner(self, tx: Transaction, address: str, pipelines: RunnerPipelines) -> None:
        """Write the pipelines of a runner."""
        tx.execute(SQL["upsert_runner"], (address, _encode(pipelines)))

    def runners_of(self, experiment_id: str) -> list[str]:
        """Return the runners that have jobs of an experiment."""
        return [runner for (runner,) in self._log.query(SQL["select_runners_of"], (experiment_id,))]

    def write_cancel(self, tx: Transaction, experiment_id: str, runner: str, *, finish_running: bool) -> None:
        """Record that a runner has to cancel an experiment; with `finish_running` its running jobs may end normally."""
        tx.execute(SQL["insert_cancel"], (experiment_id, runner, finish_running))

    def next_cancel(self, runner: str) -> tuple[str, bool] | None:
        """Return an experiment that a runner has to cancel, and whether running jobs may end normally."""
        rows = self._log.query(SQL["select_cancel"], {"runner": runner})
        return (str(rows[0][0]), bool(rows[0][1])) if rows else None

    def finish_cancel(self, tx: Transaction, experiment_id: str, runner: str, *, finish_running: bool) -> None:
        """Record that a runner has cancelled an experiment."""
        tx.execute(SQL["finish_cancel"], (experiment_id, runner, finish_running))

    def cancelling(self, experiment_id: str) -> list[str]:
        """Return the runners that have still to cancel an experiment."""
        return [runner for (runner,) in self._log.query(SQL["select_cancelling"], (experiment_id,))]

    def forget_cancels(self, tx: Transaction, experiment_id: str) -> None:
        """Remove the cancel requests of an experiment that continues."""
        tx.execute(SQL["delete_cancels"], (experiment_id,))

    def begin_reconcile(self, tx: Transaction, runner: str) -> None:
        """Record that the jobs of a runner have to be reconciled."""
        tx.execute(SQL["insert_reconcile"], (runner,))

    def reconciles(self) -> list[str]:
        """Return the runners whose jobs have to be reconciled."""
        return [runner for (runner,) in self._log.query(SQL["select_reconciles"])]

    def finish_reconcile(self, tx: Transaction, runner: str) -> None:
        """Record that the jobs of a runner are reconciled."""
        tx.execute(SQL["delete_reconcile"], (runner,))

    def _read(self, experiment_id: str) -> Experiment | None:
        rows = self._log.query(SQL["select_experiment"], (experiment_id,))
        if not rows:
            return None
        definition, created_at, discovered, started_at, updated_at, revision, summary = rows[0]
        states = self._log.query(SQL["select_variants"], (experiment_id,))
        try:
            experiment = Experiment(
                experiment_id,
                _decode_definition(definition),
                (loaded(*both) for both in states),
                created_at=created_at,
                discovered=bool(discovered),
            )
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"{self._log.path}: the experiment {experiment_id} is damaged ({error})"
            raise DiskError(f"{text}; start again, which restores what can be") from error
        experiment.started_at, experiment.updated_at, experiment.revision = started_at, updated_at, revision
        experiment.busy = _decode_summary(summary).busy if summary else Busy()
        experiment.search = self.searches.find(experiment_id)
        experiment.archived = self.archived.has(experiment_id)
        experiment.damage = self.damage.get(experiment_id, ())
        return experiment


def _summed(experiment: Experiment) -> tuple[str, int, float, bytes]:
    """Return the columns of an experiment that follow from its variants."""
    return experiment.status, experiment.counts.completed, experiment.seconds, _encode(experiment.summary)


def is_definition(blob: bytes) -> bool:
    """Return whether a stored definition can be decoded."""
    try:
        _decode_definition(blob)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
