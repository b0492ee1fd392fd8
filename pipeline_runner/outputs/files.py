"""The output folder: files named by the hash of their content, each with a JSON sidecar about its origin.

<root>/<experiment>/variant-03_cfg_scale-6.5/<sha256>.png and <sha256>.<job>.json
<root>/.thumbnails/<2 hex>/<sha256>.webp, which is empty where the picture itself is small enough
"""

import hashlib
import json
import logging
import os
import re
import secrets
from pathlib import Path
from typing import Final

import msgspec

from bus.contracts.messages import ImageRef, VariantValue
from bus.protocol import topics
from pipeline_runner.outputs.images import ImageKind, NoImageError, with_parameters
from pipeline_runner.outputs.thumbnails import thumbnail
from pipeline_runner.queue.jobs import NormalizedJobRecord

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
UNFINISHED: Final = re.compile(r"\.[0-9a-f]{64}\..*\.[0-9a-f]{8}")  # see `write_atomically`
NAME_LIMIT: Final = 60
SUFFIX_LIMIT: Final = 20
ID_LIMIT: Final = 120  # characters of a folder's name; file systems allow 255 bytes
THUMBNAILS: Final = ".thumbnails"  # no experiment's folder can have a name that begins so
logger = logging.getLogger(__name__)


class Outputs:
    """Writes results so that a file is either whole or not there, whenever the runner dies."""

    def __init__(self, root: Path) -> None:
        """Use a folder; it is made when the first file is written."""
        self.root = root

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
        self, job: NormalizedJobRecord, data: bytes, kind: ImageKind, *, seed: int | None, parameters: str = ""
    ) -> ImageRef:
        """Write a picture as a server gave it; a PNG gets the text chunk `parameters` unless it has one."""
        return self.save(
            job,
            with_parameters(data, kind, parameters),
            suffix=kind.suffix,
            media_type=kind.media_type,
            size=(kind.width, kind.height),
            seed=seed,
        )

    def save(
        self,
        job: NormalizedJobRecord,
        data: bytes,
        *,
        suffix: str,
        media_type: str,
        size: tuple[int, int],
        seed: int | None,
    ) -> ImageRef:
        """Write a result and its sidecar; return the reference for messages.

        `size` is width and height in pixels, (0, 0) for what is no image.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        folder = self.root / job_folder(job)
        path = folder / f"{sha256}{_UNSAFE.sub('-', suffix)[:SUFFIX_LIMIT]}"
        image = ImageRef(
            sha256=sha256,
            path=path.relative_to(self.root).as_posix(),
            width=size[0],
            height=size[1],
            seed=seed,
            media_type=media_type,
        )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        write_atomically(self.root / sidecar_path(image.path, sha256, job.job_id), _sidecar(job, image))
        if media_type.startswith("image/"):
            self._save_thumbnail(sha256, data)
        return image

    def _save_thumbnail(self, sha256: str, data: bytes) -> None:
        """Write the thumbnail of a picture; a file that cannot be decoded has none, which does not fail the job."""
        path = self.root / thumbnail_path(sha256)
        try:
            if path.exists():
                path.touch()  # so that it is not removed as an old one before the job has ended
                return
            small = thumbnail(data)
            path.parent.mkdir(parents=True, exist_ok=True)
            if small:
                write_atomically(path, small)
            else:
                path.touch()
        except NoImageError as error:
            logger.info("no thumbnail of %s: %s", sha256, error)
        except OSError as error:
            logger.warning("no thumbnail of %s: %s", sha256, error)


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


def _sidecar(job: NormalizedJobRecord, image: ImageRef) -> bytes:
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


def _text(value: VariantValue) -> str:
    return "-".join(f"{key}-{part}" for key, part in value.items()) if isinstance(value, dict) else str(value)


def _name(text: str) -> str:
    return _UNSAFE.sub("-", text)[:NAME_LIMIT]
