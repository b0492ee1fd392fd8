"""docs/reliability.md and the tests say the same: each fault and bad input is tested, or there is a reason."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROW: Final = re.compile(r"^\| ([FB]\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS: Final = [match[1] for match in ROW.finditer(PAGE)]
SHOWN: Final = {match[1]: match[4] for match in ROW.finditer(PAGE)}
FAULTS: Final = [*range(6, 9), 11, *range(13, 25), 30, *range(36, 48)]
REQUIRED: Final = [*(f"F{number}" for number in FAULTS), *(f"B{number}" for number in range(1, 48))]


def marked_in(path: Path) -> set[str]:
    """Return the items that the tests of a file are marked with."""
    found: set[str] = set()
    text = path.read_text(encoding="utf-8")
    if "pytest.mark.fault" not in text:  # most; each worker of a run reads all files before its first test
        return found
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
            found |= {str(ast.literal_eval(word.value)) for word in node.keywords}
    return found


MARKED: Final = {item for path in (ROOT / "tests").rglob("test_*.py") for item in marked_in(path)}


@pytest.mark.parametrize("item", sorted({*REQUIRED, *MARKED}))
def test_each_fault_and_bad_input_is_tested_or_has_its_reason(item: str) -> None:
    """A row says `tested` if and only if a test is marked with it; any other has a reason instead."""
    assert item in SHOWN, f"docs/reliability.md has no row for {item}"
    if item in MARKED:
        assert SHOWN[item] == "tested", f"{item} has tests: its row has to say `tested`"
    else:
        assert len(SHOWN[item]) > 30, f"no test is marked with {item}, and its row gives no reason"


def test_each_row_has_a_name_of_its_own() -> None:
    """Otherwise a row could say `tested` for the tests of another one."""
    assert [item for item, count in Counter(ROWS).items() if count > 1] == []


def test_the_page_names_files_that_exist() -> None:
    """What it says about where to look is so."""
    for name in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make ([\w-]+)", PAGE, re.MULTILINE):
        assert f"\n{target}: " in makefile
