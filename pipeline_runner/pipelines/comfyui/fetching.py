"""Fetching what a prompt has made: all of it into files of our own, and only then into the results."""

import mimetypes
import tempfile
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from bus.contracts.messages import ImageRef, JobResult
from bus.contracts.pipeline_specs import SEED
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.outputs.images import FORMATS, ImageKind, NoImageError, kind_of
from pipeline_runner.outputs.infotext import infotext
from pipeline_runner.outputs.media_types import HEAD_BYTES, TEXT, media_type_of
from pipeline_runner.pipelines import Cancelled
from pipeline_runner.pipelines.comfyui.history import OutputFile, OutputText
from pipeline_runner.pipelines.comfyui.results import Harvest
from pipeline_runner.pipelines.comfyui.server import ComfyServer
from pipeline_runner.pipelines.http_client import PICTURE_BYTES, AbandonedError, AnswerTooLarge
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result

_PICTURES: Final = frozenset(media_type for media_type, _ in FORMATS.values())


class GoneFiles(NamedTuple):
    """Somebody removed a file that the server still lists; its nodes have to be executed again."""

    text: str
    nodes: frozenset[str]


class Fetching:
    """Takes the results of one job from the server; a job has all of them or none."""

    def __init__(
        self, server: ComfyServer, outputs: Outputs, job: NormalizedJobRecord, most: int, cancelled: Cancelled
    ) -> None:
        """Fetch nothing yet; `most` is how many bytes the job may make."""
        self._server, self._outputs, self._job = server, outputs, job
        self._most, self._cancelled = most, cancelled

    def fetch(self, harvest: Harvest) -> JobResult | GoneFiles:
        """Return the result of a job with all its files.

        Raises:
            ServerFault: the server does not give one of them.
            StorageError, DiskError: as for `Outputs.save`.
        """
        work = self._outputs.root / ".work"
        with self._outputs.writing():
            work.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=work, prefix="fetched-", ignore_cleanup_errors=True) as folder:
                return self._fetch(harvest, Path(folder))

    def _fetch(self, harvest: Harvest, folder: Path) -> JobResult | GoneFiles:
        fetched: list[tuple[OutputFile, Path]] = []
        left = self._most
        for number, file in enumerate(one for one in harvest.outputs if isinstance(one, OutputFile)):
            path = folder / f"{number}{PurePosixPath(file.filename).suffix[:20]}"
            try:
                is_there = self._server.view(file, path, left, self._cancelled)
            except AbandonedError:
                return cancelled_result()
            except AnswerTooLarge:
                return _too_large(self._most)
            if not is_there:
                text = f"the server has {file.filename} of node {file.node} no more"
                return GoneFiles(text, frozenset(one.node for one in harvest.outputs))
            left -= path.stat().st_size
            fetched.append((file, path))
        try:
            kinds = [_kind_of(file, path) for file, path in fetched]
        except NoImageError as error:
            return failed_result("invalid_request", f"{error}; name other nodes in config.output_nodes")
        parameters = infotext(harvest.effective)
        files = [self._save(*one, kind, parameters) for one, kind in zip(fetched, kinds, strict=True)]
        texts = [self._save_text(one) for one in harvest.outputs if isinstance(one, OutputText)]
        return JobResult(success=True, images=(*files, *texts), effective=harvest.effective, warnings=harvest.warnings)

    def _save(self, file: OutputFile, path: Path, kind: ImageKind | None, parameters: str) -> ImageRef:
        """Save a file as it is, but for the text `parameters` of a PNG that has none."""
        if kind:
            data = path.read_bytes()
            return self._outputs.save_image(
                self._job, data, kind, seed=self._seed, parameters=parameters, node=file.node
            )
        name = file.filename.rpartition("/")[2]
        return self._outputs.save_file(self._job, path, self._most, seed=self._seed, name=name, node=file.node)[0]

    def _save_text(self, text: OutputText) -> ImageRef:
        data = text.text.encode("utf-8", "replace")
        return self._outputs.save(self._job, data, suffix=".txt", media_type=TEXT, seed=self._seed, node=text.node)

    @property
    def _seed(self) -> int | None:
        seed = self._job.config.get(SEED)
        return seed if isinstance(seed, int) else None


def _kind_of(file: OutputFile, path: Path) -> ImageKind | None:
    """Return what a picture is; None for all else, and for what is too large to be held in memory.

    Raises:
        NoImageError: it is a picture that is cut off, or no picture and called one: a proxy's page, say.
    """
    with path.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    types = {media_type_of(head, path.name), mimetypes.guess_type(path.name)[0]}
    if types.isdisjoint(_PICTURES) or path.stat().st_size > PICTURE_BYTES:
        return None
    try:
        return kind_of(path.read_bytes())
    except NoImageError as error:
        raise NoImageError(f"{file.filename} of node {file.node} has {error}") from error


def _too_large(most: int) -> JobResult:
    text = f"the workflow has made more than {most} bytes; make a shorter video, or raise output_bytes in [limits]"
    return failed_result("too_large", text)
