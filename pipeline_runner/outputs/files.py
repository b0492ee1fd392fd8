"""The output folder: files named by the hash of their content, each with a JSON sidecar about its origin.

<root>/<experiment>/variant-03_cfg_scale-6.5/<sha256>.png and <sha256>.<job>.json
<root>/.thumbnails/<2 hex>/<sha256>.webp, which is empty where the picture itself is small enough
"""

import errno
import hashlib
import io
import json
import logging
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from bus.contracts.fields import VariantValue
from bus.contracts.messages import ImageRef
from bus.eventlog.disk_faults import PROBE, disk_fault, probe
from bus.eventlog.errors import DiskError, StorageError
from bus.protocol import topics
from pipeline_runner.outputs import safe_paths
from pipeline_runner.outputs.containers import Size
from pipeline_runner.outputs.images import ImageKind, with_parameters
from pipeline_runner.outputs.intact import sealed
from pipeline_runner.outputs.looks import PICTURE_BYTES, Looks, looks_of, looks_of_picture
from pipeline_runner.outputs.thumbnails import look_at
from pipeline_runner.queue.jobs import NormalizedJobRecord

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
UNFINISHED: Final = re.compile(r"\.[0-9a-f]{64}\..*\.[0-9a-f]{8}")  # see `write_atomically`
NAME_LIMIT: Final = 60
SUFFIX_LIMIT: Final = 20
NAME_SHOWN: Final = 120  # characters of a file's own name
ID_LIMIT: Final = 120  # characters of a folder's name; file systems allow 255 bytes
THUMBNAILS: Final = ".thumbnails"  # no experiment's folder can have a name that begins so
LOW_BYTES: Final = 64 << 20  # of free space: what our logs free and take again may be all that is there
PART_BYTES: Final = 1 << 20  # of a file, in memory at a time
MOST_WARNINGS: Final = 20  # of one job; the event of its end has to hold them
logger = logging.getLogger(__name__)


class FileTooLargeError(Exception):
    """A file has more bytes than a job may make."""


