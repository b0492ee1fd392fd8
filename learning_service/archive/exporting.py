"""Export of experiments: all records of one, in pages of bounded size."""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET

from bus.contracts.archive import (
    ComparisonRecord,
    ImportParams,
    Kind,
    PictureRecord,
    RatingRecord,
    Records,
    RecordsParams,
    RecordsReply,
    ResultRecord,
)
from bus.contracts.messages import ImageRef
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.server import MethodServer
from learning_service.storage.results import remarks_in
from learning_service.storage.store import LearningStore

SQL: Final = sql.load("learning_service.archive", "exporting.sql")
ALL: Final = -1  # as a number of pictures

_encode = msgspec.msgpack.Encoder().encode
_decode_part = msgspec.msgpack.Decoder(ImportParams).decode
_decode_images = msgspec.msgpack.Decoder(tuple[ImageRef, ...]).decode
_decode_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode


class Exporter:
    """Exports the records of experiments."""

    def __init__(self, log: Log, store: LearningStore) -> None:
        """Wire the parts."""
        self._log, self._store = log, store
        self._pages: dict[Kind, Callable[[RecordsParams], tuple[Records, str, bool]]] = {
            "results": self._results,
            "pictures": self._pictures,
            "ratings": self._ratings,
            "comparisons": self._comparisons,
        }

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.records", RecordsParams, self._records, role="read")

    def _records(self, params: RecordsParams) -> RecordsReply:
        self._store.trim()
        self._store.get(params.experiment_id)
        records, last, more = self._pages[params.kind](params)
        return RecordsReply(records=records, after=last if more else None)

    def _results(self, params: RecordsParams) -> tuple[Records, str, bool]:
        _, *place = _place(params.after)
        rows, more = self._log.query_page(
            SQL["page_results"], (params.experiment_id, *place, params.limit), params.limit
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
                warnings=told.warnings or UNSET,
                reused_from=told.reused_from or UNSET,
            )
            for index, repeat, job_id, state, seconds, finished_at, error, metrics, remarks, _ in rows
            for told in (remarks_in(remarks),)
        ]
        return Records(results=results), _after(0, results[-1]) if results else "", more

    def _pictures(self, params: RecordsParams) -> tuple[Records, str, bool]:
        """Return a page, which may begin and end amid the pictures of a job."""
        seen, *place = _place(params.after)
        rows, more = self._log.query_page(
            SQL["page_pictures"], (params.experiment_id, *place, seen == ALL, params.limit), params.limit
        )
        found: list[tuple[int, PictureRecord]] = []
        for index, repeat, job_id, packed in rows:
            images = _decode_images(packed)
            first = seen if [index, repeat, job_id] == place else 0
            for number, image in enumerate(images[first:], first + 1):
                record = PictureRecord(job_id=job_id, variant_index=index, repeat_index=repeat, image=image)
                found.append((ALL if number == len(images) else number, record))
        page = found[: params.limit]
        after = _after(*page[-1]) if page else ""
        return Records(pictures=[picture for _, picture in page]), after, more or len(found) > params.limit

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


def _number(after: str) -> int:
    try:
        return int(after or 0)
    except ValueError:
        raise ControlError("invalid_request", f"after: {after!r}; give that of the last page") from None


def _after(number: int, record: ResultRecord | PictureRecord) -> str:
    """Return where the next page begins: behind so many pictures of this job, or ALL of them."""
    return f"{number}.{record.variant_index}.{record.repeat_index}.{record.job_id}"


def _place(after: str) -> tuple[int, int, int, str]:
    """Return what `_after` has written; what is before all jobs where a client begins."""
    if not after:
        return 0, -1, -1, ""
    number, index, repeat, job_id = (*after.split(".", 3), "", "", "")[:4]
    return _number(number), _number(index), _number(repeat), job_id
