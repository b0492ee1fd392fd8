"""From the bus to browsers: one subscriber for all of them, and an outbox for each."""

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool

from bus.contracts.topics import EVENT_REJECTED, EXPERIMENT_STATUS, subject_of
from bus.protocol import topics
from bus.protocol.json_values import to_json_value
from bus.protocol.recovery import Notice
from bus.protocol.validation import InvalidInputError
from bus.subscriber.asyncio import AsyncSubscriber
from bus.subscriber.delivery import Delivery, Start
from bus.transport.keys import Keys
from variantbus.client.health import Health
from variantbus.dashboard.others import event_for_others
from variantbus.dashboard.outbox import Outbox
from variantbus.dashboard.services import Services

PREFIXES: Final = (
    "job",
    "experiment.status",
    "variant",
    "image.rated",
    "images.compared",
    "recommendation.updated",
    "event.rejected",
)
CLIENTS: Final = 500
LOOK_SECONDS: Final = 0.2  # between two looks whether a service is followed that was not before
HEALTH_SECONDS: Final = 2.0
HEARTBEAT_SECONDS: Final = 10.0
EVERYBODY: Final = (EXPERIMENT_STATUS, EVENT_REJECTED)
logger = logging.getLogger(__name__)


class Feed:
    """Follows runner and learning service, and sends each browser the events of the experiments that it shows."""

    def __init__(self, services: Services, keys: Keys | None) -> None:
        """Connect to nothing yet."""
        self._services, self._keys = services, keys
        self._clients: dict[Outbox, frozenset[str]] = {}  # with the experiments that its pages show
        self._streams: dict[str, Outbox] = {}
        self._others: dict[Outbox, str] = {}  # of those who have a link, with the experiment that it shows
        self._health = b""

    @property
    def is_full(self) -> bool:
        """Whether the maximum number of browsers is connected."""
        return len(self._clients) + len(self._others) >= CLIENTS

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the bus within the block."""
        tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._look())]
        for task in tasks:
            task.add_done_callback(_see_end)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def events(self, experiments: Iterable[str], token: str) -> AsyncIterator[bytes]:
        """Yield the server-sent events for one browser until it disconnects.

        The first one tells the name of the stream, and the token with which changes are asked for.
        """
        outbox, stream = Outbox(), secrets.token_urlsafe(16)
        self._clients[outbox] = frozenset(experiments)
        self._streams[stream] = outbox
        try:
            yield sse("hello", {"stream": stream, "token": token})
            if self._health:
                yield self._health
            while not outbox.is_closed:
                waiting = await outbox.take(HEARTBEAT_SECONDS)
                if waiting is None:
                    yield sse("reload", {})
                else:
                    yield b"".join(waiting) or b": nothing new\n\n"
        finally:
            del self._clients[outbox], self._streams[stream]

    async def events_for_others(self, experiment_id: str) -> AsyncIterator[bytes]:
        """Yield the events of one experiment, as others see them, and nothing of the processes or of a token."""
        outbox = Outbox()
        self._others[outbox] = experiment_id
        try:
            yield sse("hello", {"stream": "", "token": ""})
            while not outbox.is_closed:
                yield NOTHING_AWAY
                waiting = await outbox.take(HEALTH_SECONDS)
                yield sse("reload", {}) if waiting is None else b"".join(waiting)
        finally:
            del self._others[outbox]

    def show(self, stream: str, experiments: Iterable[str]) -> bool:
        """Let a stream carry the events of these experiments from now on; return whether it is there."""
        outbox = self._streams.get(stream)
        if outbox is not None:
            self._clients[outbox] = frozenset(experiments)
        return outbox is not None

    def end(self) -> None:
        """End the streams of all browsers, which reconnect automatically."""
        for outbox in (*self._clients, *self._others):
            outbox.close()

    async def _follow(self) -> None:
        addresses = [self._services.learning, self._services.runner]
        unheard = set(addresses)  # what these publish may be missed yet
        async with AsyncSubscriber(
            addresses, PREFIXES, start=Start.NOW, on_notice=self._on_notice, keys=self._keys
        ) as subscriber:
            while True:
                for delivery in await subscriber.receive(LOOK_SECONDS if unheard else None):
                    self._deliver(delivery)
                if unheard and (new := {one.address for one in subscriber.states() if one.ready} & unheard):
                    unheard -= new
                    self._reload()  # a page that was quicker: no event tells of what has happened between

    def _on_notice(self, address: str, _prefix: str, notice: Notice) -> None:
        """Make all browsers load a new snapshot: a publisher could not fill a gap."""
        logger.warning("%s: %s", address, notice)
        self._reload()

    def _reload(self) -> None:
        for outbox in (*self._clients, *self._others):
            outbox.reload()

    def _deliver(self, delivery: Delivery) -> None:
        topic = delivery.topic
        for_all = topic.startswith(EVERYBODY)
        parts = topics.split(topic)
        experiment_id = parts[2] if len(parts) > 2 else None  # noqa: PLR2004 - two tokens are the kind
        clients = [outbox for outbox, shown in self._clients.items() if for_all or experiment_id in shown]
        others = [outbox for outbox, shown in self._others.items() if shown == experiment_id]
        if not clients and not others:
            return
        key, body = key_of(delivery), to_json_value(delivery.body)
        event = sse("message", {"topic": topic, "body": body}) if clients else b""
        for outbox in clients:
            outbox.put(key, event)
        if others and (shown := event_for_others(body)) is not None:
            event = sse("message", {"topic": topic, "body": shown})
            for outbox in others:
                outbox.put(key, event)

    async def _look(self) -> None:
        """Poll the health of the processes while a page is open."""
        while True:
            if self._clients:
                found = await run_in_threadpool(self._services.health)
                self._health = sse("system", [shown_health(one) for one in found])
                for outbox in self._clients:
                    outbox.put("system", self._health)
            await asyncio.sleep(HEALTH_SECONDS)


def _see_end(task: asyncio.Task[None]) -> None:
    """End the process if a task has failed: pages would wait for its events without end."""
    if not task.cancelled() and (error := task.exception()):
        logger.error("the dashboard cannot continue", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


def key_of(delivery: Delivery) -> str:
    """Return the key of the state that an event replaces: topic and subject; an unreadable event has its own key."""
    try:
        message = delivery.message
    except InvalidInputError:
        message = None
    return f"{delivery.topic} {subject_of(message) if message else delivery.offset}"


def shown_health(health: Health) -> dict[str, object]:
    """Return the health of a process as the page shows it."""
    shown = {
        metric.name: [[sample.labels, sample.value] for sample in metric.samples]
        for metric in health.metrics
        if metric.name.startswith(SHOWN)
    }
    return {
        "service": health.service,
        "address": health.address,
        "answers": health.answers,
        "version": health.version,
        "problems": msgspec.to_builtins(health.problems),
        "metrics": shown,
    }


SHOWN: Final = (
    "variantbus_uptime", "variantbus_consumer", "variantbus_events", "variantbus_jobs", "variantbus_log_head",
    "variantbus_log_size", "variantbus_cluster", "process_resident", "process_cpu",
)  # fmt: skip


def sse(kind: str, data: object) -> bytes:
    """Write a server-sent event; JSON has no line ends in it."""
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


NOTHING_AWAY: Final = sse("system", [])  # a page that hears nothing for long takes its stream for lost
