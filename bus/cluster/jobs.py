"""The jobs that wait in a cluster, for those who run them: fetch some, say that they run, acknowledge an end."""

import asyncio
import json
from contextlib import suppress
from typing import Final, NamedTuple

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError
from nats.js import JetStreamContext

from bus.cluster import names, streams
from bus.cluster.errors import ClusterError
from bus.cluster.faults import FAULTS

FETCH_SECONDS: Final = 5.0  # until the server has sent what it has
PAUSES_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)  # after which a consumer is asked that nobody knows yet
ACK: Final = b"+ACK"
IN_PROGRESS: Final = b"+WPI"
NONE_THERE: Final = ("404", "408")
NO_CONSUMER: Final = "503"
_NEXT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{names.JOBS}."
_FIELDS: Final = (
    9  # of the subject for acknowledgements; where there are domains, it has more before the first of these
)


class Delivery(NamedTuple):
    """A job that was given to us: `reply` takes its acknowledgement, `deliveries` counts to whom it ever was given."""

    request: bytes
    reply: str
    deliveries: int


async def fetch(client: Client, js: JetStreamContext, pipeline: str, most: int) -> list[Delivery]:
    """Fetch jobs of a pipeline that wait now, the high band first; the consumers are made if they are not there.

    Nothing is left at the server that it could answer later, when nobody listens.

    Raises:
        NotFoundError: there is no stream of jobs.
        ClusterError, nats.errors.Error, TimeoutError: the cluster does not answer. What it has sent nevertheless is
            given to somebody else after a while.
    """
    found: list[Delivery] = []
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)  # a new one each time, which no old answer can reach
    try:
        for band in names.BANDS:
            if len(found) < most:
                try:
                    await _fetch(client, subscription, inbox, names.consumer_of(pipeline, band), most, found)
                except NoRespondersError:
                    await _make(js, pipeline, band)
                    await _fetch_made(client, subscription, inbox, names.consumer_of(pipeline, band), most, found)
    except (*FAULTS, ClusterError):
        if not found:
            raise
    finally:
        await subscription.unsubscribe()
    return found


async def _fetch(
    client: Client, subscription: Subscription, inbox: str, consumer: str, most: int, found: list[Delivery]
) -> None:
    """Add what a consumer has to what was found, up to so many in all."""
    request = json.dumps({"batch": most - len(found), "no_wait": True})
    await client.publish(_NEXT + consumer, request.encode(), reply=inbox)
    while len(found) < most:
        message = await subscription.next_msg(FETCH_SECONDS)
        status = (message.headers or {}).get("Status") if not message.reply else None
        if status in NONE_THERE:
            return
        if status == NO_CONSUMER:
            raise NoRespondersError
        if status or not message.reply:
            raise ClusterError(
                f"jobs of {consumer} cannot be fetched: {status or 'they come without a place to reply'}"
            )
        deliveries = message.reply.split(".")[4 - _FIELDS]
        found.append(Delivery(message.data, message.reply, int(deliveries)))


async def _fetch_made(
    client: Client, subscription: Subscription, inbox: str, consumer: str, most: int, found: list[Delivery]
) -> None:
    """Do so at a consumer that was just made, of which the server that we are at may hear a moment later."""
    for pause in PAUSES_SECONDS:
        with suppress(NoRespondersError):
            await _fetch(client, subscription, inbox, consumer, most, found)
            return
        await asyncio.sleep(pause)
    await _fetch(client, subscription, inbox, consumer, most, found)


async def _make(js: JetStreamContext, pipeline: str, band: str) -> None:
    """Make a consumer; it changes nothing where somebody else has just made it."""
    copies = (await js.stream_info(names.JOBS)).config.num_replicas or 1
    await js.add_consumer(names.JOBS, streams.job_consumer(pipeline, band, copies))
