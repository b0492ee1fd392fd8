"""What running jobs show of themselves: how often their progress is told, and the newest preview of each, in memory."""

from itertools import count
from typing import Final, NamedTuple

from pipeline_runner.outputs.containers import format_of, size_of
from pipeline_runner.outputs.images import FORMATS

PROGRESS_GAP: Final = 0.2  # seconds: at most 5 progress messages a second for a job
PREVIEW_GAP: Final = 0.5  # at most 2 previews a second for a job
PREVIEW_BYTES: Final = 1 << 20  # of one preview, as of a part of a result
PREVIEW_SIDE: Final = 2048  # pixels: a browser decodes it, whatever server it came from


class Picture(NamedTuple):
    """A picture that a browser may show."""

    media_type: str
    data: bytes


class Preview(NamedTuple):
    """The newest preview of a job; its number is greater than that of every earlier preview of this runner."""

    number: int
    picture: Picture


def picture_of(data: bytes) -> Picture | None:
    """Return the bytes with the media type that they have; None if they are no picture, or too large for a preview."""
    kind = format_of(data) if len(data) <= PREVIEW_BYTES else None
    if kind is None or not all(0 < side <= PREVIEW_SIDE for side in size_of(data)):
        return None
    return Picture(FORMATS[kind][0], data)


class Pace:
    """Decides when the progress of one job is told; it is given the time, in seconds."""

    def __init__(self) -> None:
        """Have told nothing yet."""
        self._told_at = self._shown_at = float("-inf")

    def may_show(self, now: float) -> bool:
        """Return whether the next preview may be shown."""
        return now - self._shown_at >= PREVIEW_GAP

    def wait(self, now: float, *, has_preview: bool) -> float | None:
        """Return in how many seconds to tell what a job reports now, None for not at all.

        What comes too early is left out, as there is more to come; only a preview waits for its turn, as the next step
        may take a minute.
        """
        seconds = max(0.0, self._told_at + PROGRESS_GAP - now)
        if seconds and not has_preview:
            return None
        self._told_at = now + seconds
        if has_preview:
            self._shown_at = now
        return seconds


class Previews:
    """The newest preview of each running job."""

    def __init__(self) -> None:
        """Have none."""
        self._numbers = count(1)
        self._newest: dict[str, Preview] = {}

    def put(self, job_id: str, picture: Picture) -> None:
        """Replace the preview of a job."""
        self._newest[job_id] = Preview(next(self._numbers), picture)

    def find(self, job_id: str) -> Preview | None:
        """Return the preview of a job, None if it has none."""
        return self._newest.get(job_id)

    def drop(self, job_id: str) -> None:
        """Forget the preview of a job, if it has one."""
        self._newest.pop(job_id, None)
