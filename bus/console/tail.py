"""`tail`: print the events of publishers, as text for people or as one JSON object a line."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from bus.console.printable import printable
from bus.console.start_time import offset_before
from bus.contracts.messages import (
    EventRejected,
    ExperimentStatus,
    JobCompleted,
    JobProgress,
    JobQueued,
    JobStarted,
    Message,
    VariantProgress,
    VariantStatus,
)
from bus.contracts.values import written
from bus.protocol.control import FetchParams, FetchReply, InfoReply
from bus.protocol.json_values import to_json_value
from bus.protocol.topics import as_prefix
from bus.subscriber.base import OnNotice
from bus.subscriber.delivery import Delivery, Position, Start
from bus.subscriber.sync import Subscriber
from bus.telemetry.streams import json_on
from bus.transport.client import request
from bus.transport.keys import Keys

POLL_SECONDS: Final = 0.1
SILENCE_SECONDS: Final = 2.0  # a running publisher is ready in milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TailOptions:
    """What to print and when to stop."""

    prefix: str = ""
    after: int | None = None
    since: datetime | None = None
    everything: bool = False
    exit_at_end: bool = False
    count: int | None = None
    timeout: float | None = None


class TailTimeoutError(Exception):
    """Fewer events than requested arrived in time."""


def tail(
    addresses: list[str],
    options: TailOptions,
    on_silence: Callable[[], None],
    on_notice: OnNotice,
    keys: Keys | None = None,
    feed: str | Mapping[str, str] = "",
) -> Iterator[Delivery]:
    """Yield events until one of the options ends it; `on_silence` is called once if a publisher does not answer yet.

    `on_notice` is called with each gap that a publisher can no longer fill.

    Raises:
        ControlError: a publisher does not answer, where the end of its log is needed first.
        TailTimeoutError: `count` was not reached within `timeout`.
    """
    prefix = as_prefix(options.prefix)
    asked = options.exit_at_end or options.after is not None or options.since is not None
    infos = {address: request(address, "info", {}, InfoReply, keys=keys) for address in addresses} if asked else {}
    positions: dict[tuple[str, str], Position] = {}
    for address, info in infos.items():
        offset = options.after if options.since is None else offset_at(address, options.since, info, keys)
        if offset is not None:
            positions[address, prefix] = Position(info.epoch, offset)
    start = Start.BEGINNING if options.everything else Start.NOW
    with Subscriber(
        addresses, [prefix], start=start, positions=positions, on_notice=on_notice, keys=keys, feed=feed
    ) as subscriber:
        if options.exit_at_end:
            events = _until(subscriber, {address: info.head for address, info in infos.items()}, options.timeout)
        else:
            events = _for_ever(subscriber, options.timeout, on_silence)
        count = 0
        for count, delivery in enumerate(events, 1):
            yield delivery
            if count == options.count:
                return
    if options.count is not None and not options.exit_at_end:
        raise TailTimeoutError(f"only {count} of {options.count} events came")


def offset_at(address: str, since: datetime, info: InfoReply, keys: Keys | None = None) -> int:
    """Return the offset after which the events since a moment begin, from requests to the publisher."""

    def fetch(after: int) -> FetchReply:
        return request(address, "fetch", FetchParams(after=after, limit=1), FetchReply, keys=keys)

    return offset_before(since, info.first, info.head, fetch)


def _for_ever(subscriber: Subscriber, timeout: float | None, on_silence: Callable[[], None]) -> Iterator[Delivery]:
    deadline = time.monotonic() + timeout if timeout is not None else None
    if not subscriber.wait_ready(SILENCE_SECONDS if timeout is None else min(SILENCE_SECONDS, timeout)):
        on_silence()
    while deadline is None or time.monotonic() < deadline:
        yield from subscriber.receive(None if deadline is None else deadline - time.monotonic())


def _until(subscriber: Subscriber, heads: dict[str, int], timeout: float | None) -> Iterator[Delivery]:
    """Yield events up to the head that each publisher had at first."""
    deadline = time.monotonic() + timeout if timeout is not None else None
    while not _reached(subscriber, heads) and (deadline is None or time.monotonic() < deadline):
        for delivery in subscriber.receive(POLL_SECONDS):
            if 0 < delivery.offset <= heads[delivery.source]:
                yield delivery
    if not _reached(subscriber, heads):
        raise TailTimeoutError(f"the end of the log was not reached within {timeout:g} s")


def _reached(subscriber: Subscriber, heads: dict[str, int]) -> bool:
    """Return whether everything up to the heads has been handed over; without a first heartbeat, nothing has."""
    positions = subscriber.positions()
    return len(positions) == len(heads) and all(
        position.offset >= heads[address] and position.epoch is not None for (address, _), position in positions.items()
    )


def as_json(delivery: Delivery) -> str:
    """Return an event as one line of JSON; `time` is unix seconds. See `json_values` for what JSON cannot hold."""
    line = msgspec.json.encode(
        {
            "source": delivery.source,
            "epoch": delivery.epoch,
            "offset": delivery.offset,
            "topic": delivery.topic,
            "time": delivery.time_ns / 1e9,
            "body": to_json_value(delivery.body),
        }
    ).decode()
    return json_on(sys.stdout, line)


def as_text(delivery: Delivery) -> str:
    """Return an event as one line for people: time, offset, topic and summary."""
    return " ".join(columns(delivery)).rstrip()


def columns(delivery: Delivery) -> tuple[str, str, str, str]:
    """Return the columns of a line for people: time, offset, topic, summary."""
    clock = datetime.fromtimestamp(delivery.time_ns / 1e9).astimezone().strftime("%H:%M:%S.%f")[:-3]
    offset = str(delivery.offset) if delivery.offset else "-"
    try:
        summary = summarize(delivery.message) if delivery.message else _foreign(delivery.body)
    except ValueError as error:
        summary = printable(f"cannot be read: {error}")
    return clock, f"{offset:>6}", printable(delivery.topic), summary


def summarize(message: Message) -> str:  # noqa: PLR0911 - one a type of message
    """Return a summary of a message in a few words."""
    match message:
        case JobQueued() | JobStarted():
            return f"{printable(message.job_id)} attempt {message.attempt}"
        case JobProgress():
            return f"{printable(message.job_id)} {message.fraction:.0%}"
        case JobCompleted():
            return f"{printable(message.job_id)} {_end_of(message)}"
        case VariantStatus():
            jobs = f"{message.completed}/{message.planned} jobs"
            value = message.variant_value if isinstance(message.variant_value, dict) else written(message.variant_value)
            value = printable(f"{message.variable_under_test}={value}")
            return f"{value} {message.status} {jobs}" + (f", {message.failed} failed" if message.failed else "")
        case VariantProgress():
            return f"{message.fraction:.0%}"
        case ExperimentStatus():
            return f"{message.status} {message.totals.completed}/{message.totals.jobs} jobs"
        case EventRejected():
            return printable(f"{message.reason}: {message.detail}")
        case _:
            return ""


def _foreign(body: bytes) -> str:
    """Return a message of another application, or of a newer version, as JSON, shortened."""
    return printable(msgspec.json.encode(to_json_value(body)).decode())


def _end_of(message: JobCompleted) -> str:
    result = message.result
    if result.success:
        return f"succeeded, {len(result.images)} files"
    return "cancelled" if result.cancelled else printable(f"failed: {result.error.message if result.error else ''}")
