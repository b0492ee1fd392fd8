"""What a person is told whose installation lacks something, or whose Python is too old."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

from bus.console import extras, installing
from tests.support.helpers import TIME_FACTOR

ROOT: Final = Path(__file__).parents[2]
# A Python 3.10, as far as a script can tell.
OLD_PYTHON: Final = """#!/bin/sh
shift
exec {python} -c 'import sys; sys.version_info = (3, 10, 13, "final", 0); exec(sys.argv[1])' "$@"
"""


def installed_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, editable: bool = False, pip: bool = True) -> None:
    """Pretend that the packages are in a folder, and that this Python has a pip which is called so."""
    monkeypatch.setattr(installing, "__file__", str(folder / "bus" / "console" / "installing.py"))
    monkeypatch.setattr(sys, "executable", "/env/bin/python")
    monkeypatch.setattr(shutil, "which", lambda _: "/env/bin/pip" if pip else "/usr/bin/pip")

    class Installed:
        def read_text(self, _: str) -> str:
            return json.dumps({"dir_info": {"editable": editable}})

    monkeypatch.setattr(metadata, "distribution", lambda _: Installed())


def test_in_a_checkout_the_checkout_is_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its folder, or by a dot if that is where we stand; as an editable one where it is."""
    (tmp_path / "pyproject.toml").touch()
    installed_in(tmp_path, monkeypatch)
    assert installing.install_command("all") == f"pip install '{tmp_path}[all]'"
    monkeypatch.chdir(tmp_path)
    assert installing.install_command("all") == "pip install '.[all]'"
    installed_in(tmp_path, monkeypatch, editable=True)
    assert installing.install_command("all") == "pip install --editable '.[all]'"


def test_of_a_wheel_the_name_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed says what its extras are."""
    installed_in(tmp_path, monkeypatch)

    assert installing.install_command("web") == "pip install 'variantbus[web]'"


def test_another_pip_on_the_path_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would install into another Python; environments of pipx and uv have none at all."""
    installed_in(tmp_path, monkeypatch, pip=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert installing.install_command("web") == "/env/bin/python -m pip install 'variantbus[web]'"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert installing.install_command("web") == "uv pip install --python /env/bin/python 'variantbus[web]'"
    (tmp_path / "pipx_metadata.json").touch()
    assert installing.install_command("web") == "pipx runpip variantbus install 'variantbus[web]'"


def test_a_module_of_ours_that_is_missing_is_a_fault() -> None:
    """No extra brings it."""
    with pytest.raises(ModuleNotFoundError), extras.needing("cli"):
        raise ModuleNotFoundError("no", name="bus.absent")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_refuses_an_old_python_in_one_sentence(tmp_path: Path) -> None:
    """Before it makes anything."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    old = tmp_path / "python3.10"
    old.write_text(OLD_PYTHON.format(python=sys.executable), encoding="utf-8")
    old.chmod(0o755)

    done = subprocess.run(
        ["make", "--no-print-directory", "demo", f"PYTHON={old}"],  # noqa: S607 - the make of the system
        cwd=tmp_path,
        # our own tests may be run by a make, which a make below it would notice
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=20 * TIME_FACTOR,
        check=False,
    )

    assert done.returncode == 2, done
    sentence, stop = done.stderr.splitlines()
    assert sentence == (
        f"Error: variantbus needs Python 3.11 or newer, and {old} is 3.10.13; name another one: "
        "make demo PYTHON=python3.12"
    )
    assert stop.startswith("make: ***")
    assert not (tmp_path / ".venv").exists()


def test_pip_refuses_an_old_python_in_one_sentence() -> None:
    """The backend is what pip asks first; it needs no library to answer."""
    code = f"import sys; sys.version_info = (3, 10, 13); sys.path.insert(0, {str(ROOT)!r}); import build_backend"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "Error: variantbus needs Python 3.11 or newer, and this is 3.10.13\n"
