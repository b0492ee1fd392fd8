"""How an end gets into the cluster: its pictures first, then itself, then the job leaves the queue of the cluster."""

import logging
import re
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from bus.cluster import ends, jobs, names, pictures
from bus.cluster.connection import Connection
from bus.cluster.ends import Outcome
from bus.cluster.messages import End
from bus.contracts.messages import ImageRef
from bus.protocol.frames import encode
from pipeline_runner.outputs import safe_paths
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result
from pipeline_runner.queue.messages import completed_message

AROUND_BYTES: Final = 4096  # what travels with the body of an end, at most
_HASH: Final = re.compile(r"[0-9a-f]{64}")
logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Whose end it is, and its number among those of the runner; all up to `complete` were acknowledged before."""

    runner: str
    epoch: int
    number: int
    complete: int

    @property
    def run(self) -> str:
        """What tells this end from all others of the job, also after a restart."""
        return f"{self.runner}:{self.epoch}:{self.number}"


def subject_of(record: NormalizedJobRecord) -> str:
    """Return the subject of the end of a job, which belongs to an experiment."""
    context = record.learning_context
    if context is None:
        raise ValueError(f"{record.job_id} belongs to no experiment")
    return names.end_subject(context.experiment_id, context.variant_index, record.job_id)


async def send(connection: Connection, root: Path, record: NormalizedJobRecord, place: Place, reply: str) -> Outcome:
    """Commit the end of a job and acknowledge the job; return whether this end counts, or the job had another one.

    `reply` is where the acknowledgement goes, "" if that is not known.

    Raises:
        APIError, TimeoutError, nats.errors.Error, OSError: the cluster does not answer; call this again.
    """
    js, subject = connection.js, subject_of(record)
    outcome: Outcome | None = None
    if images := record.result.images if record.result else ():
        # who comes too late need not put pictures that nobody asks for
        stored = await ends.find(js, subject)
        outcome = None if stored is None else "won" if stored.end.run == place.run else "fenced"
        for image in images if outcome != "fenced" else ():
            await _put(connection, root, image)
    if outcome is None:
        outcome = await ends.commit(js, subject, end_of(record, place, connection.client.max_payload - AROUND_BYTES))
    if reply:
        await connection.client.publish(reply, jobs.ACK)
    return outcome


def end_of(record: NormalizedJobRecord, place: Place, most: int) -> End:
    """Return the end of a job as it travels; what has more bytes than that can is a failure that says so."""
    body = encode(completed_message(record))
    if len(body) > most:
        count = len(record.result.images) if record.result else 0
        text = f"{count} results, {len(body)} bytes, over {most}; raise max_payload of the cluster's servers"
        body = encode(completed_message(replace(record, state="failed", result=failed_result("too_large", text))))
    return End(
        run=place.run,
        runner=place.runner,
        epoch=place.epoch,
        number=place.number,
        complete=place.complete,
        body=Raw(body),
    )


async def _put(connection: Connection, root: Path, image: ImageRef) -> None:
    """Put a picture, if it is there: a plug-in may name what it likes, and a person may remove a file."""
    if not _HASH.fullmatch(image.sha256):
        return
    try:
        safe_paths.read_part(root, image.path, 0, 1)
    except OSError as error:
        logger.warning("%s cannot be shared with the cluster: %s", image.path, error.strerror or error)
        return
    await pictures.put(connection.js, image.sha256, root / image.path, image.media_type)
