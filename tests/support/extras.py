"""A Python in which nothing is installed but variantbus with some of its extras, as far as imports can tell."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tests.support.workspace import ROOT

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TOOLS: Final = {"pip", "setuptools", "wheel", "variantbus"}
HIDING: Final = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {names!r}


class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


def only_with(folder: Path, *extras: str) -> dict[str, str]:
    """Return the variables for such a Python; its folder is made."""
    kept = {_plain(name) for name in (*TOOLS, *_installed_with(extras))}
    hidden = {
        module
        for module, distributions in metadata.packages_distributions().items()
        if not kept & {_plain(one) for one in distributions}
    }
    assert "click" in hidden or extras
    home = folder / ("with-" + "-".join(extras))
    home.mkdir(exist_ok=True)
    (home / "sitecustomize.py").write_text(HIDING.format(names=hidden), encoding="utf-8")
    return {"PYTHONPATH": str(home)}


def _installed_with(extras: Iterable[str]) -> set[str]:
    """Return the distributions that pip would install."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in PROJECT["dependencies"]]
    waiting += [Requirement(f"variantbus[{','.join(extras)}]")] if extras else []
    while waiting:
        one = waiting.pop()
        if one.name == "variantbus":
            waiting += [Requirement(text) for extra in one.extras for text in PROJECT["optional-dependencies"][extra]]
        elif one.name not in found:
            found.add(one.name)
            waiting += _needed_by(one)
    return found


def _needed_by(requirement: Requirement) -> Iterator[Requirement]:
    for text in metadata.requires(requirement.name) or ():
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": one}) for one in ("", *requirement.extras)):
            yield needed


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
