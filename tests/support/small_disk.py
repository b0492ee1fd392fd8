"""A disk of its own for a data folder, which can be filled to its last byte."""

import errno
import os
import subprocess
import time
from pathlib import Path
from typing import Final

FULL_SECONDS: Final = 0.5  # that it stays full: shorter than between two looks of the runner nobody would notice
MOST: Final = 1 << 30  # bytes; only what is used takes memory
LEAST: Final = 4096  # bytes of the last pieces that still fit


class SmallDisk:
    """A file system in memory at a folder; without the right to mount one it is the folder that it was."""

    def __init__(self, folder: Path, size: int = MOST) -> None:
        """Mount it, with so many bytes; `reason` says why not, if it could not be."""
        self._folder, self._ballast = folder, folder / "ballast"
        folder.mkdir()
        self._filled_at = 0.0
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.reason = done.stderr.strip() if done.returncode else ""
        except FileNotFoundError as error:
            self.reason = str(error)

    def fill(self, left: int = 0) -> None:
        """Leave room for so many bytes, or for none at all."""
        if self.reason:
            return
        with self._ballast.open("ab") as file:
            size = MOST
            while size >= LEAST:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
            file.truncate(max(0, file.seek(0, os.SEEK_END) - left))
        self._filled_at = time.monotonic()

    def free(self) -> None:
        """Make room again, once it was full for a while."""
        time.sleep(max(0.0, self._filled_at + FULL_SECONDS - time.monotonic()))
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if not self.reason:
            subprocess.run(["umount", "--lazy", str(self._folder)], check=True)  # noqa: S607 - where it is differs
