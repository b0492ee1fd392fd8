"""Pictures that other runners have made: fetched from the cluster when somebody asks, and kept for a while.

<root>/.cluster/<2 hex>/<sha256>.<media type, percent-encoded>
"""

import asyncio
import logging
import os
import secrets
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from bus.cluster import pictures
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from bus.protocol.control import ControlError
from bus.protocol.topics import TopicError, decode_token, encode_token
from bus.transport.steps import Steps, in_thread, wait
from pipeline_runner.cluster.link import Link
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.outputs.index import Copy

FOLDER: Final = ".cluster"
KEPT_BYTES: Final = 2 << 30  # beyond which those go that nobody has asked for longest
LEFT: Final = 0.9  # of them, once some have gone
OCTETS: Final = "application/octet-stream"
logger = logging.getLogger(__name__)


class Elsewhere:
    """A cache in the output folder. All but the fetching belongs to the loop's thread."""

    def __init__(self, link: Link, outputs: Outputs) -> None:
        """Use a folder below the output folder; what was being fetched at the last stop goes."""
        self._link, self._outputs = link, outputs
        self._root = root = outputs.root
        self._fetching: dict[str, Future[str | None]] = {}
        self._bytes: int | None = None  # of all files; None until they were counted, which may take seconds
        for path in (root / FOLDER).glob("*/.*"):
            path.unlink(missing_ok=True)

    def find(self, sha256: str) -> Steps[list[Copy]]:
        """Return the file with a picture of another runner, none if the cluster does not have it.

        Raises:
            ControlError: it cannot be asked now, or has it damaged.
        """
        path = self._kept(sha256)
        if path is None:
            if not self._link.is_connected:
                raise ControlError("unavailable", f"{sha256} is not here, and the cluster does not answer; ask again")
            try:
                path = yield from self._fetched(sha256)
            except (ClusterError, pictures.DamagedPictureError) as error:
                raise ControlError("unavailable", f"{sha256} cannot be fetched from the cluster: {error}") from None
        if path is None:
            return []
        with suppress(OSError):  # decoded in a thread, as it may be large; a sweep may have taken it meanwhile
            yield from wait(in_thread(partial(self._outputs.add_thumbnail, path, sha256), "thumbnail"))
        return [Copy(path, _media_type(path))]

    def _kept(self, sha256: str) -> str | None:
        found = next((self._root / FOLDER / sha256[:2]).glob(f"{sha256}.*"), None)
        if found is None:
            return None
        with suppress(OSError):
            os.utime(found)  # the newest are kept
        return found.relative_to(self._root).as_posix()

    def _fetched(self, sha256: str) -> Steps[str | None]:
        """Fetch a picture, once for all who ask for it at the same time."""
        future = self._fetching.get(sha256)
        if future:
            return (yield from wait(future))
        future = self._fetching[sha256] = self._link.connection.submit(asked(self._fetch(sha256)))
        try:
            return (yield from wait(future))
        finally:
            del self._fetching[sha256]

    async def _fetch(self, sha256: str) -> str | None:
        """Write a picture to its file, which is whole or not there; return its path. In the connection's thread."""
        js = self._link.connection.js
        picture = await pictures.find(js, sha256)
        if picture is None:
            return None
        folder = self._root / FOLDER / sha256[:2]
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{sha256}.{encode_token(picture.media_type or OCTETS)}"
        temporary = folder / f".{sha256}.{secrets.token_hex(4)}"
        try:
            with temporary.open("wb") as file:
                async for part in pictures.parts(js, picture, sha256):
                    file.write(part)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        await self._make_room(picture.bytes)
        return target.relative_to(self._root).as_posix()

    async def _make_room(self, added: int) -> None:
        """Note what was added, and let files go once there are too many bytes; other work goes on meanwhile."""
        self._bytes = None if self._bytes is None else self._bytes + added
        if self._bytes is None or self._bytes > KEPT_BYTES:
            self._bytes = await asyncio.to_thread(self._trimmed)

    def _trimmed(self) -> int:
        """Remove the files that were asked for longest ago, if there are too many bytes; return how many are left."""
        found: list[tuple[os.stat_result, Path]] = []
        for one in (self._root / FOLDER).glob("*/[!.]*"):
            with suppress(FileNotFoundError):  # a sweep may have taken it
                found.append((one.stat(), one))
        size = sum(status.st_size for status, _ in found)
        if size <= KEPT_BYTES:
            return size
        found.sort(key=lambda pair: pair[0].st_mtime_ns)
        for status, path in found[:-1]:  # the newest is what somebody asks for now
            if size <= LEFT * KEPT_BYTES:
                break
            path.unlink(missing_ok=True)
            size -= status.st_size
        logger.info("pictures of other runners were removed that nobody has asked for lately")
        return size


def _media_type(path: str) -> str:
    try:
        return decode_token(path.rpartition("/")[2].partition(".")[2])
    except TopicError:
        return OCTETS
