"""How `tail` and `top` look on a terminal. Needs the extra `cli` (rich), which honours NO_COLOR."""

from typing import Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bus.console.table import Column, Table
from bus.console.tail import columns
from bus.console.top import Snapshot, connection_text, size_text
from bus.subscriber.delivery import Delivery

IDLE_SECONDS: Final = 10.0  # from here on a row is dim
TOPIC_STYLES: Final = {"job": "blue", "variant": "cyan", "experiment": "magenta", "event": "red"}
WORD_STYLES: Final = {
    "completed": "green",
    "succeeded": "green",
    "running": "cyan",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "magenta",
}
HEADLINES: Final = 2  # lines of the screen above the rows


def print_event(console: Console, delivery: Delivery) -> None:
    """Print an event as one line, coloured by its topic and its content."""
    clock, offset, topic, summary = columns(delivery)
    line = Text.assemble((f"{clock} {offset} ", "dim"), (topic, topic_style(topic)), " ", summary)
    for word, style in WORD_STYLES.items():
        line.highlight_words([f" {word}"], style)
    console.print(line, soft_wrap=True)


def topic_style(topic: str) -> str:
    """Choose the colour of a topic by its first token."""
    return TOPIC_STYLES.get(topic.partition(".")[0], "")


def render(snapshot: Snapshot, height: int) -> RenderableType:
    """Draw the connections and the table of rates, the busiest first; in a low terminal as many rows as fit."""
    rows = max(1, height - HEADLINES - len(snapshot.publishers))
    busiest = sorted(snapshot.topics, key=lambda rate: (-rate.mean_per_second, rate.topic))[:rows]
    numbers = [Column(name, right=True) for name in ("1 s", "10 s", "bytes/s", "count", "last")]
    table = Table(Column("topic", wraps=True), *numbers)
    for rate in busiest:
        idle = rate.idle_seconds >= IDLE_SECONDS
        table.add(
            Text(rate.topic, style="" if idle else topic_style(rate.topic)),
            f"{rate.per_second:,}/s",
            f"{rate.mean_per_second:,.1f}/s",
            size_text(rate.bytes_per_second),
            f"{rate.count:,}",
            f"{rate.idle_seconds:.0f} s ago",
            style="dim" if idle else "",
        )
    connections = [
        Text(f"{state.address} {connection_text(state)}", style="dim" if state.ready and not state.lag else "yellow")
        for state in snapshot.publishers
    ]
    return Group(*connections, table if busiest else Text("nothing yet", style="dim"))