class Outputs:
    """Writes results so that a file is either whole or not there, whenever the runner dies."""

    def __init__(self, root: Path) -> None:
        """Use a folder; it is made when the first file is written."""
        self.root = root
        self.full_at = self.low_at = -math.inf  # when it was last seen full or nearly full, by the monotonic clock
        self._warnings: dict[str, list[str]] = {}  # by job, until it ends

    def discard_unfinished(self, job: NormalizedJobRecord) -> None:
        """Remove partly written files of a job of a runner that died; called before any job runs.

        What cannot be removed now is found by a sweep later.
        """
        folder = self.root / job_folder(job)
        try:
            for path in folder.glob(".*"):
                if UNFINISHED.fullmatch(path.name) and path.is_file():
                    path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot remove unfinished files in %s: %s", folder, error)

    def save_image(
        self,
        job: NormalizedJobRecord,
        data: bytes,
        kind: ImageKind,
        *,
        seed: int | None,
        parameters: str = "",
        node: str | UnsetType = UNSET,
    ) -> ImageRef:
        """Write a picture as a server gave it; a PNG gets the text chunk `parameters` unless it has one."""
        return self.save(
            job,
            with_parameters(data, kind, parameters),
            suffix=kind.suffix,
            media_type=kind.media_type,
            size=(kind.width, kind.height),
            seed=seed,
            node=node,
        )

    def save(
        self,
        job: NormalizedJobRecord,
        data: bytes,
        *,
        suffix: str,
        media_type: str,
        size: Size = (0, 0),
        seed: int | None = None,
        node: str | UnsetType = UNSET,
    ) -> ImageRef:
        """Write a result and its sidecar; return the reference for messages.

        `suffix` is that of the file, such as `.txt`; `size` is width and height in pixels, (0, 0) for what is no
        image; `seed` is for people. Equal results of a job are one file.

        Raises:
            StorageError: there is no room now; the job is to run again.
            DiskError: the disk failed; the process is to end.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        looks = looks_of_picture(data, media_type) if media_type.startswith("image/") else Looks(media_type)
        told = looks._replace(media_type=media_type, size=size)
        image = msgspec.structs.replace(_reference(job, sha256, suffix, told, seed), node=node)
        with self.writing():
            (self.root / job_folder(job)).mkdir(parents=True, exist_ok=True)
            write_atomically(self.root / image.path, data)
            self._complete(job, image, looks)
        return image

    def save_file(
        self,
        job: NormalizedJobRecord,
        source: Path,
        most: int,
        *,
        seed: int | None,
        name: str,
        node: str | UnsetType = UNSET,
    ) -> tuple[ImageRef, int]:
        """Copy a file as a result, whatever its size, a part at a time; return the reference and its bytes.

        What it is, is told by its content, see `media_types`. `name` is for people.

        Raises:
            FileTooLargeError: it has more than `most` bytes.
            StorageError, DiskError: as for `save`.
        """
        with self.writing():
            return self._save_file(job, source, most, seed=seed, name=_shown_name(name), node=node)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say of an `OSError` within the `with` block whether the disk of the results is at fault, as `save` does."""
        try:
            yield
        except OSError as error:
            fault = disk_fault(error, self.root)
            if fault:
                self.full_at = time.monotonic()
                raise fault from error
            raise

    def check_room(self) -> None:
        """Check, without writing, that the disk is not full to its last bytes.

        Raises:
            StorageError: it is; nothing that was written just now can be trusted to be whole.
        """
        if self.is_full():
            raise StorageError(f"{self.root} has no room left")

    def is_full(self) -> bool:
        """Return whether the disk is full to its last bytes, by what the system says; nothing is written."""
        free, now = shutil.disk_usage(self.root).free if self.root.exists() else math.inf, time.monotonic()
        self.low_at = now if free < LOW_BYTES else self.low_at
        self.full_at = now if free < len(PROBE) else self.full_at
        return free < len(PROBE)

    def probe(self) -> StorageError | DiskError | None:
        """Return why nothing can be written now, None if something can; a lost folder is no job's fault."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = f"{self.root} cannot be used as a folder: {error.strerror}"
            return disk_fault(error, self.root) or StorageError(text)
        forbidden = StorageError(f"{self.root} cannot be written: {os.strerror(errno.EACCES)}")
        return probe(self.root) or (None if os.access(self.root, os.W_OK | os.X_OK) else forbidden)

    def _save_file(
        self,
        job: NormalizedJobRecord,
        source: Path,
        most: int,
        *,
        seed: int | None,
        name: str,
        node: str | UnsetType,
    ) -> tuple[ImageRef, int]:
        folder = self.root / job_folder(job)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{secrets.token_hex(32)}.part.{secrets.token_hex(4)}"
        try:
            sha256, size = _copy(source, temporary, most)
            looks = looks_of(temporary, size, source.name)
            image = _reference(job, sha256, source.suffix, looks, seed)
            image = msgspec.structs.replace(image, name=name, node=node)
            temporary.replace(self.root / image.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self._complete(job, image, looks)
        return image, size

    def take_warnings(self, job_id: str) -> tuple[str, ...]:
        """Return, once, what could not be read of the pictures that a job has saved."""
        found = list(dict.fromkeys(self._warnings.pop(job_id, ())))
        more = len(found) - MOST_WARNINGS
        return (*found[:MOST_WARNINGS], f"{more} more files are like these") if more > 0 else tuple(found)

    def _complete(self, job: NormalizedJobRecord, image: ImageRef, looks: Looks) -> None:
        """Write what stands beside a result: its sidecar, and its thumbnail if it has one."""
        write_atomically(self.root / sidecar_path(image.path, image.sha256, job.job_id), sidecar_of(job, image))
        doubt = looks.doubt
        if looks.thumbnail is not None:
            doubt = self._save_thumbnail(image.sha256, looks.thumbnail) or doubt
        if doubt:
            text = f"{image.path.rpartition('/')[2]}: {doubt}; the file is kept as it is"
            self._warnings.setdefault(job.job_id, []).append(text)

    def renew_thumbnail(self, path: str, sha256: str) -> bytes | None:
        """Make the thumbnail of a result anew, and return it; b"" if the result is its own, None if it can have none.

        Raises:
            OSError: the result cannot be read.
        """
        part = safe_paths.read_part(self.root, path, 0, PICTURE_BYTES)
        small = look_at(part.data).thumbnail if part.size <= PICTURE_BYTES else None
        if small is not None:
            with suppress(OSError):  # there is no room: it is made again the next time
                self._save_thumbnail(sha256, small)
        return small

    def add_thumbnail(self, path: str, sha256: str) -> None:
        """Make the thumbnail of a result of another machine, unless it is there, or can have none.

        Raises:
            OSError: the result cannot be read, or the disk is full.
        """
        file = self.root / path
        if not (self.root / thumbnail_path(sha256)).exists():
            looks = looks_of(file, file.stat().st_size, file.name)
            if looks.thumbnail is not None:
                self._save_thumbnail(sha256, looks.thumbnail)

    def _save_thumbnail(self, sha256: str, small: bytes) -> str:
        """Write a thumbnail, an empty file where the picture is its own; return why it could not be, "" if it was."""
        path = self.root / thumbnail_path(sha256)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if small:
                write_atomically(path, sealed(small))
            else:
                path.write_bytes(b"")
        except OSError as error:
            if disk_fault(error, path):
                raise
            logger.warning("no thumbnail of %s: %s", sha256, error)
            return f"it has no thumbnail: {error.strerror or error}"
        return ""


def job_folder(job: NormalizedJobRecord) -> Path:
    """Return the folder of a job's results; whatever the ids contain, it is inside the output folder."""
    context = job.learning_context
    if context is None:
        return Path("jobs") / id_name(job.job_id)
    value = _name(f"{context.variable_under_test}-{_text(context.variant_value)}")
    return Path(id_name(context.experiment_id)) / f"variant-{context.variant_index:02d}_{value}"


