"""Rates by topic, with a clock that the test moves; and how they look."""

from io import StringIO

import msgspec
from rich.console import Console

from bus.console import rates as module
from bus.console.rates import Rates
from bus.console.screen import print_event, render
from bus.console.top import Snapshot, as_json, as_lines, connection_text, size_text
from bus.contracts.messages import encode_body
from bus.subscriber.delivery import Delivery
from bus.subscriber.source import SourceState
from tests.support.helpers import job


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.25

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_rates_are_of_the_whole_seconds_that_are_over() -> None:
    """The second that runs is not counted yet, so that a rate does not rise from 0 in every second."""
    clock = Clock()
    rates = Rates(clock)
    for _ in range(3):
        rates.take("job.completed.e.0.", 100)
    (rate,) = rates.rates()
    assert (rate.topic, rate.count, rate.per_second, rate.mean_per_second) == ("job.completed.", 3, 0, 0)

    clock.now += 1
    (rate,) = rates.rates()
    assert (rate.per_second, rate.mean_per_second, rate.bytes_per_second, rate.idle_seconds) == (3, 3, 300, 1)

    clock.now += 1
    rates.take("job.completed.", 50)
    (rate,) = rates.rates()
    assert (rate.count, rate.per_second, rate.mean_per_second, rate.idle_seconds) == (4, 0, 1.5, 0)


def test_the_mean_is_over_ten_seconds_and_forgets_what_is_older() -> None:
    """A burst leaves it after ten seconds; the count stays."""
    clock = Clock()
    rates = Rates(clock)
    for _ in range(60):
        rates.take("a.", 1)
        clock.now += 0.5
    (steady,) = rates.rates()
    assert (steady.per_second, steady.mean_per_second) == (2, 2)

    clock.now += 5
    (slowing,) = rates.rates()
    assert (slowing.per_second, slowing.mean_per_second) == (0, 1)
    clock.now += 100
    (idle,) = rates.rates()
    assert (idle.mean_per_second, idle.bytes_per_second, idle.count) == (0, 0, 60)


def test_kinds_are_the_first_two_tokens_and_bounded() -> None:
    """Topics that nobody bounds are counted together beyond a limit."""
    rates = Rates(Clock())
    for topic in ("a.", "a.b.", "a.b.c.", "a.b.c.d.", "ab.c."):
        rates.take(topic, 1)
    assert {rate.topic: rate.count for rate in rates.rates()} == {"a.": 1, "a.b.": 3, "ab.c.": 1}

    for number in range(2 * module.KEYS_LIMIT):
        rates.take(f"x.{number}.", 1)
    found = {rate.topic: rate.count for rate in rates.rates()}
    assert len(found) == module.KEYS_LIMIT + 1
    assert found[module.OTHERS] == module.KEYS_LIMIT + 3


def snapshot() -> Snapshot:
    """Make what is seen of two publishers, one of them away."""
    clock = Clock()
    rates = Rates(clock)
    for _ in range(1500):
        rates.take("variant.status.e.1.", 1000)
    clock.now += 1
    states = [SourceState("tcp://h:1", True, 0, 0, 0), SourceState("tcp://h:2", False, 7, 3, 1)]
    return Snapshot(1_777_777_777.0, 1.0, rates.rates(), states)


def test_what_is_seen_is_written_for_programs_and_for_people() -> None:
    """One JSON object; plain lines; a table."""
    document = msgspec.json.decode(as_json(snapshot()))
    assert document["topics"][0]["per_second"] == 1500
    assert [one["ready"] for one in document["publishers"]] == [True, False]

    line, trouble = as_lines(snapshot())
    assert "variant.status. 1500/s, 1500.0/s over 10 s, 1500 in all, 1.5 MB/s, last 1 s ago" in line
    assert as_lines(Snapshot(1.0, 1.0, [], []))[0].endswith(" no event yet"), "silence would look like a fault"
    assert trouble.endswith("tcp://h:2 not connected, 7 behind, 3 fetched again, 1 malformed")

    console = Console(file=StringIO(), width=100)
    console.print(render(snapshot(), 20))
    table = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    assert "1,500/s" in table
    assert "tcp://h:2 not connected" in table
    console.print(render(Snapshot(1.0, 1.0, [], []), 20))


def test_sizes_and_connections_are_written_shortly() -> None:
    """In the unit that suits the size; nothing about what is well."""
    assert [size_text(size) for size in (0, 999, 1500, 123_456, 5e6, 7.25e9)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "123 kB",
        "5.0 MB",
        "7.2 GB",
    ]
    assert connection_text(SourceState("tcp://h:1", True, 0, 0, 0)) == "connected"


def test_an_event_has_colours_on_a_terminal_and_none_with_no_color() -> None:
    """And nothing in it can act on the terminal."""
    body = msgspec.Raw(encode_body(job("evil\x1b[2J[bold]")))
    event = Delivery("tcp://h:1", "", 9, 7, "job.queued.", 0, body)
    texts = []
    for no_color in (False, True):
        file = StringIO()
        print_event(Console(file=file, force_terminal=True, color_system="standard", no_color=no_color), event)
        texts.append(file.getvalue())

    assert "\x1b[34mjob.queued." in texts[0]
    assert "\x1b[34m" not in texts[1]
    for text in texts:
        assert "evil [2J[bold] attempt 1" in text
        assert text.count("\n") == 1
