"""The outcome of each job of an experiment, and its pictures: the input of ratings, recommendations and exports."""

from collections.abc import Iterable, Iterator
from itertools import chain
from math import isfinite
from typing import Final, Literal, NamedTuple

import msgspec

from bus.contracts.messages import ImageRef, JobCompleted
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import Value, row_crc
from bus.eventlog.transaction import Transaction
from learning_service.experiments.judgements import Picture
from learning_service.experiments.pictures import decode_hashes
from learning_service.experiments.plan import PlannedJob
from learning_service.experiments.variants import seconds_of

SQL: Final = sql.load("learning_service.storage", "results.sql")
PAGE: Final = 1000  # rows that are read at a time
State = Literal["completed", "failed", "cancelled"]
_Images = tuple[int, int, str, bytes]  # variant, repeat, job, pictures


class Remarks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be known of a result besides: its warnings, and the job that made it where it was not made again."""

    warnings: tuple[str, ...] = ()
    reused_from: str | None = None


NONE: Final = Remarks()
_encode = msgspec.msgpack.Encoder().encode
_decode_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode
_decode_remarks = msgspec.msgpack.Decoder(Remarks).decode
_decode_images = msgspec.msgpack.Decoder(tuple[ImageRef, ...]).decode


class ResultRow(NamedTuple):
    """The outcome of a job; `seconds` is the duration of a completed one."""

    job_id: str
    variant_index: int
    repeat_index: int
    state: State
    seconds: float | None
    finished_at: float
    metrics: dict[str, float]
    error: str | None


class PictureRow(NamedTuple):
    """A picture and the job that made it. The same picture has two rows if two jobs made it."""

    sha256: str
    job_id: str
    variant_index: int
    repeat_index: int
    image: ImageRef


def image_of(row: PictureRow) -> ImageRef:
    """Return what is told of the picture itself."""
    return row.image


def picture_of(row: PictureRow) -> Picture:
    """Return the picture as it is judged."""
    return Picture(variant_index=row.variant_index, repeat_index=row.repeat_index, sha256=row.sha256)


class EndedJobs:
    """How jobs ended, as rows with checksums: so that no message has to be kept until they are written."""

    def __init__(self, jobs: Iterable[JobCompleted] = ()) -> None:
        """Begin with some jobs."""
        self.results: list[tuple[Value, ...]] = []
        self.made: list[tuple[str, int, str]] = []  # experiment, variant and hash of each picture
        for job in jobs:
            self.add(job)

    def add(self, job: JobCompleted) -> None:
        """Add the end of a job; it has a learning context."""
        context, result = job.learning_context, job.result
        if context is None:
            raise ValueError(f"{job.job_id} belongs to no experiment")
        experiment_id, job_id = context.experiment_id, job.job_id
        variant_index = context.variant_index
        images = result.images
        if len(images) > 1:  # a job may give the same picture twice
            images = tuple({image.sha256: image for image in images}.values())
        metrics = {name: value for name, value in result.metrics.items() if isfinite(value)}
        row = (
            experiment_id,
            variant_index,
            context.repeat_index,
            job_id,
            _state(job),
            None if result.untimed else seconds_of(job),
            job.finished_at + 0.0,
            _encode(metrics) if metrics else None,
            result.error.message if result.error else None,
            _encode(images) if images else None,
            _remarks(result.warnings, result.reused_from),
        )
        self.results.append((*row, row_crc("results", *row)))
        for image in images:
            self.made.append((experiment_id, variant_index, image.sha256))


class Results:
    """Reads and writes results; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there."""
        self._log = log
        log.create_tables("results", SQL)

    def write(self, tx: Transaction, ended: EndedJobs) -> None:
        """Record how jobs ended."""
        tx.insert(SQL["upsert_result"], ended.results)

    def metrics_of(self, experiment_id: str, job: PlannedJob, job_id: str) -> dict[str, float] | None:
        """Return the metrics of a completed job, None if it is not known to have completed."""
        key = experiment_id, job.variant_index, job.repeat_index, job_id
        rows = self._log.query(SQL["select_metrics"], key)
        return None if not rows else _decode_metrics(rows[0][0]) if rows[0][0] else {}

    def write_metrics(
        self, tx: Transaction, experiment_id: str, job: PlannedJob, job_id: str, metrics: dict[str, float]
    ) -> None:
        """Replace the metrics of a job."""
        key = experiment_id, job.variant_index, job.repeat_index, job_id
        tx.execute(SQL["update_metrics"], (_encode(metrics), *key))

    def pages(self, experiment_id: str) -> Iterator[list[ResultRow]]:
        """Yield how the jobs of an experiment ended, some milliseconds' worth at a time; there may be 100,000."""
        after = -1, -1, ""
        while rows := self._log.query(SQL["select_results"], (experiment_id, *after, PAGE)):
            yield [
                ResultRow(job, index, repeat, state, seconds, at, _decode_metrics(metrics) if metrics else {}, error)
                for index, repeat, job, state, seconds, at, metrics, error in rows
            ]
            after = rows[-1][:3]

    def picture_pages(self, experiment_id: str) -> Iterator[list[PictureRow]]:
        """Yield the pictures of an experiment, as `pages` does the results; a job may have thousands."""
        after, more = (-1, -1, ""), True
        while more:
            rows, more = self._log.query_page(SQL["select_pictures"], (experiment_id, *after, PAGE), PAGE)
            if rows:
                yield _picture_rows(rows)
                after = rows[-1][:3]

    def all(self, experiment_id: str) -> list[ResultRow]:
        """Return how the jobs of an experiment ended, variant by variant and seed by seed."""
        return list(chain.from_iterable(self.pages(experiment_id)))

    def pictures(self, experiment_id: str) -> list[PictureRow]:
        """Return the pictures of an experiment, variant by variant and seed by seed."""
        return list(chain.from_iterable(self.picture_pages(experiment_id)))

    def find_pictures(self, experiment_id: str, prefix: str, indices: Iterable[int]) -> list[PictureRow]:
        """Return the pictures of some variants whose hash begins with some hexadecimal digits."""
        digits = prefix.encode()
        rows = [
            row for index in indices for row in self._log.query(SQL["find_pictures"], (experiment_id, index, digits))
        ]
        return [row for row in _picture_rows(rows) if row.sha256.startswith(prefix)]

    def made(self, experiment_id: str, limit: int) -> list[int]:
        """Return the first variants that have pictures."""
        rows = self._log.query(SQL["select_made"], {"experiment": experiment_id, "limit": limit})
        return [index for (index,) in rows]

    def first_pictures(self, experiment_id: str, variant_index: int) -> list[PictureRow]:
        """Return the pictures of the first job of a variant that has any."""
        return _picture_rows(self._log.query(SQL["select_first"], (experiment_id, variant_index)))

    def hashes(self, experiment_id: str, first: int, last: int) -> dict[int, set[str]]:
        """Return the hashes of the pictures of each variant from `first` to `last`."""
        found: dict[int, set[str]] = {}
        for index, images in self._log.query(SQL["select_images"], (experiment_id, first, last)):
            found.setdefault(index, set()).update(one.sha256 for one in decode_hashes(images))
        return found

    def remove(self, tx: Transaction, experiment_id: str, jobs: Iterable[tuple[str, PlannedJob]]) -> None:
        """Remove the results of jobs, by their ids, that are replaced by retries."""
        rows = [(experiment_id, job.variant_index, job.repeat_index, name) for name, job in jobs]
        tx.executemany(SQL["delete_result"], rows)


def remarks_in(packed: bytes | None) -> Remarks:
    """Return what a row tells of its result besides."""
    return _decode_remarks(packed) if packed else NONE


def _remarks(warnings: tuple[str, ...], reused_from: str | None) -> bytes | None:
    if not warnings and reused_from is None:
        return None
    return _encode(Remarks(warnings=warnings, reused_from=reused_from))


def _state(job: JobCompleted) -> State:
    if job.result.cancelled:
        return "cancelled"
    return "completed" if job.result.success else "failed"


def _picture_rows(rows: Iterable[_Images]) -> list[PictureRow]:
    return [
        PictureRow(image.sha256, job_id, index, repeat, image)
        for index, repeat, job_id, images in rows
        for image in _decode_images(images)
    ]
