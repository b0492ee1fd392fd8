"""Foreign text on a terminal."""

from typing import Final

SHOWN: Final = 200  # characters of one text


def printable(text: str) -> str:
    """Return foreign text without characters that could control a terminal, shortened where it is long."""
    return harmless(text) if len(text) <= SHOWN else f"{harmless(text[: SHOWN - 1])}…"


def harmless(text: str) -> str:
    """Return foreign text, all of it, without characters that could control a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def last_line(text: str) -> str:
    """Return the last line that is not blank, without control characters."""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
    return printable(lines[-1]) if lines else ""
