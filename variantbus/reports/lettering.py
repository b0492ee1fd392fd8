"""Labels that fit: wrapped between words, shortened where they are too long, in a size that can be read."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from learning_service.recommendation.labels import labels, one_line
from variantbus.reports.fonts import Fonts

LARGE: Final = 19  # pixels, of labels in one line
SMALL: Final = 14  # of wrapped ones and of remarks
LINE: Final = 1.3  # height of a line, of the size of its font
LENGTHS: Final = (100, 80, 60, 40, 24)  # characters of a label: the longest that fit are taken
Measure = Callable[[str], float]


class Lettering(NamedTuple):
    """The labels of an axis, each as lines of one size."""

    lines: list[list[str]]
    size: int

    @property
    def height(self) -> int:
        """The pixels of the highest label."""
        return round(max(map(len, self.lines), default=1) * self.size * LINE)


def lettering(texts: list[str], fonts: Fonts, width: int, most_lines: int) -> Lettering:
    """Return the labels of an axis: large if each fits into one line, else small and in as many lines as allowed."""
    whole = [one_line(text) for text in texts]
    if all(fonts.length(text, LARGE) <= width for text in whole):
        return Lettering([[text] for text in whole], LARGE)
    for length in LENGTHS:
        told = labels(texts, length)
        lines = [wrapped(text, width, partial(fonts.length, size=SMALL)) for text in told]
        if max(map(len, lines)) <= most_lines:
            break
    return Lettering([one[:most_lines] for one in lines], SMALL)


def wrapped(text: str, width: int, measure: Measure) -> list[str]:
    """Return a text as lines that are not wider: broken between words, and within those that are too long."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if measure(longer) <= width:
            lines[-1] = longer
            continue
        lines += [""] * bool(lines[-1])
        for char in word:
            if lines[-1] and measure(lines[-1] + char) > width:
                lines.append("")
            lines[-1] += char
    return lines


def cut(text: str, width: int, measure: Measure) -> str:
    """Return a text in one line, shortened if it does not fit."""
    line = one_line(text)
    if measure(line) <= width:
        return line
    while line and measure(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"
