"""The streams and buckets of a cluster: made where they are not there, with as many copies as there are servers."""

import asyncio
import logging
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from bus.cluster import names, tail
from bus.cluster.errors import ClusterRefusedError
from bus.cluster.faults import FAULTS

COPIES: Final = 3
ACK_SECONDS: Final = 30.0  # a job whose worker has said nothing for so long is given to another one
LEADER_SECONDS: Final = 2.0  # a leader that has said nothing for so long leads no more
ANNOUNCED_SECONDS: Final = 30.0  # a runner that has said nothing for so long is away
NO_PLACE: Final = (10005, 10023, 10074)  # errors of a cluster with fewer servers than copies
LOOK_SECONDS: Final = 10.0  # between two looks for what was deleted, and for servers that have come since
DIFFERS: Final = 10058  # error: there is a stream of this name with other settings
REFUSED: Final = {  # errors that only a person can do something about
    10027: "the account may have no more streams; variantbus has 7 of its own, so raise its limit",
    10052: "somebody has made a stream of this name with other settings, for good; remove it, if nobody needs it",
    10065: "other streams of the account have its subjects; give variantbus an account of its own",
}
logger = logging.getLogger(__name__)


async def ensure(js: JetStreamContext) -> int:
    """Make what is missing, and give what is there as many copies as there are servers for, 3 at most.

    Return the number of copies.

    Raises:
        ClusterRefusedError: a stream cannot be made as the servers are set up.
        APIError, ServiceUnavailableError, TimeoutError: the cluster cannot do that now.
    """
    copies = await _copies(js)
    if copies < COPIES:
        logger.warning("the cluster has fewer than %d servers, so there is one copy of everything", COPIES)
    for config in _streams(copies):
        await _ensure(js, config)
    for bucket in _buckets(copies):
        await _ensure(js, bucket)
    return copies


async def keep(js: JetStreamContext) -> None:
    """Make again what somebody deletes, and give all 3 copies once there are servers for them.

    Return when the ledger is gone: only a learning service knows what it is to begin with.
    """
    while True:
        try:
            found = [await _copies_of(js, config.name) for config in (*_streams(COPIES), *_buckets(COPIES))]
            if await _copies_of(js, names.LEDGER) is None:
                return
            if None in found:
                logger.warning("streams or buckets of the cluster are gone; making them again")
            if None in found or (found != [COPIES] * len(found) and await _copies(js) == COPIES):
                await ensure(js)
        except FAULTS as error:  # servers that come, or choose who leads: the next look
            logger.debug("the streams cannot be looked at now: %s", error)
        await asyncio.sleep(LOOK_SECONDS)


async def ensure_leader(js: JetStreamContext) -> None:
    """Make the bucket that says who leads, without which nobody can.

    Raises:
        APIError, ServiceUnavailableError, TimeoutError: the cluster cannot do that now.
    """
    await _ensure(js, _keys(names.LEADER, LEADER_SECONDS, await _copies(js)))


async def exists(js: JetStreamContext) -> int:
    """Return when a learning service has made the stream of ends, 0 if it has not made all streams."""
    try:
        for name in (names.JOBS, names.LEDGER):
            await js.stream_info(name)
        return tail.created_at(await js.stream_info(names.ENDS))
    except NotFoundError:
        return 0


def job_consumer(pipeline: str, band: str, copies: int) -> ConsumerConfig:
    """Return the consumer of the jobs of a pipeline in a band: workers fetch one when they are free."""
    return ConsumerConfig(
        durable_name=names.consumer_of(pipeline, band),
        filter_subject=names.jobs_of(pipeline, band),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_SECONDS,
        max_ack_pending=-1,
        num_replicas=copies,
    )


async def _copies(js: JetStreamContext) -> int:
    """Return with how many copies a stream can be made here, by making the one of ends."""
    try:
        await _ensure(js, _ends(COPIES))
    except APIError as error:
        if error.err_code not in NO_PLACE:
            raise
        return 1
    return COPIES


async def _ensure(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await _write(js, config)
    except APIError as error:
        if text := REFUSED.get(error.err_code or 0):
            raise ClusterRefusedError(f"cluster: the stream {config.name} cannot be made: {text}") from error
        raise


async def _write(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        await js.add_stream(config)
    except APIError as error:
        if error.err_code != DIFFERS:
            raise
        # servers that are away just now are no reason for fewer copies, and a person may want more than we do
        copies = await _copies_of(js, config.name) or 1
        await js.update_stream(config.evolve(num_replicas=max(copies, config.num_replicas or 1)))


async def _copies_of(js: JetStreamContext, name: str | None) -> int | None:
    """Return how many copies a stream has, None if there is none."""
    try:
        return (await js.stream_info(name or "")).config.num_replicas or 1
    except NotFoundError:
        return None


def _streams(copies: int) -> list[StreamConfig]:
    """Return the streams; of none a copy may be read that lags behind: it would say that a job has no end."""
    file, work = StorageType.FILE, RetentionPolicy.WORK_QUEUE
    return [
        StreamConfig(name=names.JOBS, subjects=["job.>"], retention=work, storage=file, num_replicas=copies),
        _ends(copies),
        StreamConfig(name=names.LEDGER, subjects=[names.ENTRY], storage=file, num_replicas=copies, allow_direct=False),
    ]


def _ends(copies: int) -> StreamConfig:
    file = StorageType.FILE
    return StreamConfig(name=names.ENDS, subjects=["end.>"], storage=file, num_replicas=copies, allow_direct=False)


def _buckets(copies: int) -> list[StreamConfig]:
    """Return the buckets as the streams that they are, so that they can be given more copies as those can."""
    return [
        _keys(names.LEADER, LEADER_SECONDS, copies),
        _keys(names.RUNNERS, ANNOUNCED_SECONDS, copies),
        _objects(names.PICTURES, copies),
        _objects(names.SNAPSHOTS, copies),
    ]


def _keys(bucket: str, seconds: float, copies: int) -> StreamConfig:
    return StreamConfig(
        name=f"KV_{bucket}",
        subjects=[f"$KV.{bucket}.>"],
        max_msgs_per_subject=1,
        max_age=seconds,
        duplicate_window=seconds,
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=False,
        storage=StorageType.FILE,
        num_replicas=copies,
    )


def _objects(bucket: str, copies: int) -> StreamConfig:
    return StreamConfig(
        name=f"OBJ_{bucket}",
        subjects=[f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        allow_direct=False,
        storage=StorageType.FILE,
        num_replicas=copies,
    )