def id_name(text: str) -> str:
    """Return the folder name of an id: percent-encoded; a long one is cut and made unique by its hash."""
    token = topics.encode_token(text)
    if len(token) <= ID_LIMIT:
        return token
    return f"{token[:NAME_LIMIT]}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def sidecar_path(path: str, sha256: str, job_id: str) -> str:
    """Return the path of the sidecar of a result. It names the job: two of them may make the same file."""
    # behind the hash, a dot can be a dot
    return f"{path.rpartition('/')[0]}/{sha256}.{id_name(job_id).replace('%2E', '.')}.json"


def thumbnail_path(sha256: str) -> str:
    """Return the path of the thumbnail of a picture; the file need not exist."""
    return f"{THUMBNAILS}/{sha256[:2]}/{sha256}.webp"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it, and rename it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _copy(source: Path, target: Path, most: int) -> tuple[str, int]:
    """Copy a regular file, synced to disk; return its hash and its size. No link is followed, no pipe waited for."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
        while part := reader.read(PART_BYTES):
            size += len(part)
            if size > most:
                raise FileTooLargeError(source.name)
            digest.update(part)
            _write_all(writer, part)
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


def _write_all(writer: io.FileIO, part: bytes) -> None:
    """Write all of it: what is not buffered may be written in part, where a disk is nearly full."""
    left = memoryview(part)
    while left:
        left = left[writer.write(left) :]


def _reference(job: NormalizedJobRecord, sha256: str, suffix: str, looks: Looks, seed: int | None) -> ImageRef:
    path = job_folder(job) / f"{sha256}{_UNSAFE.sub('-', suffix)[:SUFFIX_LIMIT]}"
    return ImageRef(
        sha256=sha256,
        path=path.as_posix(),
        width=looks.size[0],
        height=looks.size[1],
        seed=seed,
        media_type=looks.media_type,
        duration=UNSET if looks.seconds is None else looks.seconds,
        frames=UNSET if looks.frames is None else looks.frames,
    )


def sidecar_of(job: NormalizedJobRecord, image: ImageRef) -> bytes:
    """Return what the sidecar of a result says: where it comes from."""
    content = {
        "image": image,
        "job_id": job.job_id,
        "attempt": job.attempt,
        "pipeline": job.pipeline,
        "stage": job.stage,
        "config": job.config,
        "learning_context": job.learning_context,
    }
    return json.dumps(msgspec.to_builtins(content), indent=2, ensure_ascii=False).encode() + b"\n"


def _shown_name(name: str) -> str:
    """Return a file's name as a message can hold it: any bytes may be one, and a path in folders may be long."""
    return name.encode("utf-8", "replace").decode()[-NAME_SHOWN:]


def _text(value: VariantValue) -> str:
    return "-".join(f"{key}-{part}" for key, part in value.items()) if isinstance(value, dict) else str(value)


def _name(text: str) -> str:
    return _UNSAFE.sub("-", text)[:NAME_LIMIT]
