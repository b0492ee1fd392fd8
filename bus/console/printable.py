"""Foreign text on a terminal."""


def printable(text: str) -> str:
    """Return foreign text without characters that could control a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)[:200]
