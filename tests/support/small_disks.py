"""File systems of a few MiB, so that a full disk is a real one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a file system of some MiB; skip the test where that is not allowed."""
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={mib}m", "tmpfs"]
    done = mount and subprocess.run([mount, *options, folder], check=False, timeout=10)
    if not done or done.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True, timeout=10)  # noqa: S607 - where `mount` is


def fill(folder: Path, left: int) -> Path:
    """Fill a disk up to so many bytes; return the file that does."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(max(0, shutil.disk_usage(folder).free - left)))
    return ballast
