"""How an extra is added to what is installed here; needs nothing but Python itself."""

import importlib.util
import json
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

NAME: Final = "variantbus"


def install_command(extra: str) -> str:
    """Return the command that adds an extra to what is installed here: from the checkout that is used, or the wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file():
        return f"{_pip()} {shlex.quote(f'{NAME}[{extra}]')}"
    folder = "." if root == Path.cwd() else str(root)
    return f"{_pip()} {'--editable ' * _is_editable()}{shlex.quote(f'{folder}[{extra}]')}"


def _is_editable() -> bool:
    """Return whether the checkout itself is installed, which an ordinary installation would replace by a copy."""
    try:
        origin = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return False
    return bool(origin and json.loads(origin).get("dir_info", {}).get("editable"))


def _pip() -> str:
    """Return the beginning of a command that installs into this Python; what pipx and uv have made has no pip."""
    python = shlex.quote(sys.executable)
    found = shutil.which("pip")
    if found and Path(found).parent == Path(sys.executable).parent:
        return "pip install"
    if importlib.util.find_spec("pip"):
        return f"{python} -m pip install"
    if Path(sys.prefix, "pipx_metadata.json").exists():
        return f"pipx runpip {NAME} install"
    return f"uv pip install --python {python}"
