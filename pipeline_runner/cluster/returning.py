"""What a runner asks when it comes back: which of the jobs that it had taken have ended elsewhere meanwhile."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from bus.cluster import ends
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from pipeline_runner.cluster.sending import subject_of
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.service import JobService

ASK_SECONDS: Final = 5.0  # a runner with jobs in hand starts so much later if no server answers
logger = logging.getLogger(__name__)


def cancel_ended(connection: Connection, service: JobService, unended: Iterable[NormalizedJobRecord]) -> None:
    """Cancel the jobs that have ended elsewhere before they run again: one that has killed this runner would again.

    If the cluster does not answer, they run, and their ends are refused.
    """
    records = list(unended)
    if not records:
        return
    try:
        ended = connection.run(asked(_ended(connection, records)), ASK_SECONDS)
    except ClusterError as error:
        logger.warning("whether %d jobs have ended elsewhere is not known: %s", len(records), error)
        return
    for record in ended:
        logger.info("%s has ended elsewhere, and is cancelled here", record.job_id)
        service.cancel(record)


async def _ended(connection: Connection, records: Sequence[NormalizedJobRecord]) -> list[NormalizedJobRecord]:
    await connection.ready()
    found = await asyncio.gather(*(ends.find(connection.js, subject_of(record)) for record in records))
    return [record for record, stored in zip(records, found, strict=True) if stored]
