"""Copies of a learning service's file in the cluster, so that the ledger need not be kept from its beginning."""

import asyncio
import gzip
import logging
import secrets
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from nats.js import JetStreamContext
from nats.js.api import StreamState
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from bus.cluster import names, tasks
from bus.cluster.connection import Connection
from bus.cluster.errors import told
from bus.cluster.faults import FAULTS
from bus.eventlog.backups import back_up
from bus.eventlog.errors import LogError
from bus.eventlog.files import sync
from learning_service.cluster.places import SQL

LEDGER_BYTES: Final = 64 << 20  # of the ledger behind the newest copy
CHECK_SECONDS: Final = 10.0
LIST_SECONDS: Final = 20.0
KEPT: Final = 2
LEVEL: Final = 1
FAILURES: Final = (*FAULTS, EOFError, zlib.error, LogError, sqlite3.Error)  # a copy may be damaged, too
logger = logging.getLogger(__name__)


class Snapshot(NamedTuple):
    """A copy up to a place of a ledger."""

    created: int  # when the ledger was
    sequence: int

    @property
    def name(self) -> str:
        """Its name in the bucket."""
        return f"{self.created}-{self.sequence:020d}"


async def stored(js: JetStreamContext, created: int) -> list[Snapshot]:
    """Return the copies of a ledger that are there, oldest first."""
    bucket: ObjectStore = await js.object_store(names.SNAPSHOTS)
    try:
        # by a consumer, which would say nothing if its server died
        found = await tasks.within(LIST_SECONDS, bucket.list(ignore_deletes=True))
    except NotFoundError:
        return []
    parts = [one.name.split("-") for one in found if one.name and not one.deleted]
    return sorted(one for a, b in parts if (one := Snapshot(int(a), int(b))).created == created)


async def keep(connection: Connection, path: Path, created: int, *, at_once: bool) -> None:
    """Make a copy whenever the ledger has grown enough, and remove what nobody needs then."""
    while True:
        try:
            state = (await connection.js.stream_info(names.LEDGER)).state
            there = await stored(connection.js, created)
            if at_once or is_due(state, there[-1].sequence if there else 0):
                await take(connection.js, path)
                at_once = False
        except FAILURES as error:
            logger.warning("no copy of %s is put into the cluster now: %s", path, told(error))
        await asyncio.sleep(CHECK_SECONDS)


def is_due(state: StreamState, newest: int) -> bool:
    """Return whether a copy is to be made: the ledger has grown, or it was emptied behind the newest one."""
    behind = state.last_seq - max(newest, state.first_seq - 1)
    return newest < state.first_seq - 1 or state.bytes * behind // max(1, state.messages) > LEDGER_BYTES


async def take(js: JetStreamContext, path: Path) -> None:
    """Put a copy of a file into the cluster, and remove older copies but one, and the ledger before that.

    Raises:
        LogError, OSError: the file cannot be copied.
        APIError, NoStreamResponseError, TimeoutError, nats.errors.Error: the cluster does not answer.
    """
    for left in path.parent.glob(f"{path.name}.snapshot*"):  # by a process that was killed
        left.unlink(missing_ok=True)
    # another name each time: a thread that copies is not ended with what has begun it
    packed = path.with_name(f"{path.name}.snapshot-{secrets.token_hex(4)}.gz")
    try:
        snapshot = await asyncio.to_thread(_make, path, packed)
        bucket: ObjectStore = await js.object_store(names.SNAPSHOTS)
        with packed.open("rb") as file:
            await bucket.put(snapshot.name, file)
    finally:
        packed.unlink(missing_ok=True)
    *older, last = await stored(js, snapshot.created)
    for one in older[: 1 - KEPT]:
        await bucket.delete(one.name)
    if older:
        await js.purge_stream(names.LEDGER, seq=older[-1].sequence + 1)
    logger.info("the cluster has a copy of %s up to %d of the ledger", path, last.sequence)


async def download(js: JetStreamContext, snapshot: Snapshot, target: Path) -> None:
    """Write a copy to a file, synced.

    Raises:
        OSError: it cannot be written.
        APIError, NoStreamResponseError, TimeoutError, nats.errors.Error: the cluster does not answer.
    """
    packed = target.with_name(f"{target.name}.gz")
    try:
        bucket: ObjectStore = await js.object_store(names.SNAPSHOTS)
        with packed.open("wb") as file:
            await bucket.get(snapshot.name, file)
        await asyncio.to_thread(_unpack, packed, target)
    finally:
        packed.unlink(missing_ok=True)


def _make(path: Path, packed: Path) -> Snapshot:
    copy = packed.with_suffix(".db")
    try:
        back_up(path, copy)
        with closing(sqlite3.connect(copy)) as db:
            created, sequence, _ = db.execute(SQL["select"]).fetchone()
        with copy.open("rb") as source, gzip.open(packed, "wb", compresslevel=LEVEL) as file:
            shutil.copyfileobj(source, file)
    finally:
        copy.unlink(missing_ok=True)
    return Snapshot(created, sequence)


def _unpack(packed: Path, target: Path) -> None:
    with gzip.open(packed, "rb") as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
    sync(target)
