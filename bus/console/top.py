"""`top`: rates by topic, live."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from bus.console.rates import Rate, Rates
from bus.subscriber.base import OnNotice
from bus.subscriber.source import SourceState
from bus.subscriber.sync import Subscriber
from bus.telemetry.streams import json_on
from bus.transport.keys import Keys

INTERVAL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of `top` at one moment; `seconds` since its start."""

    time: float
    seconds: float
    topics: list[Rate]
    publishers: list[SourceState]


def top(
    addresses: list[str],
    prefix: str,
    seconds: float | None,
    on_notice: OnNotice,
    keys: Keys | None = None,
    feed: str | Mapping[str, str] = "",
) -> Iterator[Snapshot]:
    """Measure new events, and report once a second; the last time after `seconds`."""
    rates = Rates(time.monotonic)
    begin = time.monotonic()
    end = begin + seconds if seconds is not None else None
    with Subscriber(addresses, [prefix], on_notice=on_notice, keys=keys, feed=feed) as subscriber:
        due = begin
        while end is None or due < end:
            due += INTERVAL_SECONDS
            stop = due if end is None else min(due, end)
            while (left := stop - time.monotonic()) > 0:
                for delivery in subscriber.receive(left):
                    rates.take(delivery.topic, len(delivery.topic) + len(delivery.body))
            due = max(due, time.monotonic() - INTERVAL_SECONDS)  # after a suspend, missed reports are not repeated
            yield Snapshot(time.time(), time.monotonic() - begin, rates.rates(), subscriber.states())


def as_json(snapshot: Snapshot) -> str:
    """Write what is seen as one line of JSON; `time` is unix seconds."""
    return json_on(sys.stdout, msgspec.json.encode(snapshot).decode())


def as_lines(snapshot: Snapshot) -> list[str]:
    """Write one plain line for each kind of event, and one for each publisher that is away or behind."""
    clock = time.strftime("%H:%M:%S", time.localtime(snapshot.time))
    lines = [
        f"{clock} {rate.topic} {rate.per_second}/s, {rate.mean_per_second:.1f}/s over 10 s, {rate.count} in all, "
        f"{size_text(rate.bytes_per_second)}/s, last {rate.idle_seconds:.0f} s ago"
        for rate in snapshot.topics
    ]
    troubled = [state for state in snapshot.publishers if not state.ready or state.lag or state.malformed]
    lines += [f"{clock} {state.address} {connection_text(state)}" for state in troubled]
    return lines or [f"{clock} no event yet"]  # silence would look as if nothing was connected


def connection_text(state: SourceState) -> str:
    """Return the state of the connection to a publisher as a text."""
    parts = ["connected" if state.ready else "not connected"]
    parts += [state.problem] if state.problem else []
    parts += [f"{state.lag} behind"] if state.lag else []
    parts += [f"{state.refetched} fetched again"] if state.refetched else []
    parts += [f"{state.malformed} malformed"] if state.malformed else []
    return ", ".join(parts)


def size_text(size: float) -> str:
    """Write a number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - SI units
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1000
    return f"{size:.1f} GB"
