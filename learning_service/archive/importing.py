"""Imports experiments: parts are kept until the last one has come, and then made into an experiment in steps.

Its records are written in many short transactions, and belong to no experiment until the last one, which writes the
experiment itself. So it is there as a whole or not at all; what an attempt that failed has left is removed.
"""

import time
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, TypeVar, cast

import msgspec
from msgspec.structs import replace

from bus.contracts.archive import ComparisonRecord, ImportParams, ImportReply
from bus.contracts.messages import JobCompleted, Outcome
from bus.contracts.topics import EXPERIMENT_STATUS, VARIANT_STATUS
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import checked
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.transport.pace import Pace
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps, complete
from learning_service.archive.imports import (
    check_import,
    completed_job,
    finished,
    harmless,
    joined,
    pictures_by_job,
    planned_variants,
    without_score_program,
)
from learning_service.experiments import variants
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.model import Experiment, experiment_status, packed_status
from learning_service.experiments.sharding import Shard
from learning_service.experiments.variants import Variant
from learning_service.storage.judgements import ComparisonRow, RatingRow
from learning_service.storage.results import EndedJobs
from learning_service.storage.store import LearningStore
from learning_service.storage.variant_rows import variant_rows

SQL: Final = sql.load("learning_service.archive", "importing.sql")
AT_ONCE: Final = 200  # records in one transaction, at most
REMOVALS: Final = (
    SQL["delete_results"],
    SQL["delete_ratings"],
    SQL["delete_comparisons"],
    SQL["delete_variants"],
)
T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode
_decode_part = msgspec.msgpack.Decoder(ImportParams).decode


