"""Export and import of experiments: all records of one, in pages and parts of bounded size."""

import time
from collections.abc import Callable
from typing import Final, cast

import msgspec

from bus.contracts.archive import (
    ComparisonRecord,
    ImportParams,
    ImportReply,
    Kind,
    PictureRecord,
    RatingRecord,
    Records,
    RecordsParams,
    RecordsReply,
    ResultRecord,
)
from bus.contracts.messages import ImageRef, Outcome
from bus.contracts.topics import EXPERIMENT_STATUS, VARIANT_STATUS
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.transport.server import MethodServer
from learning_service.archive.imports import check_import, completed_jobs, joined, variants_of
from learning_service.experiments.judgements import Picture, Preference
from learning_service.experiments.model import Experiment, experiment_status, variant_status
from learning_service.experiments.sharding import Shard
from learning_service.storage.judgements import ComparisonRow, RatingRow
from learning_service.storage.store import LearningStore

SQL: Final = sql.load("learning_service.archive", "archive.sql")

_encode = msgspec.msgpack.Encoder().encode
_decode_part = msgspec.msgpack.Decoder(ImportParams).decode
_decode_image = msgspec.msgpack.Decoder(ImageRef).decode
_decode_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode


class Archive:
    """Exports the records of experiments, and imports experiments from records."""

    def __init__(self, log: Log, store: LearningStore, shard: Shard, max_variants: int) -> None:
        """Create the table if it is missing; an import that was unfinished at the last stop is dropped."""
        self._log, self._store, self._shard, self._max_variants = log, store, shard, max_variants
        log.create_tables("archive", SQL)
        with log.transaction() as tx:
            tx.execute(SQL["delete_all_parts"])
        self._pages: dict[Kind, Callable[[RecordsParams], tuple[Records, str, bool]]] = {
            "results": self._results,
            "pictures": self._pictures,
            "ratings": self._ratings,
            "comparisons": self._comparisons,
        }

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.records", RecordsParams, self._records, role="read")
        methods.add("experiment.import", ImportParams, self._import)

    def _records(self, params: RecordsParams) -> RecordsReply:
        self._store.trim()
        self._store.get(params.experiment_id)
        records, last, more = self._pages[params.kind](params)
        return RecordsReply(records=records, after=last if more else None)

    def _results(self, params: RecordsParams) -> tuple[Records, str, bool]:
        rows, more = self._log.query_page(
            SQL["page_results"], (params.experiment_id, params.after, params.limit), params.limit
        )
        results = [
            ResultRecord(
                job_id=job_id,
                variant_index=index,
                repeat_index=repeat,
                state=state,
                finished_at=finished_at,
                seconds=seconds,
                metrics=_decode_metrics(metrics) if metrics else {},
                error=error,
            )
            for job_id, index, repeat, state, seconds, finished_at, error, metrics, _ in rows
        ]
        return Records(results=results), rows[-1][0] if rows else "", more

    def _pictures(self, params: RecordsParams) -> tuple[Records, str, bool]:
        sha256, _, job_id = params.after.partition(".")
        rows, more = self._log.query_page(
            SQL["page_pictures"], (params.experiment_id, sha256, job_id, params.limit), params.limit
        )
        pictures = [
            PictureRecord(job_id=name, variant_index=index, repeat_index=repeat, image=_decode_image(image))
            for _, name, index, repeat, image in rows
        ]
        return Records(pictures=pictures), rows[-1][0] if rows else "", more

    def _ratings(self, params: RecordsParams) -> tuple[Records, str, bool]:
        rows, after = self._store.judgements.ratings_page(params.experiment_id, _number(params.after), params.limit)
        ratings = [
            RatingRecord(sha256=row.sha256, stars=row.stars, note=row.note, rated_at=row.rated_at)
            for row in rows
            if row.stars is not None
        ]
        return Records(ratings=ratings), str(after), after is not None

    def _comparisons(self, params: RecordsParams) -> tuple[Records, str, bool]:
        rows, more = self._log.query_page(
            SQL["page_comparisons"], (params.experiment_id, _number(params.after), params.limit), params.limit
        )
        comparisons = [
            ComparisonRecord(
                left=left[0],
                left_variant=left[1],
                left_repeat=left[2],
                right=right[0],
                right_variant=right[1],
                right_repeat=right[2],
                outcome=outcome.decode(),
                compared_at=compared_at,
            )
            for left, right, compared_at, outcome in ((row[1:4], row[4:7], row[7], row[8]) for row in rows)
        ]
        return Records(comparisons=comparisons), str(rows[-1][0]) if rows else "", more

    def _import(self, params: ImportParams) -> ImportReply:
        if not self._shard.owns(params.experiment_id):
            text = f"experiment_id: {params.experiment_id} does not belong to shard {self._shard}; choose another id"
            raise ControlError("invalid_request", text, {"shard": str(self._shard)})
        check_import(params, self._max_variants)
        with self._log.transaction() as tx:
            tx.execute(SQL["upsert_part"], (params.experiment_id, params.part, _encode(params)))
        ((there,),) = self._log.query(SQL["count_parts"], (params.experiment_id, params.parts))
        if there < params.parts:
            return ImportReply(parts=there, done=False)
        rows = self._log.query(SQL["select_parts"], (params.experiment_id, params.parts))
        try:
            self._make(joined([_decode_part(body) for (body,) in rows]))
        except BaseException:
            with self._log.transaction() as tx:
                tx.execute(SQL["delete_parts"], (params.experiment_id,))
            raise
        return ImportReply(parts=there, done=True)

    def _make(self, whole: ImportParams) -> None:
        """Write and publish the experiment with all its records, in one transaction."""
        name, records = whole.experiment_id, whole.records
        known = self._store.find(name)
        if known:
            self._compare(known, whole)
        with self._log.transaction(sync=True) as tx:
            tx.execute(SQL["delete_parts"], (name,))
            if known:
                return
            ended = completed_jobs(whole)
            experiment = Experiment(name, whole.definition, variants_of(whole, ended), created_at=whole.created_at)
            experiment.updated_at, experiment.revision = time.time(), 1
            self._store.insert(tx, experiment)
            self._store.results.write(tx, ended)
            for rating in records.ratings:
                row = RatingRow(rating.sha256, rating.stars, rating.note, rating.rated_at)
                self._store.judgements.rate(tx, name, row)
            for comparison in records.comparisons:
                self._store.judgements.compare(tx, name, comparison_row(comparison))
            self._store.rate_all(tx, experiment)
            self._store.write_experiment(tx, experiment)
            self._store.stale.mark(tx, [name])
            tx.append(topics.build(EXPERIMENT_STATUS, name), experiment_status(experiment))
            for variant in experiment.variants.values():
                topic = topics.build(VARIANT_STATUS, name, variant.index)
                tx.append(topic, variant_status(experiment, variant))

    def _compare(self, known: Experiment, whole: ImportParams) -> None:
        """Refuse another experiment under a known id; importing the same one again is idempotent."""
        present = {(row.job_id, row.state, row.finished_at) for row in self._store.results.all(known.experiment_id)}
        coming = {(one.job_id, one.state, one.finished_at) for one in whole.records.results}
        if known.definition != whole.definition or not coming <= present:
            text = f"experiment {known.experiment_id} is here already with other records; import it under a new id"
            raise ControlError("conflict", text)


def comparison_row(record: ComparisonRecord) -> ComparisonRow:
    """Return a comparison as it is stored."""
    left = Picture(variant_index=record.left_variant, repeat_index=record.left_repeat, sha256=record.left)
    right = Picture(variant_index=record.right_variant, repeat_index=record.right_repeat, sha256=record.right)
    outcome = cast("Outcome", record.outcome)  # the request was checked
    return ComparisonRow(Preference(left=left, right=right, outcome=outcome), record.compared_at)


def _number(after: str) -> int:
    try:
        return int(after or 0)
    except ValueError:
        raise ControlError("invalid_request", f"after: {after!r}; give that of the last page") from None
