"""From a time that a person types to an offset."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.console.start_time import offset_before, parse_duration, parse_since
from bus.protocol.control import FetchReply
from bus.protocol.frames import Record
from bus.protocol.validation import InvalidInputError

NOW = datetime(2026, 5, 10, 14, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1w2d3h4m5.5s", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.5)),
        ("90s", timedelta(seconds=90)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_how_long_ago(text: str, back: timedelta) -> None:
    """In weeks, days, hours, minutes and seconds, larger units first."""
    assert parse_since(text, NOW) == NOW - back


def test_a_duration_stands_for_itself_too() -> None:
    """What is none is told apart from one of 0; one that no calendar holds is the longest there is."""
    assert parse_duration("1h30m") == timedelta(minutes=90)
    assert parse_duration("0s") == timedelta(0)
    assert [parse_duration(text) for text in ("", "5", "12:00", "-1d")] == [None] * 4
    assert parse_duration("9" * 400 + "w") == parse_duration("9" * 30 + "w") == timedelta.max


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-10T12:00:00Z", datetime(2026, 5, 10, 12, tzinfo=UTC)),
        ("2026-05-10T12:00:00.5+02:00", datetime(2026, 5, 10, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-05-01 12:00", datetime(2026, 5, 1, 12).astimezone()),
        ("2026-05-01", datetime(2026, 5, 1).astimezone()),
        ("20260501T1200", datetime(2026, 5, 1, 12).astimezone()),
        ("10:15+02:00", datetime(2026, 5, 10, 8, 15, tzinfo=UTC)),
    ],
)
def test_a_date_is_iso_8601_and_local_without_a_zone(text: str, moment: datetime) -> None:
    """Down to the day, or to the fraction of a second."""
    assert parse_since(text, NOW) == moment


def test_a_time_alone_is_today() -> None:
    """In the local zone."""
    now = datetime(2026, 5, 10, 14, 30).astimezone()

    assert parse_since("10:15", now) == datetime(2026, 5, 10, 10, 15).astimezone()


@pytest.mark.parametrize("text", ["", "yesterday", "5", "10x", "m", "12:99", "2026-13-01", "10m2h", "-5m", "1e3s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The sentence names the option and shows how to write one."""
    with pytest.raises(InvalidInputError, match=r"^--since: .*write 2026-05-01T12:00"):
        parse_since(text, NOW)


@pytest.mark.parametrize("text", ["9999999999d", "99999999999999999999999w", "14:31+02:00", "2027-01-01"])
def test_a_time_that_cannot_be_is_refused(text: str) -> None:
    """Longer ago than a calendar goes, or not yet."""
    with pytest.raises(InvalidInputError, match=r"calendar|future"):
        parse_since(text, NOW)


@given(st.data())
def test_the_search_finds_the_first_event_at_or_after_a_moment(data: st.DataObject) -> None:
    """In any log with rising times, whatever retention took and whichever records are damaged."""
    seconds = sorted(data.draw(st.lists(st.integers(0, 20), max_size=40)))
    first = data.draw(st.integers(1, len(seconds) + 1))
    damaged = data.draw(st.sets(st.integers(1, 40), max_size=10))
    since = data.draw(st.integers(0, 21))
    asked: list[int] = []

    def fetch(after: int) -> FetchReply:
        asked.append(after)
        offset = max(after + 1, first)
        events = []
        if offset <= len(seconds) and offset not in damaged:
            events = [Record(offset, "a.", seconds[offset - 1] * 10**9, msgspec.Raw(b""))]
        return FetchReply(epoch=1, first=first, head=len(seconds), next=min(offset, len(seconds)), events=events)

    found = offset_before(datetime.fromtimestamp(since, UTC), first, len(seconds), fetch)

    readable = [offset for offset in range(first, len(seconds) + 1) if offset not in damaged]
    assert [one for one in readable if one > found] == [one for one in readable if seconds[one - 1] >= since]
    assert len(asked) <= 8 + 7 * len(damaged)


def test_a_day_before_the_calendar_begins_is_no_time() -> None:
    """Midnight of the year 1 in a zone east of Greenwich is in the year 0."""
    with pytest.raises(InvalidInputError, match=r"^--since: "):
        parse_since("0001-01-01", NOW)


@pytest.mark.parametrize("next_", [0, 2])
def test_a_page_without_an_event_is_passed_over_and_one_without_progress_ends(next_: int) -> None:
    """A publisher that answers nonsense costs one request for each step."""
    asked: list[int] = []

    def fetch(after: int) -> FetchReply:
        asked.append(after)
        return FetchReply(epoch=1, first=1, head=2, next=next_, events=[])

    assert offset_before(datetime(2026, 5, 1, tzinfo=UTC), 1, 2, fetch) == 0
    assert asked == [1, 0]
