"""What is fetched from the cluster, with what has to be known before it runs: whether the job has ended."""

import asyncio
import logging
from typing import Final, Literal, NamedTuple

import msgspec

from bus.cluster import ends, jobs
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from bus.cluster.jobs import Delivery
from bus.cluster.messages import is_answer
from bus.contracts.jobs import JobRequest
from bus.protocol.validation import InvalidInputError, decode
from bus.telemetry.logging import RepeatFilter
from pipeline_runner.cluster.sending import subject_of
from pipeline_runner.queue.jobs import NormalizedJobRecord, new_record

LAST_DELIVERY: Final = 5  # of a job that has ended nowhere: each runner that took it died, and this one would, too
Verdict = Literal["acknowledge", "renew", "send again", "give up", "take"]
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a cluster that is away must not decide how much we log


class CarriedJob(JobRequest, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A job as the cluster has it, perhaps from a newer learning service."""


_request: Final = msgspec.msgpack.Decoder(CarriedJob)


class Offer(NamedTuple):
    """A job that was fetched for this runner."""

    request: JobRequest
    reply: str
    deliveries: int
    has_ended: bool


async def take(connection: Connection, pipeline: str, most: int) -> tuple[list[Offer], bool]:
    """Fetch jobs of a pipeline, and look for their ends; return them, and whether more may wait.

    What cannot be read, or whose end cannot be looked for, is left: it is delivered to somebody else after a while.

    Raises:
        NotFoundError: there is no stream of jobs.
        ClusterError, nats.errors.Error, TimeoutError: the cluster does not answer.
    """
    found = await jobs.fetch(connection.client, connection.js, pipeline, most)
    looked = await asyncio.gather(*(_look_up(connection, one) for one in found))
    return [offer for offer in looked if offer], len(found) == most


async def _look_up(connection: Connection, delivery: Delivery) -> Offer | None:
    if is_answer(delivery.request):
        logger.warning("an answer of NATS is among the jobs, and removed: a seed is misused")
        await connection.client.publish(delivery.reply, jobs.ACK)
        return None
    try:
        request = decode(_request, delivery.request)
        record = new_record(request, 0.0)
        stored = await asked(ends.find(connection.js, subject_of(record)))
    except (InvalidInputError, ValueError) as error:
        logger.error("a job of the cluster cannot be read, and is left: %s", error)  # noqa: TRY400 - no bug of ours
        return None
    except ClusterError as error:
        logger.warning("a job of the cluster is left, as nobody knows whether it has ended: %s", error)
        return None
    return Offer(request, delivery.reply, delivery.deliveries, stored is not None)


def verdict(offer: Offer, known: NormalizedJobRecord | None, *, has_ticket: bool) -> Verdict:
    """Return what is done with a job that was fetched; `known` is what this runner has of it."""
    if offer.has_ended and not has_ticket:
        return "acknowledge"
    if known and known.state in ("queued", "running"):
        return "renew"
    if known:
        return "renew" if offer.has_ended else "send again"
    return "give up" if offer.deliveries >= LAST_DELIVERY else "take"
