"""Asks a cluster what it looks like. Needs the extra `cluster`; the rights of the role `reader` suffice."""

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from http.client import HTTPException
from typing import Any, Final

from msgspec.structs import replace
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, PeerInfo
from nats.js.errors import NotFoundError

from bus.cluster import names
from bus.cluster.access import Access
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError, told
from bus.cluster.faults import FAULTS, asked
from bus.protocol.topics import decode_token
from variantbus.cluster.judging import (
    NO_JETSTREAM,
    Consumer,
    Replica,
    Server,
    Stream,
    View,
    needs_another_look,
    with_heads,
)

BETWEEN_SECONDS: Final = 2.0  # from one look to the next one, in which a copy catches up, or not
SILENT_SECONDS: Final = 5.0  # in which a copy that is there answers five times
KEYS: Final = f"$KV.{names.RUNNERS}."
LEADER, RUNNERS = f"KV_{names.LEADER}", f"KV_{names.RUNNERS}"
BUCKETS: Final = (LEADER, RUNNERS, f"OBJ_{names.PICTURES}", f"OBJ_{names.SNAPSHOTS}")
STREAMS: Final = (names.ENDS, names.JOBS, names.LEDGER, *BUCKETS)
QUESTIONS: Final = 5  # at most, one after the other
logger = logging.getLogger(__name__)


def look(access: Access, monitors: Iterable[str], seconds: float) -> tuple[View, View]:
    """Return how a cluster is and how it was some seconds before; no answer is waited for longer than `seconds`.

    Raises:
        ClusterRefusedError: credentials or certificates cannot be read.
    """
    with ExitStack() as stack:
        connections = {}
        for address in access.servers:
            connection = Connection(replace(access, servers=(address,)), "variantbus check")
            stack.callback(connection.close)
            connections[address] = connection
        until = time.monotonic() + seconds
        servers = [_server(one, connection, until) for one, connection in connections.items()]
        watched, told_by = {}, {}
        for monitor in monitors:
            if found := _watched(monitor, seconds):
                watched[found.name], told_by[found.name] = found, monitor
        servers = [
            replace(one, syncs=found.syncs, unwell=found.unwell) if (found := watched.get(one.name)) else one
            for one in servers
        ]
        before = _looked(servers, connections, told_by, seconds)
        if not before.streams or not needs_another_look(before):
            return before, before
        time.sleep(BETWEEN_SECONDS)
        return _looked(servers, connections, told_by, seconds), before


def _server(address: str, connection: Connection, until: float) -> Server:
    try:
        connection.run(connection.ready(), max(0.1, until - time.monotonic()))
    except ClusterError:
        return Server(address=address)
    info: dict[str, Any] = connection.client._server_info  # noqa: SLF001 - nats-py tells the version alone
    return Server(address=address, name=info.get("server_name", ""), version=info.get("version", ""), problem="")


def _looked(
    servers: Sequence[Server], connections: Mapping[str, Connection], told_by: Mapping[str, str], seconds: float
) -> View:
    """Return what the first server tells that can; another one may be cut off from most."""
    answering = [one for one in servers if not one.problem]
    for one in answering:
        try:
            view = connections[one.address].run(_ask(connections[one.address], servers, seconds), QUESTIONS * seconds)
            # afterwards: what is written meanwhile must not make a copy look as if it were behind
            return with_heads(view, {name: _heads(monitor, seconds) for name, monitor in told_by.items()})
        except ClusterError:
            continue
    return View(servers=tuple(replace(one, problem=NO_JETSTREAM) if one in answering else one for one in servers))


async def _ask(connection: Connection, servers: Sequence[Server], seconds: float) -> View:
    """Ask for each stream by itself: the list of all waits long for the servers that are away."""
    js = connection.client.jetstream(timeout=seconds)
    found = [one for one in await asyncio.gather(*(_stream(js, name) for name in STREAMS)) if one]
    led = {one.name for one in found if one.leader}
    if found and not led:
        raise ClusterError("no stream has a leader")
    consumers, runners = [], []
    if names.JOBS in led:
        with suppress(ClusterError):  # just after a death: the next look shows them
            consumers = await asked(js.consumers_info(names.JOBS))
    if RUNNERS in led:
        with suppress(ClusterError):
            subjects = (await asked(js.stream_info(RUNNERS, subjects_filter=f"{KEYS}>"))).state.subjects or {}
            runners = await asyncio.gather(*(_runner(js, one) for one in subjects))
    return View(
        servers=tuple(servers),
        streams=tuple(found),
        consumers=tuple(_consumer(one) for one in consumers),
        leads=await _leads(js) if LEADER in led else None,
        runners=tuple(sorted(one for one in runners if one)),
    )


