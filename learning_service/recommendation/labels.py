"""Short texts for long values, which differ wherever the values do."""

from collections.abc import Sequence
from typing import Final

CUT: Final = "…"
NEAR: Final = 8  # characters
TRIES: Final = 8  # places where lines of one label may differ; after that they are numbered


def shortened(text: str, most: int) -> str:
    """Return a text as one line of at most so many characters: its beginning and its end, if it is longer."""
    line = one_line(text)
    if len(line) <= most:
        return line
    end = len(line) - (most - 1) // 3
    return f"{_whole_words(line, most - 1 - (most - 1) // 3)}{CUT}{line[_next_word(line, end) :]}"


def one_line(text: str) -> str:
    """Return a text without line ends, control characters, and spaces in a row."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())


def labels(texts: Sequence[str], most: int) -> list[str]:
    """Return a label for each text: at most `most` characters (24 or more), and a number where nothing else differs.

    Long texts with the same beginning and end, such as prompts, get the part in which they differ.
    """
    lines = [one_line(text) for text in texts]
    found: dict[str, str] = {}
    _label({line: shortened(line, most) for line in lines}, most, found)
    seen: dict[str, dict[str, int]] = {}  # the texts of each label, numbered
    told = []
    for text, line in zip(texts, lines, strict=True):
        mine = seen.setdefault(found[line], {})
        number = mine.setdefault(text, len(mine) + 1)
        told.append(found[line] if number == 1 else f"{found[line]} ({number})")
    return told


def _label(candidates: dict[str, str], most: int, found: dict[str, str], tries: int = TRIES) -> None:
    """Take the candidates that differ; lines whose candidates are equal show the place where they differ instead."""
    groups: dict[str, list[str]] = {}
    for line, label in candidates.items():
        groups.setdefault(label, []).append(line)
    for label, group in groups.items():
        if len(group) == 1 or not tries:
            found.update(dict.fromkeys(group, label))
            continue
        place = _first_difference(min(group), max(group))
        _label({line: _from(line, place, most) for line in group}, most, found, tries - 1)


def _first_difference(line: str, other: str) -> int:
    """Return where two lines begin to differ; between the first and the last of sorted lines, all of them are equal."""
    return next((at for at, (one, two) in enumerate(zip(line, other, strict=False)) if one != two), len(line))


def _from(line: str, place: int, most: int) -> str:
    """Return the beginning of a line, and what is around a place in it, which is beyond that."""
    head = most // 3
    rest = most - head - 2
    word = line.rfind(" ", head, place) + 1
    start = word if word and place - word <= rest // 2 else max(head, place - rest // 4)
    end = "" if start + rest >= len(line) else CUT
    return f"{_whole_words(line, head)}{CUT}{line[start : start + rest].strip()}{end}"


def _whole_words(line: str, end: int) -> str:
    """Return the beginning of a line, without a word that is cut, if there is a space near."""
    space = line.rfind(" ", 0, end + 1)
    return line[: space if space >= end - NEAR else end].rstrip()


def _next_word(line: str, start: int) -> int:
    """Return where the next word begins, if that is near."""
    space = line.find(" ", start - 1, start + NEAR)
    return start if space < 0 else space + 1
