"""The offset of a moment in a log, for `tail --since`.

Times in a log are wall clock, which may step back a little; the search is a binary one and takes them as rising, so
around such a step it may begin some events early or late.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from bus.protocol.control import FetchReply
from bus.protocol.validation import InvalidInputError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")


def parse_since(text: str, now: datetime) -> datetime:
    """Read a date and time (ISO 8601, local if it has no zone), `HH:MM` of today, or a duration back, such as `1h30m`.

    `now` has a zone, which is the local one.

    Raises:
        InvalidInputError: it is none of them, or lies in the future.
    """
    moment = _back(text, now) or _date_or_time(text, now)
    if moment is None:
        raise InvalidInputError(
            f"--since: {text[:80]!r} is no time: write 2026-05-01T12:00, 12:00 (today), or how long ago: 10m, 1d"
        )
    if moment > now:
        raise InvalidInputError(f"--since: {text!r} is in the future, it is {now:%Y-%m-%d %H:%M:%S %z} now")
    return moment


def parse_duration(text: str) -> timedelta | None:
    """Read a duration such as `1h30m`, `2d` or `1w`; None if it is none. One without end is the longest there is."""
    match = _DURATION.fullmatch(text)
    if not match or not text:
        return None
    try:
        return timedelta(**{name: float(match[unit]) for unit, name in _UNITS.items() if match[unit]})
    except OverflowError:
        return timedelta.max


def _back(text: str, now: datetime) -> datetime | None:
    duration = parse_duration(text)
    try:
        return None if duration is None else now - duration
    except OverflowError:
        raise InvalidInputError(f"--since: {text[:80]!r} is longer ago than a calendar goes") from None


def _date_or_time(text: str, now: datetime) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            clock = time.fromisoformat(text) if ":" in text else None
        except ValueError:
            return None
        if clock is None:
            return None
        today: date = now.astimezone(clock.tzinfo).date() if clock.tzinfo else now.date()
        moment = datetime.combine(today, clock)
    try:
        return moment if moment.tzinfo else moment.astimezone()  # which takes it as local
    except (OverflowError, ValueError, OSError):
        return None


def offset_before(moment: datetime, first: int, head: int, fetch: Callable[[int], FetchReply]) -> int:
    """Return the offset after which the events from a moment on begin; `fetch(after)` returns the next event."""
    time_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000  # exact, as a float is not
    low, high = first - 1, head  # all events up to `low` are older; none after `high` is
    while low < high:
        middle = (low + high) // 2
        event = _first_behind(middle, high, fetch)
        if event is None or event[1] >= time_ns:
            high = middle
        else:
            low = event[0]
    return low


def _first_behind(after: int, until: int, fetch: Callable[[int], FetchReply]) -> tuple[int, int] | None:
    """Return offset and time of the first event in (after, until] that can be read; damaged ones are passed over."""
    while after < until:
        reply = fetch(after)
        if reply.events:
            event = reply.events[0]
            return (event.offset, event.time_ns) if event.offset <= until else None
        if reply.next <= after:
            return None
        after = reply.next
    return None
