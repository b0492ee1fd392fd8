"""The result as a picture for the README: bars for each measurement, ours beside the peers', as plain SVG."""

from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.results import Result, number
from benchmarks.systems import OURS, SYSTEMS

SHOWN: Final = {
    "chain-throughput": "Whole chain, as fast as it goes",
    "latency-p50": "Delay of single events, median",
    "latency-p99": "Delay of single events, 99th percentile",
    "catch-up-subscriber": "A new subscriber reads the log from its beginning",
    "fan-out-1": "Fan-out to 1 subscriber",
    "fan-out-10": "Fan-out to 10 subscribers",
    "fan-out-100": "Fan-out to 100 subscribers",
    "jobs": "Jobs, from submission to the status at a subscriber",
}
TITLES: Final = {
    OURS: "variantbus",
    "redis": "Redis Streams",
    "redis-no-state": "Redis Streams, no state kept",
    "nats": "NATS JetStream",
    "pyzmq": "plain pyzmq, proxy",
    "pyzmq-direct": "plain pyzmq, no proxy",
    "zenoh": "Zenoh advanced",
    "zenoh-file": "Zenoh advanced + SQLite",
    "celery": "Celery, Redis",
    "huey": "huey, Redis",
    "dramatiq": "dramatiq, Redis",
}
NOT_DURABLE: Final = {system.name for system in SYSTEMS.values() if not system.durable}
WIDTH: Final = 880
BAR_LEFT: Final = 230
BAR_WIDTH: Final = 400
ROW: Final = 22
HEAD: Final = 34  # of one measurement
NOTE: Final = 18  # of one line about a machine
GAP: Final = 14
GROUP_GAP: Final = 10  # between what is durable and what is not
TOP: Final = 20
STYLE: Final = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328; }
  .head { font-weight: 600; font-size: 14px; }
  .note { fill: #59636e; font-size: 12px; }
  .card { fill: #ffffff; stroke: #d1d9e0; }
  .ours { fill: #0969da; } .peer { fill: #afb8c1; } .lost { fill: none; stroke: #8c959f; stroke-dasharray: 4 3; }
  .strong { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .note { fill: #9198a1; }
    .card { fill: #0d1117; stroke: #3d444d; }
    .ours { fill: #4493f8; } .peer { fill: #656c76; } .lost { stroke: #7d8590; }
  }
"""


def picture(results: Sequence[Result]) -> str:
    """Draw what has peers; the best is not always the longest bar, so each heading says what is better."""
    shown = [result for result in results if result.name in SHOWN and result.ratios]
    parts: list[str] = []
    y = TOP
    for result in shown:
        parts.append(_group(result, y))
        y += HEAD + ROW * len(result.medians) + GROUP_GAP * any(name in NOT_DURABLE for name in result.medians) + GAP
    notes = ["Dashed: what is not durable; it is lost with a process that is killed."]
    for where in (*notes, *dict.fromkeys(map(_where, shown))):
        parts.append(f'<text class="note" x="20" y="{y + 6}">{escape(where)}</text>')
        y += NOTE
    height = y + GAP
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="Benchmark of variantbus and its peers">\n<style>{STYLE}</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>\n{body}\n</svg>\n'
    )


def _where(result: Result) -> str:
    on = result.machine
    return f"{on['cpu']}, {on['cores']} cores, Python {on['python']}, {on['date'][:10]}"


def _group(result: Result, top: int) -> str:
    medians = result.medians
    longest = max(medians.values())
    title = f"{SHOWN[result.name]} ({result.unit}, {result.better} is better)"
    lines = [f'<text class="head" x="20" y="{top + 18}">{escape(title)}</text>']
    # what outlives a killed process first, and apart from what does not
    for row, (name, median) in enumerate(sorted(medians.items(), key=lambda one: one[0] in NOT_DURABLE)):
        y = top + HEAD + row * ROW + GROUP_GAP * (name in NOT_DURABLE)
        width = max(2.0, BAR_WIDTH * median / longest)
        kind, weight = ("ours", ' class="strong"') if name == OURS else ("peer", "")
        kind = "lost" if name in NOT_DURABLE else kind
        text = number(median)
        if name in result.ratios:
            text += f"   (ours / this = {result.ratios[name]:.2f})"
        lines += [
            f'<text{weight} x="{BAR_LEFT - 12}" y="{y + 12}" text-anchor="end">{escape(TITLES[name])}</text>',
            f'<rect class="{kind}" x="{BAR_LEFT}" y="{y}" width="{width:.1f}" height="15" rx="3"/>',
            f'<text{weight} x="{BAR_LEFT + width + 8:.1f}" y="{y + 12}" xml:space="preserve">{escape(text)}</text>',
        ]
    return "\n".join(lines)
