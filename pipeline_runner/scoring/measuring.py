"""Measures the pictures of jobs by scorers, whose processes all workers share, so that a model is loaded once."""

import itertools
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bus.contracts.fields import Config
from bus.contracts.media import is_picture
from bus.contracts.messages import ImageRef
from bus.contracts.scoring import ScoreSettings
from pipeline_runner.outputs import safe_paths
from pipeline_runner.pipelines.command.processes import kill_leftovers
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.scoring.kept import KeptScorer
from pipeline_runner.scoring.lines import Question
from pipeline_runner.scoring.registry import Scorers
from pipeline_runner.scoring.talk import ScorerError, Stopped

FOLDER: Final = ".scorers"  # in the output folder: where the processes are noted
IDLE_SECONDS: Final = 120.0  # after which a process ends, so that its memory is free
HOST: Final = "pipeline_runner.scoring.host"
NO_PICTURE: Final = "not scored: the job has made no picture"
Images = Sequence[ImageRef]
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Measured(NamedTuple):
    """What scorers say of a job."""

    metrics: dict[str, float]
    warnings: tuple[str, ...] = ()


class _Part(NamedTuple):
    """One of the scorers that are asked: the process that answers, and the metrics that count."""

    title: str
    arguments: tuple[str, ...]
    metrics: tuple[str, ...]
    options: Config
    compares: bool = False


class Measuring:
    """Asks scorers, from any thread."""

    def __init__(self, root: Path, scorers: Scorers) -> None:
        """`root` is the output folder; processes that a dead runner has left are ended."""
        self.scorers, self._root, self._folder = scorers, root, root / FOLDER
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._kept: dict[bytes, KeptScorer] = {}
        kill_leftovers(self._folder)

    def measure(
        self, job: NormalizedJobRecord, score: ScoreSettings, images: Images, base: Images, stopped: Stopped
    ) -> Measured:
        """Return the means over the pictures of a job, with a warning for each scorer that has failed.

        `base` are the pictures of the first value with the same seed. Without them, those that compare are left out.

        Raises:
            StoppedError: nobody waits for it any more.
        """
        pictures = pictures_of(images)
        if not pictures:
            return Measured({}, (NO_PICTURE,))
        metrics: dict[str, float] = {}
        warnings: list[str] = []
        for part in self._parts(score):
            if part.compares and not pictures_of(base):
                continue
            try:
                questions = list(self._questions(job, part, pictures, pictures_of(base)))
                metrics |= self._scorer(part).means(questions, score.timeout_seconds, stopped)
            except (ScorerError, OSError) as error:
                warnings.append(f"no {', '.join(map(repr, part.metrics))}: {part.title} failed: {error}")
        return Measured(metrics, tuple(warnings))

    def compares(self, score: ScoreSettings) -> tuple[str, ...]:
        """Return the scorers that need the pictures of the first value."""
        return tuple(name for name in score.use if name in self.scorers and self.scorers[name].compares)

    def end_idle(self) -> None:
        """Have the processes ended that nobody has asked for a while; they may take their time."""
        since = time.monotonic() - IDLE_SECONDS
        with self._lock:
            idle = [one for one in self._kept.values() if one.is_idle(since)]
        if idle:
            _end_in_thread(idle, since)

    def close(self, seconds: float) -> None:
        """End all processes, within some seconds; whoever asks from now on is told that nobody waits."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), {}
        if kept:
            _end_in_thread(kept).join(seconds)

    def _parts(self, score: ScoreSettings) -> Iterator[_Part]:
        for name in score.use:
            compares = name in self.scorers and self.scorers[name].compares
            arguments = (sys.executable, "-m", HOST, name)
            yield _Part(f"scorer {name}", arguments, (name,), score.options.get(name, {}), compares)
        if score.command:
            yield _Part("score.command", score.command, score.metrics, {})

    def _scorer(self, part: _Part) -> KeptScorer:
        key = _encode((part.arguments, part.metrics, part.options))
        with self._lock:
            return self._kept.setdefault(key, KeptScorer(part.title, part.arguments, part.metrics, self._new_folder))

    def _new_folder(self) -> Path:
        return self._folder / str(next(self._numbers))

    def _questions(self, job: NormalizedJobRecord, part: _Part, pictures: Images, base: Images) -> Iterator[Question]:
        """Yield what is asked of each picture; the n-th one is compared with the n-th of the first value."""
        prompt = job.config.get("prompt")
        for number, picture in enumerate(pictures):
            beside = base[min(number, len(base) - 1)] if part.compares else None
            yield Question(
                path=self._path(picture),
                job_id=job.job_id,
                prompt=prompt if isinstance(prompt, str) else "",
                seed=picture.seed,
                config=job.config,
                base=self._path(beside) if beside else None,
                options=part.options,
            )

    def _path(self, image: ImageRef) -> str:
        """Return where a picture is; a pipeline of somebody else may have named any file.

        Raises:
            OSError: it is no file in the output folder.
        """
        safe_paths.look_at(self._root, image.path)
        return str(self._root / image.path)


def _end_in_thread(scorers: Sequence[KeptScorer], since: float | None = None) -> threading.Thread:
    """End processes in a thread, as that may block; it does not keep our own process alive."""

    def end() -> None:
        for one in scorers:
            one.close(since)

    thread = threading.Thread(target=end, name="end of scorers", daemon=True)
    thread.start()
    return thread


def pictures_of(images: Images) -> list[ImageRef]:
    """Return those of the results that are pictures; of one that moves, the first frame is measured."""
    return [one for one in images if is_picture(one)]
