"""The rows of jobs that are sent to runners."""

from collections.abc import Iterable
from typing import NamedTuple

from bus.eventlog.row_checksums import row_crc
from learning_service.experiments.plan import PlannedJob


class JobRow(NamedTuple):
    """A job to be sent to a runner."""

    number: int
    job_id: str
    experiment_id: str
    kind: str
    priority: int
    runner: str | None  # the one that it goes to
    planned: PlannedJob

    def crc(self, *, acknowledged: bool) -> int:
        """Return the checksum of the row, computed here, as in SQL it costs more than the rest of an update."""
        job = (self.number, self.job_id, self.experiment_id, *self.planned, self.kind, self.priority, self.runner)
        return row_crc("jobs", *job, int(acknowledged))


def job_kind(pipeline: str, stage: str) -> str:
    """Return the kind of a job: the pipeline and stage that a runner has to offer."""
    return f"{pipeline}/{stage}"


def job_rows(rows: Iterable[tuple[int, str, str, str, int, str | None, int, int, int]]) -> list[JobRow]:
    """Return rows as the statements select them: in the order of the fields, those of the planned job last."""
    return [
        JobRow(number, job_id, experiment_id, kind, priority, runner, PlannedJob(index, repeat, round_))
        for number, job_id, experiment_id, kind, priority, runner, index, repeat, round_ in rows
    ]
