"""Results by their hash, over the control socket: nothing is read from the runner's folder."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bus.contracts.jobs import PipelinesReply
from bus.contracts.outputs import OutputParams, OutputReply
from bus.protocol.control import ControlError
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.reports.text import Beginning

PART_SECONDS: Final = 10.0  # for one part of about 1 MiB


def fetch_output(runner: str, sha256: str, keys: Keys | None, *, thumbnail: bool = False) -> Iterator[bytes]:
    """Yield the parts of a result, or of its thumbnail, as they arrive.

    Raises:
        ControlError: the runner does not have it, or (after the last part) its content does not match the hash.
    """
    offset, digest = 0, hashlib.sha256()
    while True:
        params = OutputParams(sha256=sha256, thumbnail=thumbnail, offset=offset)
        reply = request(runner, "output", params, OutputReply, PART_SECONDS, keys=keys)
        digest.update(reply.data)
        offset += len(reply.data)
        yield reply.data
        if offset >= reply.size or not reply.data:
            break
    if offset != reply.size or not (thumbnail or digest.hexdigest() == sha256):
        raise ControlError("internal", f"{sha256}: the content does not match its hash; check the runner's disk")


class Opened(NamedTuple):
    """A result from some byte on."""

    media_type: str
    size: int  # of all of it
    parts: Iterator[bytes]


def open_output(runner: str, sha256: str, keys: Keys | None, start: int = 0) -> Opened:
    """Return a result from a byte on; its parts are fetched as they are taken.

    Raises:
        ControlError: the runner does not have it.
    """

    def part(offset: int) -> OutputReply:
        params = OutputParams(sha256=sha256, offset=offset)
        return request(runner, "output", params, OutputReply, PART_SECONDS, keys=keys)

    def parts() -> Iterator[bytes]:
        offset, data = start, first.data
        while data:
            yield data
            offset += len(data)
            data = part(offset).data if offset < first.size else b""

    first = part(start)
    return Opened(first.media_type, first.size, parts())


def fetch_beginning(runner: str, sha256: str, keys: Keys | None) -> Beginning | None:
    """Return how a result begins, up to about 1 MiB of it; None if the runner does not have it."""
    try:
        reply = request(runner, "output", OutputParams(sha256=sha256), OutputReply, PART_SECONDS, keys=keys)
    except ControlError as error:
        if error.code != "not_found":
            raise
        return None
    return Beginning(reply.size, reply.data)


def fetch_picture(runner: str, sha256: str, keys: Keys | None, *, whole: bool = True) -> bytes | None:
    """Return a picture for a screen, small if possible; None if the runner does not have it.

    Without `whole` it is a small one or none, as of a video, which may be large.
    """
    for thumbnail in (True, False) if whole else (True,):
        try:
            return b"".join(fetch_output(runner, sha256, keys, thumbnail=thumbnail))
        except ControlError as error:
            if error.code != "not_found":
                raise
    return None


def outputs_of(runner: str, keys: Keys | None = None) -> Path:
    """Return the folder of the pictures, from the runner on this machine."""
    return Path(request(runner, "pipelines", {}, PipelinesReply, keys=keys).outputs)