class Importer:
    """Takes the parts of exports, and makes experiments of them, one after another."""

    def __init__(self, log: Log, store: LearningStore, shard: Shard, max_variants: int) -> None:
        """Create the table if it is missing; an import that was unfinished at the last stop is dropped."""
        self._log, self._store, self._shard, self._max_variants = log, store, shard, max_variants
        self._turns = OneByOne()
        self._parts: dict[str, set[int]] = {}  # those that are kept of each experiment
        create_tables(log)
        for (name,) in log.query(SQL["select_unfinished"]):
            complete(self._drop(name))

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.import", ImportParams, self._import)

    def _import(self, params: ImportParams) -> Steps[ImportReply]:
        if not self._shard.owns(params.experiment_id):
            text = f"experiment_id: {params.experiment_id} does not belong to shard {self._shard}; choose another id"
            raise ControlError("invalid_request", text, {"shard": str(self._shard)})
        self._check_deletion(params.experiment_id)
        check_import(params, self._max_variants)
        yield None
        body = _encode(params)
        with self._log.transaction() as tx:
            tx.executemany(SQL["upsert_part"], checked("import_parts", [(params.experiment_id, params.part, body)]))
        here = self._parts.setdefault(params.experiment_id, set())
        here.add(params.part)
        there = sum(part < params.parts for part in here)
        if there < params.parts:
            return ImportReply(parts=there, done=False)
        yield from self._turns.run(self._make(params.experiment_id, params.parts))
        return ImportReply(parts=there, done=True)

    def _check_deletion(self, experiment_id: str) -> None:
        """Refuse an import beside the deletion of the same experiment, which would take its records, too."""
        if self._store.deletions.is_under_way(experiment_id):
            text = f"experiment {experiment_id} is still being deleted; try again in a moment"
            raise ControlError("unavailable", text)

    def _make(self, name: str, parts: int) -> Steps[None]:
        """Make an experiment of its parts."""
        self._store.being_made.add(name)
        try:
            bodies: list[ImportParams] = []
            for part in range(parts):
                bodies += [_decode_part(body) for (body,) in self._log.query(SQL["select_part"], (name, part))]
                yield None
            if len(bodies) == parts:  # otherwise the request came twice, and the first one has made it
                yield from self._make_whole(harmless(joined(bodies)))
        finally:
            self._store.being_made.discard(name)

    def _make_whole(self, whole: ImportParams) -> Steps[None]:
        try:
            if known := self._store.find(whole.experiment_id):
                yield from self._compare(known, whole)
            else:
                self._check_deletion(whole.experiment_id)  # it may have been deleted since the request came
                yield from self._remove_all(REMOVALS, whole.experiment_id)  # what is left of an attempt
                yield from self._write(whole)
        except Exception:
            yield from self._drop(whole.experiment_id)
            raise
        yield from self._drop(whole.experiment_id)

    def _write(self, whole: ImportParams) -> Steps[None]:
        """Write all records, and then in one transaction the experiment that they belong to."""
        name, records, judgements = whole.experiment_id, whole.records, self._store.judgements
        made = yield from planned_variants(whole)
        images = yield from pictures_by_job(records)
        results = sorted(records.results, key=attrgetter("finished_at"))
        yield None
        pace = Pace(AT_ONCE)
        for some in in_parts(results, pace):
            with pace.timed(len(some)):
                self._write_results([completed_job(whole, one, images.get(one.job_id, ())) for one in some], made)
            yield None
        for ratings in in_parts(records.ratings, pace):
            with pace.timed(len(ratings)), self._log.transaction() as tx:
                for rating in ratings:
                    judgements.rate(tx, name, RatingRow(rating.sha256, rating.stars, rating.note, rating.rated_at))
            yield None
        for comparisons in in_parts(records.comparisons, pace):
            with pace.timed(len(comparisons)), self._log.transaction() as tx:
                for comparison in comparisons:
                    judgements.compare(tx, name, comparison_row(comparison))
            yield None
        for index, variant in enumerate(made):
            made[index] = replace(finished(variant, whole.created_at), rating=judgements.summary(name, index))
            with self._log.transaction() as tx:
                self._store.write_variants(tx, variant_rows({(name, index): made[index]}))
            yield None
        experiment = Experiment(name, whole.definition, made, created_at=whole.created_at)
        experiment.updated_at, experiment.revision = time.time(), 1
        yield None
        self._publish(experiment)

    def _write_results(self, ended: Sequence[JobCompleted], made: list[Variant]) -> None:
        """Write the results of some jobs, and change the variants that they belong to."""
        with self._log.transaction() as tx:
            self._store.results.write(tx, EndedJobs(ended))
        by_variant: dict[int, list[JobCompleted]] = {}
        for job in ended:
            if job.learning_context:
                by_variant.setdefault(job.learning_context.variant_index, []).append(job)
        for index, jobs in by_variant.items():
            made[index] = variants.advanced(made[index], jobs)

    def _publish(self, experiment: Experiment) -> None:
        """Write and publish the experiment whose records and variants are there."""
        name = experiment.experiment_id
        with self._log.transaction(sync=True) as tx:
            self._store.deletions.undo(tx, name)  # if it was deleted
            self._store.insert_row(tx, experiment)
            self._store.write_experiment(tx, experiment)
            self._store.stale.mark(tx, [name])
            tx.append(topics.build(EXPERIMENT_STATUS, name), experiment_status(experiment))
        self._store.keep(experiment)

    def _publish_variants(self, experiment: Experiment) -> Steps[None]:
        """Publish the statuses that were not yet, each with up to all pictures of its variant."""
        for variant in list(experiment.variants.values()):
            topic = topics.build(VARIANT_STATUS, experiment.experiment_id, variant.index)
            if not self._log.latest(topic, 1).records:  # `newest` would count one from before a deletion
                with self._log.transaction() as tx:
                    tx.append(topic, packed_status(experiment, variant))
            yield None

    def _compare(self, known: Experiment, whole: ImportParams) -> Steps[None]:
        """Refuse another experiment under a known id; importing the same one again is idempotent."""
        coming = {(one.job_id, one.state, one.finished_at) for one in whole.records.results}
        for page in self._store.results.pages(known.experiment_id):
            coming -= {(row.job_id, row.state, row.finished_at) for row in page}
            yield None
        if without_score_program(known.definition) != whole.definition or coming:
            advice = "import it under a new id: `variantbus experiment import FILE --as-new`"
            text = f"experiment {known.experiment_id} is here already with other records; {advice}"
            raise ControlError("conflict", text)

    def _drop(self, name: str) -> Steps[None]:
        """Remove the parts of an import, and the records that belong to no experiment; publish what belongs to one."""
        if experiment := self._store.find(name):
            yield from self._publish_variants(experiment)
        else:
            yield from self._remove_all(REMOVALS, name)
        yield from self._remove_all([SQL["delete_parts"]], name)  # last: while they are there, this begins again
        self._parts.pop(name, None)

    def _remove_all(self, statements: Sequence[str], name: str) -> Steps[None]:
        for statement in statements:
            removed = 1
            while removed:
                with self._log.transaction() as tx:
                    removed = tx.execute(statement, (name,)).rowcount
                yield None


def in_parts(records: Sequence[T], pace: Pace) -> Iterator[Sequence[T]]:
    """Yield records in parts that can be written in some milliseconds."""
    place = 0
    while some := records[place : place + pace.count]:
        place += len(some)
        yield some


def comparison_row(record: ComparisonRecord) -> ComparisonRow:
    """Return a comparison as it is stored."""
    left = Picture(variant_index=record.left_variant, repeat_index=record.left_repeat, sha256=record.left)
    right = Picture(variant_index=record.right_variant, repeat_index=record.right_repeat, sha256=record.right)
    outcome = cast("Outcome", record.outcome)  # the request was checked
    return ComparisonRow(Preference(left=left, right=right, outcome=outcome), record.compared_at)


def create_tables(log: Log) -> None:
    """Create the table of parts that wait for others, if it is missing."""
    log.create_tables("archive", SQL)
