"""The pictures of a cluster: objects that are named by their hash, so who has put one need not tell anybody."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

from nats.js import JetStreamContext
from nats.js.api import Header, ObjectInfo, ObjectMetaOptions
from nats.js.errors import NotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore

from bus.cluster import names

STREAM: Final = f"OBJ_{names.PICTURES}"
PART_BYTES: Final = 128 * 1024
ONLY_THIS: Final = {Header.ROLLUP.value: "sub"}  # what was said of the picture before goes


class Picture(NamedTuple):
    """What there is of a picture: its parts are messages of a subject."""

    media_type: str
    bytes: int
    subject: str


class DamagedPictureError(Exception):
    """The content of a picture does not match its hash."""


async def put(js: JetStreamContext, sha256: str, path: Path, media_type: str) -> bool:
    """Put a file unless it is there already; return whether it was put.

    Parts of one that was cut off stay, of which nobody is told: who puts pictures may not remove any.

    Raises:
        OSError: the file cannot be read.
        APIError, TimeoutError, nats.errors.Error: the cluster does not answer.
    """
    if await find(js, sha256):
        return False
    options = ObjectMetaOptions(max_chunk_size=PART_BYTES)
    info = ObjectInfo(sha256, names.PICTURES, secrets.token_hex(11), description=media_type, options=options)
    digest, info.size, info.chunks = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while part := await asyncio.to_thread(file.read, PART_BYTES):
            await js.publish(_parts(info), part)
            digest.update(part)
            info.size += len(part)
            info.chunks += 1
    info.digest = f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}"
    about = f"$O.{names.PICTURES}.M.{base64.urlsafe_b64encode(sha256.encode()).decode()}"
    await js.publish(about, json.dumps(info.as_dict()).encode(), headers=dict(ONLY_THIS))
    return True


async def find(js: JetStreamContext, sha256: str) -> Picture | None:
    """Return what there is of a picture, None if it is not there.

    Raises:
        APIError, TimeoutError, nats.errors.Error: the cluster does not answer.
    """
    info = await _info(js, sha256)
    return Picture(info.description or "", info.size or 0, _parts(info)) if info else None


async def parts(js: JetStreamContext, picture: Picture, sha256: str) -> AsyncIterator[bytes]:
    """Yield a picture in parts. Each is asked for: a consumer that dies with its server would say nothing.

    Raises:
        DamagedPictureError: after the last part: they are not what was put.
        NotFoundError: it was removed meanwhile.
        APIError, TimeoutError, nats.errors.Error: the cluster does not answer.
    """
    digest, left, sequence = hashlib.sha256(), picture.bytes, 0
    while left > 0:
        message = await js.get_msg(STREAM, seq=sequence + 1, subject=picture.subject, next=True)
        sequence, data = message.seq or 0, message.data or b""
        left -= len(data)
        digest.update(data)
        yield data
    if digest.hexdigest() != sha256:
        raise DamagedPictureError(f"{sha256}: what the cluster has is damaged: it does not match its hash")


async def remove(js: JetStreamContext, sha256: str) -> bool:
    """Remove a picture; return whether it was there. A few bytes stay, which say that it was.

    Raises:
        APIError, TimeoutError, nats.errors.Error: the cluster does not answer; call this again then.
    """
    info = await _info(js, sha256, removed_too=True)
    if info is None:
        return False
    if info.deleted:  # perhaps by somebody who died before the parts had gone
        await js.purge_stream(STREAM, subject=_parts(info))
        return False
    await _store(js).delete(sha256)
    return True


async def _info(js: JetStreamContext, sha256: str, *, removed_too: bool = False) -> ObjectInfo | None:
    try:
        return await _store(js).get_info(sha256, show_deleted=removed_too)
    except (NotFoundError, ObjectNotFoundError):
        return None


def _store(js: JetStreamContext) -> ObjectStore:
    """Return the store without asking whether it is there, as `js.object_store` does each time."""
    return ObjectStore(name=names.PICTURES, stream=STREAM, js=js)


def _parts(info: ObjectInfo) -> str:
    return f"$O.{names.PICTURES}.C.{info.nuid}"
