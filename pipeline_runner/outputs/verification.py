"""Compares the output folder with its index, and every result with its hash; it changes nothing."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from bus.eventlog import sql
from bus.eventlog.verification import Finding
from pipeline_runner.outputs import safe_paths
from pipeline_runner.outputs.files import PART_BYTES, sidecar_of, sidecar_path, thumbnail_path
from pipeline_runner.outputs.intact import is_broken
from pipeline_runner.outputs.thumbnails import MOST_BYTES
from pipeline_runner.queue.jobs import NormalizedJobRecord

SQL: Final = sql.load("pipeline_runner.outputs", "verification.sql")
SIDECAR_BYTES: Final = 16 << 20
_RESULT: Final = re.compile(r"([0-9a-f]{64})\.(?!.*\.json$)[^.]+")
_HASH: Final = re.compile("[0-9a-f]{64}")
_decode: Final = msgspec.msgpack.Decoder(NormalizedJobRecord).decode
AGAIN: Final = (
    "restore the file from a backup, or run its settings as a new job (`variantbus job show ID` prints them): if that "
    "makes the same picture, it is shown instead"
)


def verify(db: sqlite3.Connection, root: Path) -> Iterator[Finding]:
    """Yield results that are missing or changed, and sidecars that cannot be read; `db` is the runner's."""
    wrong: dict[str, str | None] = {}
    for row in db.execute(SQL["select_outputs"]):
        if not _makes_sense(*row):
            continue  # its checksum has told
        sha256, path, job_id = row
        if path not in wrong:
            wrong[path] = _wrong_with(root, path, sha256)
            if text := wrong[path]:
                yield Finding(f"{root.name}/{path}", f"{text}; the job {job_id} made it", AGAIN)
        sidecar = sidecar_path(path, sha256, job_id)
        if text := _wrong_with_sidecar(root, sidecar, sha256, _origins(db, job_id, sha256)):
            yield Finding(f"{root.name}/{sidecar}", text, "only what it says of the picture's origin is lost")
        small = thumbnail_path(sha256)
        if small not in wrong and _is_broken(root, small):
            wrong[small] = "is damaged"
            yield Finding(f"{root.name}/{small}", "is damaged", "nothing: it is made anew when it is asked for")


def known(db: sqlite3.Connection) -> int:
    """Return how many files of results the index knows."""
    return len({path for _, path, _ in db.execute(SQL["select_outputs"])})


def unowned(db: sqlite3.Connection, root: Path) -> int:
    """Return how many files are named like results of which the index knows nothing, such as those of a job cut off."""
    known = {path for _, path, _ in db.execute(SQL["select_outputs"])}
    found = (
        path
        for path in root.glob("*/*/*")
        if _RESULT.fullmatch(path.name) and not path.parent.parent.name.startswith(".")
    )
    return sum(path.relative_to(root).as_posix() not in known for path in found)


def _makes_sense(sha256: object, path: object, job_id: object) -> bool:
    """Return whether a row of the index can be looked up; a damaged one may hold anything."""
    texts = isinstance(path, str) and isinstance(job_id, str) and "\0" not in path + job_id
    return texts and isinstance(sha256, str) and _HASH.fullmatch(sha256) is not None


def _wrong_with(root: Path, path: str, sha256: str) -> str | None:
    """Return what is wrong with a result, None if it is what was written."""
    digest, offset = hashlib.sha256(), 0
    try:
        while part := safe_paths.read_part(root, path, offset, PART_BYTES).data:
            digest.update(part)
            offset += len(part)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if digest.hexdigest() == sha256 else "is not what was written: its hash is another one"


def _is_broken(root: Path, path: str) -> bool:
    try:
        return is_broken(safe_paths.read_part(root, path, 0, MOST_BYTES).data)
    except OSError:
        return False  # not every result has one


def _origins(db: sqlite3.Connection, job_id: str, sha256: str) -> list[object]:
    """Return what the sidecar of a result may say: a job may have several files of one content; nothing if unknown.

    Where scorers were still asked when the runner ended, a later attempt measures what an earlier one has made.
    """
    row = db.execute(SQL["select_job"], (job_id,)).fetchone()
    try:
        job = _decode(row[0]) if row else None
    except (msgspec.DecodeError, TypeError):
        return []  # the row is named as damaged
    images = job.result.images if job and job.result and not job.result.reused_from else ()
    if job is None:
        return []
    makers = [replace(job, attempt=number) for number in range(1, job.attempt)] if job.score else []
    found = [image for image in images if image.sha256 == sha256]
    return [json.loads(sidecar_of(maker, image)) for maker in (*makers, job) for image in found]


def _wrong_with_sidecar(root: Path, path: str, sha256: str, origins: list[object]) -> str | None:
    """Return what is wrong with a sidecar; that of a job which took over the result of another is not there."""
    try:
        content = json.loads(safe_paths.read_part(root, path, 0, SIDECAR_BYTES).data)
    except FileNotFoundError:
        return None if any((root / path).parent.glob(f"{sha256}.*.json")) else "is missing"
    except (OSError, ValueError, RecursionError) as error:
        return f"cannot be read: {error}"
    return "is not what was written: its job says something else" if origins and content not in origins else None
