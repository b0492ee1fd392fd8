"""Every relative link and every path in the documentation leads to a file."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES: Final = [
    path
    for folder in ("bus", "pipeline_runner", "learning_service", "variantbus")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
FOLDERS: Final = "bus|pipeline_runner|learning_service|variantbus|tests|benchmarks|examples|docs"
PATH: Final = re.compile(rf"(?:{FOLDERS})/[\w./-]*|[\w./-]+\.(?:py|md|sql|jinja)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """A reader who follows a link in a checkout finds the page or picture."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for target in targets:
        path = target.partition("#")[0]
        if path and not re.match(r"\w+:", path):
            assert (page.parent / path).exists(), target


@pytest.mark.parametrize("page", PAGES[:2] + PAGES[3:], ids=lambda page: page.name)  # the changelog names old ones too
def test_every_path_in_backticks_exists(page: Path) -> None:
    """A path is written from the root of the repository; of names alone, only modules and SQL are taken for one."""
    for name in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
        if name != "__init__.py" and PATH.fullmatch(name):
            assert (ROOT / name).exists(), name


def test_the_index_lists_every_page() -> None:
    """No page of docs/ is hidden."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name == "index.md" or f"({path.name})" in index, path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_method_in_backticks_exists(page: Path) -> None:
    """A page that says `Log.transaction` means a class of ours that has this method."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    classes = set(re.findall(r"^class (\w+)", code, re.MULTILINE))
    for name, method in re.findall(r"`([A-Z]\w+)\.(\w+)(?:\(\))?`", page.read_text(encoding="utf-8")):
        if name in classes:
            assert re.search(rf"^    (?:async )?(?:def )?{method}\b", code, re.MULTILINE), f"{name}.{method}"
