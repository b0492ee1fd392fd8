"""Check text files for what every editor can get wrong; a hook of .pre-commit-config.yaml calls it with file names."""

import re
import sys
from pathlib import Path

TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)


def faults(text: str) -> list[str]:
    """Return what is wrong with the text of a file."""
    found = []
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        found.append("must end with exactly one newline")
    if TRAILING.search(text):
        found.append("has spaces at the end of a line")
    if CONFLICT.search(text):
        found.append("has a conflict marker")
    return found


def main(names: list[str]) -> int:
    """Print the faults of each file; return 1 if there are any."""
    lines = [f"{name}: {fault}" for name in names for fault in faults(Path(name).read_text(encoding="utf-8"))]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
