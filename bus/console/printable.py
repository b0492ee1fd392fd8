"""Foreign text on a terminal."""

from typing import Final

SHOWN: Final = 200  # characters of one text


def printable(text: str) -> str:
    """Return foreign text without characters that could control a terminal, shortened where it is long."""
    shown = "".join(char if char.isprintable() else " " for char in text[: SHOWN + 1])
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"


def last_line(text: str) -> str:
    """Return the last line that is not blank, without control characters."""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return printable(lines[-1]) if lines else ""
