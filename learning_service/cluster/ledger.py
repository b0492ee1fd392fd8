"""The ledger as its leader writes it: each transaction is in it before it is in the file."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

import nats
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from bus.cluster import names
from bus.cluster.connection import Connection
from bus.cluster.ends import WRONG_SEQUENCE
from bus.cluster.errors import ClusterError, told
from bus.eventlog.errors import ReplicationError
from bus.eventlog.replicas import Entry
from bus.eventlog.transaction import Transaction
from learning_service.cluster import places
from learning_service.cluster.codec import Began, Body, pack
from learning_service.cluster.places import Place

ANSWER_SECONDS: Final = 1.0  # then it is sent again, which does nothing if it is there already
SEND_SECONDS: Final = 8.0  # in which servers have chosen who of them leads, if enough of them live
PAUSE_SECONDS: Final = 0.1
logger = logging.getLogger(__name__)


class Ledger:
    """Writes the entries of a leader; used in the loop's thread, which waits for each to be safe."""

    def __init__(self, connection: Connection, place: Place, last: int, lost: Callable[[], None]) -> None:
        """Continue behind a place; `last` is the newest message, perhaps of an entry whose end never came.

        `lost` is called as soon as this one leads no more.
        """
        self._lost = lost
        self._connection, self._place, self._last = connection, place, last
        self._is_pending = self._is_deposed = False

    @property
    def sequence(self) -> int:
        """The place of the newest entry."""
        return self._place.sequence

    def begin(self, began: Began) -> None:
        """Write that this one leads, after which whoever led before can write nothing.

        Raises:
            ReplicationError: somebody else has written meanwhile, or the servers do not answer.
        """
        self._write(began)

    def send(self, entry: Entry, tx: Transaction) -> None:
        """Write an entry, and note the place behind it in its own transaction.

        Raises:
            ReplicationError: this one leads no more, or that is not known.
        """
        if self._is_pending:  # it is in the ledger, and its commit has failed: the file has to catch up
            self._is_deposed = True
        self._write(entry)
        self._is_pending = True
        places.write(tx, self._place)

    def committed(self) -> None:
        """Note that the file has what the ledger has."""
        self._is_pending = False

    def _write(self, body: Body) -> None:
        if self._is_deposed:
            self._lost()
            raise ReplicationError("this learning service leads no more")
        limit = self._connection.client.max_payload
        messages, link = pack(body, self._place.link, limit)
        self._is_deposed = True  # until the last of them is safe
        try:
            last = self._connection.run(self._publish(messages), SEND_SECONDS + ANSWER_SECONDS)
        except (ClusterError, nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            text = f"the ledger cannot be written, so this learning service leads no more: {told(error)}"
            self._lost()
            raise ReplicationError(text) from error
        self._is_deposed = False
        self._last, self._place = last, Place(self._place.created, last, link)

    async def _publish(self, messages: list[bytes]) -> int:
        """Publish the messages of an entry behind the newest one; return the place of the last."""
        last, until = self._last, time.monotonic() + SEND_SECONDS
        for message in messages:
            last = await self._publish_one(message, last, until)
        return last

    async def _publish_one(self, message: bytes, last: int, until: float) -> int:
        """Publish a message; without an answer again, as it can be there once only."""
        js = self._connection.js
        while True:
            headers = {Header.EXPECTED_LAST_SEQUENCE.value: str(last)}
            try:
                ack = await js.publish(
                    names.ENTRY, message, timeout=ANSWER_SECONDS, stream=names.LEDGER, headers=headers
                )
            except APIError as error:
                stored = await self._stored(last + 1) if error.err_code in WRONG_SEQUENCE else None
                if stored == message:  # though its answer was lost
                    return last + 1
                if stored is not None or time.monotonic() > until:
                    raise
            except (NoStreamResponseError, nats.errors.Error, TimeoutError):
                if time.monotonic() > until:
                    raise
            else:
                return int(ack.seq)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _stored(self, sequence: int) -> bytes | None:
        """Return the message at a place; None if it is still on its way from the server that leads to the others."""
        try:
            return (await self._connection.js.get_msg(names.LEDGER, sequence)).data
        except NotFoundError:
            return None
