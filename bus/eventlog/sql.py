"""Named SQL: each store keeps its statements in one `.sql` file, a name and a sentence before each.

-- insert_record: append one record.
INSERT INTO ...;
"""

import re
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- (?P<name>[a-z][a-z0-9_]*): ", re.MULTILINE)


def load(package: str, file: str) -> dict[str, str]:
    """Read a statement file of a package: statement name → SQL, comments included."""
    text = (resources.files(package) / file).read_text(encoding="utf-8")
    starts = list(_NAME.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return {match["name"]: text[match.start() : end].strip() for match, end in zip(starts, ends, strict=True)}
