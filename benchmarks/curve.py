"""Memory over time as a picture, as plain SVG: one line for each process."""

from collections.abc import Sequence
from html import escape
from math import ceil
from typing import Final

from benchmarks.picture import STYLE

WIDTH: Final = 880
HEIGHT: Final = 360
LEFT, RIGHT, TOP, BOTTOM = 60, 210, 40, 44
COLOURS: Final = ("#0969da", "#bc4c00", "#1a7f37", "#8250df")
STEPS_MIB: Final = (5, 10, 20, 50, 100, 200, 500)
LINES: Final = 6  # of the grid, at most
APART: Final = 18  # pixels between two names


def curve(samples: Sequence[tuple[float, dict[str, float]]], settled: float) -> str:
    """Draw samples of seconds and MiB of each process; what comes before `settled` seconds is shaded."""
    end = max(1.0, samples[-1][0])
    highest = max(max(one.values()) for _, one in samples)
    step = next((one for one in STEPS_MIB if highest / one <= LINES), STEPS_MIB[-1])
    top = ceil(highest / step) * step

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / end

    def y(mib: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * mib / top

    shade = f'x="{LEFT}" y="{TOP}" width="{x(settled) - LEFT:.1f}" height="{HEIGHT - TOP - BOTTOM}"'
    parts = [
        '<text class="head" x="20" y="26">Resident memory under steady load (MiB)</text>',
        f'<rect {shade} fill="#59636e" opacity="0.1"/>',
    ]
    for mib in range(0, top + 1, step):
        across = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(mib):.1f}" y2="{y(mib):.1f}"'
        parts += [
            f'<line {across} stroke="#59636e" stroke-opacity="0.25"/>',
            f'<text class="note" x="{LEFT - 8}" y="{y(mib) + 4:.1f}" text-anchor="end">{mib}</text>',
        ]
    for sixth in range(7):
        at = end * sixth / 6
        parts.append(
            f'<text class="note" x="{x(at):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{at / 60:.0f} min</text>'
        )
    last = samples[-1][1]
    below = float(HEIGHT)
    for name, colour in sorted(zip(last, COLOURS, strict=False), key=lambda pair: last[pair[0]]):
        points = " ".join(f"{x(at):.1f},{y(one[name]):.1f}" for at, one in samples)
        below = min(y(last[name]) + 4, below - APART)
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<rect x="{WIDTH - RIGHT + 8}" y="{below - 10:.1f}" width="10" height="10" rx="2" fill="{colour}"/>',
            f'<text x="{WIDTH - RIGHT + 24}" y="{below:.1f}">{escape(name)}, {last[name]:.0f} MiB</text>',
        ]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="Resident memory of each process over time">\n<style>{STYLE}</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>\n{body}\n</svg>\n'
    )
