"""Whether files are still what was written: results by their hash, thumbnails by a checksum behind their end."""

import hashlib
import os
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Final

from pipeline_runner.outputs import safe_paths

CHECKED_BYTES: Final = 16 << 20  # of a file: hashing larger ones would block the loop; who fetches them compares
KNOWN: Final = 10_000  # files whose content was compared, until they change
_MARK: Final = b"crc32"
_SEAL_BYTES: Final = len(_MARK) + 4

Stat = tuple[int, int, int, int]


class Intact:
    """Compares files with their hash, once for each version of a file."""

    def __init__(self, root: Path) -> None:
        """Know none of the files in the output folder."""
        self._root = root
        self._known: OrderedDict[tuple[str, Stat], bool] = OrderedDict()

    def is_intact(self, path: str, sha256: str) -> bool:
        """Return whether a file has the content of its hash, True also if it is too large to be read for that.

        Raises:
            OSError: as for `safe_paths.read_part`.
        """
        key = path, _version(safe_paths.look_at(self._root, path))
        if key not in self._known:
            part = safe_paths.read_part(self._root, path, 0, CHECKED_BYTES)
            intact = part.size > CHECKED_BYTES or hashlib.sha256(part.data).hexdigest() == sha256
            self._known[key] = intact
            if len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return self._known[key]


def _version(found: os.stat_result) -> Stat:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def sealed(data: bytes) -> bytes:
    """Return a thumbnail with a checksum behind it, which no decoder looks at; an empty one stays empty."""
    return data + _MARK + zlib.crc32(data).to_bytes(4, "big") if data else data


def is_broken(data: bytes) -> bool:
    """Return whether a thumbnail is not what was written; of one of an earlier version, without a checksum, False."""
    return data[-_SEAL_BYTES:-4] == _MARK and unsealed(data) is None


def unsealed(data: bytes) -> bytes | None:
    """Return a thumbnail without its checksum, None if it has none or a wrong one."""
    if not data:
        return data
    inner, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    return inner if inner and seal == _MARK + zlib.crc32(inner).to_bytes(4, "big") else None