async def _runner(js: JetStreamContext, subject: str) -> str | None:
    """Return the name of a runner; of one that has gone in good order there is an empty message for a while."""
    try:
        is_there = bool((await js.get_last_msg(RUNNERS, subject)).data)
    except FAULTS:
        return None
    return decode_token(subject.removeprefix(KEYS)) if is_there else None


async def _leads(js: JetStreamContext) -> str | None:
    """Return the name and the address of the learning service that leads."""
    try:
        message = await js.get_last_msg(LEADER, f"$KV.{names.LEADER}.>")
        leader = json.loads(message.data or b"")
        return f"{leader['name']} ({leader['control']})"
    except (*FAULTS, ValueError, KeyError, TypeError):  # nobody, or the mark of one that has ended
        return None


async def _stream(js: JetStreamContext, name: str) -> Stream | None:
    """Return a stream, None if there is none; one without a leader answers nothing."""
    try:
        info = await js.stream_info(name)
    except NotFoundError:
        return None
    except FAULTS:
        return Stream(name=name, messages=0, bytes=0, head=0, copies=0, leader=None)
    cluster = info.cluster
    replicas = [
        Replica(server=one.name or "", current=bool(one.current), offline=_is_away(one), lag=one.lag or 0)
        for one in (cluster.replicas or [] if cluster else [])
    ]
    return Stream(
        name=name,
        messages=info.state.messages,
        bytes=info.state.bytes,
        head=info.state.last_seq,
        copies=info.config.num_replicas or 1,
        leader=(cluster.leader or None) if cluster else "the only server",
        replicas=tuple(sorted(replicas, key=lambda one: one.server)),
    )


def _is_away(one: PeerInfo) -> bool:
    """Return whether a stream's leader does not hear of a server; NATS itself says so of a killed one after minutes."""
    return bool(one.offline) or (one.active or 0) > SILENT_SECONDS * 1e9


def _consumer(info: ConsumerInfo) -> Consumer:
    return Consumer(
        name=info.name,
        pending=info.num_pending or 0,
        running=info.num_ack_pending or 0,
        redelivered=info.num_redelivered or 0,
    )


def _watched(monitor: str, seconds: float) -> Server | None:
    """Return what the monitoring of a server tells: its name, whether it writes through, and whether it is well."""
    try:
        found = _answer(f"{monitor.rstrip('/')}/varz", seconds)
        health = _answer(f"{monitor.rstrip('/')}/healthz", seconds)
        jetstream = found["jetstream"]
        syncs = bool(jetstream["config"].get("sync_always", False)) if "config" in jetstream else None
        unwell = "" if health.get("status") == "ok" else str(health.get("error", "it is not well"))
        return Server(address="", name=found["server_name"], syncs=syncs, unwell=unwell)
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s does not tell how a server is: %s", monitor, told(error))
        return None


def _heads(monitor: str, seconds: float) -> dict[str, int]:
    """Return where each copy of a server ends, as itself tells."""
    try:
        accounts = _answer(f"{monitor.rstrip('/')}/jsz?accounts=true&streams=true", seconds)["account_details"]
        copies = [one for account in accounts for one in account.get("stream_detail") or []]
        return {one["name"]: int(one["state"]["last_seq"]) for one in copies}
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):  # it went away just now
        return {}


def _answer(url: str, seconds: float) -> dict[str, Any]:
    """Return what a server tells; with an error it says why it is not well."""
    try:
        reply = urllib.request.urlopen(url, timeout=seconds)  # noqa: S310 - the user's own
    except urllib.error.HTTPError as error:
        reply = error
    with reply:
        found: dict[str, Any] = json.load(reply)
        return found
