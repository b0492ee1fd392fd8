"""What is not installed, as one sentence that says how to install it; needs nothing but Python itself."""

import importlib.util
import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Final

NAME: Final = "variantbus"
OURS: Final = ("bus", "pipeline_runner", "learning_service", NAME)
EXIT_USAGE: Final = 2


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import within the block what comes with an extra; without it the process ends with a sentence that names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        sys.stderr.write(f"Error: {missing_text(extra, missing)}\n")
        sys.exit(EXIT_USAGE)


def missing_text(extra: str, missing: str) -> str:
    """Return that a module is missing, and how the extra to which it belongs is installed."""
    return f"this needs the extra `{extra}` ({missing} is not installed): {install_command(extra)}"


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
