"""What is installed from the wheel: our packages, and nothing else at the top of somebody's site-packages."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from tests.support.helpers import TIME_FACTOR
from variantbus.cli.example import names as examples

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = {"bus", "pipeline_runner", "learning_service", "variantbus"}
NO_NETWORK: Final = ("No matching distribution found for hatchling", "Failed to establish a new connection")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the wheel as pip does, and return the names of its files; the build itself needs PyPI."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    built = subprocess.run(pip, capture_output=True, text=True, timeout=100 * TIME_FACTOR, check=False)
    if any(text in built.stderr for text in NO_NETWORK):
        pytest.skip("pip cannot download hatchling, which builds the wheel")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("variantbus-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_only_our_packages_are_in_it(names: set[str]) -> None:
    """No tests, benchmarks or packages of the examples; the licence and the metadata are beside them."""
    tops = {name.partition("/")[0] for name in names}
    (metadata,) = (name for name in tops if name.endswith(".dist-info"))

    assert tops == {*PACKAGES, metadata}
    assert {f"{metadata}/METADATA", f"{metadata}/entry_points.txt", f"{metadata}/licenses/LICENSE"} <= names


def test_every_file_of_the_packages_is_in_it(names: set[str]) -> None:
    """Modules, SQL, pages of the dashboard and the marks of types; beside them the examples."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"}
    expected |= {f"variantbus/cli/examples/{name}" for name in examples()}
    ours = {name for name in names if name.partition("/")[0] in PACKAGES}

    assert ours == expected
