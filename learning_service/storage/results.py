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
from learning_service.experiments.variants import seconds_of

SQL: Final = sql.load("learning_service.storage", "results.sql")
PAGE: Final = 1000  # rows that are read at a time
State = Literal["completed", "failed", "cancelled"]
_Picture = tuple[str, str, str, int, int, bytes, int]  # experiment, hash, job, variant, repeat, image, checksum
_Row = tuple[str, int, int, State, float | None, float, bytes | None, str | None]

_encode = msgspec.msgpack.Encoder().encode
_decode_metrics = msgspec.msgpack.Decoder(dict[str, float]).decode
_decode_image = msgspec.msgpack.Decoder(ImageRef).decode


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


class EndedJobs:
    """How jobs ended, as rows with checksums: so that no message has to be kept until they are written."""

    def __init__(self, jobs: Iterable[JobCompleted] = ()) -> None:
        """Begin with some jobs."""
        self.results: list[tuple[Value, ...]] = []
        self.pictures: list[_Picture] = []
        for job in jobs:
            self.add(job)

    def add(self, job: JobCompleted) -> None:
        """Add the end of a job; it has a learning context."""
        context, result = job.learning_context, job.result
        if context is None:
            raise ValueError(f"{job.job_id} belongs to no experiment")
        experiment_id, job_id = context.experiment_id, job.job_id
        variant_index, repeat_index = context.variant_index, context.repeat_index
        metrics = {name: value for name, value in result.metrics.items() if isfinite(value)}
        row = (
            experiment_id,
            job_id,
            variant_index,
            repeat_index,
            _state(job),
            None if result.untimed else seconds_of(job),
            job.finished_at + 0.0,
            _encode(metrics) if metrics else None,
            result.error.message if result.error else None,
        )
        self.results.append((*row, row_crc("results", *row)))
        for image in result.images:
            picture = (experiment_id, image.sha256, job_id, variant_index, repeat_index, _encode(image))
            self.pictures.append((*picture, row_crc("pictures", *picture)))


class Results:
    """Reads and writes results; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the tables if they are not there."""
        self._log = log
        log.create_tables("results", SQL)

    def write(self, tx: Transaction, ended: EndedJobs) -> None:
        """Record how jobs ended."""
        tx.insert(SQL["upsert_result"], ended.results)
        tx.insert(SQL["upsert_picture"], ended.pictures)

    def pages(self, experiment_id: str) -> Iterator[list[ResultRow]]:
        """Yield how the jobs of an experiment ended, some milliseconds' worth at a time; there may be 100,000."""
        after = ""
        while rows := self._log.query(SQL["select_results"], (experiment_id, after, PAGE)):
            yield _result_rows(rows)
            after = rows[-1][0]

    def picture_pages(self, experiment_id: str) -> Iterator[list[PictureRow]]:
        """Yield the pictures of an experiment, as `pages` does the results."""
        after = "", ""
        while rows := self._log.query(SQL["select_pictures"], (experiment_id, *after, PAGE)):
            yield _picture_rows(rows)
            after = rows[-1][:2]

    def all(self, experiment_id: str) -> list[ResultRow]:
        """Return how the jobs of an experiment ended, variant by variant and seed by seed."""
        found = chain.from_iterable(self.pages(experiment_id))
        return sorted(found, key=lambda row: (row.variant_index, row.repeat_index, row.job_id))

    def pictures(self, experiment_id: str) -> list[PictureRow]:
        """Return the pictures of an experiment, variant by variant and seed by seed."""
        found = chain.from_iterable(self.picture_pages(experiment_id))
        return sorted(found, key=lambda row: (row.variant_index, row.repeat_index, row.sha256))

    def find_pictures(self, experiment_id: str, prefix: str) -> list[PictureRow]:
        """Return the pictures of an experiment whose hash begins with some hexadecimal digits."""
        return _picture_rows(self._log.query(SQL["find_pictures"], (experiment_id, prefix, prefix + "g")))

    def variants_of(self, experiment_id: str, sha256: str) -> list[int]:
        """Return the variants that made a picture."""
        return sorted({index for (index,) in self._log.query(SQL["select_variants_of"], (experiment_id, sha256))})

    def remove(self, tx: Transaction, experiment_id: str, job_ids: Iterable[str]) -> None:
        """Remove the results of jobs that are replaced by retries."""
        tx.executemany(SQL["delete_result"], [(experiment_id, job_id) for job_id in job_ids])


def _state(job: JobCompleted) -> State:
    if job.result.cancelled:
        return "cancelled"
    return "completed" if job.result.success else "failed"


def _result_rows(rows: list[_Row]) -> list[ResultRow]:
    return [ResultRow(*row[:6], _decode_metrics(row[6]) if row[6] else {}, row[7]) for row in rows]


def _picture_rows(rows: list[tuple[str, str, int, int, bytes]]) -> list[PictureRow]:
    return [
        PictureRow(sha256, job_id, index, repeat, _decode_image(blob)) for sha256, job_id, index, repeat, blob in rows
    ]
