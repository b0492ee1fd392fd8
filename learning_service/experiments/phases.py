"""How far the jobs of a variant are: what was stored as a whole, and what has changed since.

A change copies the changes alone, so a job's end costs the same in a variant of 8 jobs and of 1,000.
"""

from collections.abc import ItemsView, Iterator, Mapping
from math import isqrt
from typing import Any, Final, Literal

JobPhase = Literal["planned", "queued", "running", "ended", "replaced"]
FEW: Final = 8  # changes that need not be stored as a whole, however few jobs there are
NONE: Final[Mapping[str, JobPhase]] = {}


class Phases(Mapping[str, JobPhase]):
    """The phases of jobs, by their ids; never changed in place. Where there are more jobs, it is made anew."""

    __slots__ = ("_base", "news")

    def __init__(self, base: Mapping[str, JobPhase], news: Mapping[str, JobPhase] = NONE) -> None:
        """`news`: the jobs of `base` that are in another phase by now."""
        self._base, self.news = base, news

    def moved(self, moves: Mapping[str, JobPhase]) -> "Phases":
        """Return the phases after some of these jobs have come into others."""
        return Phases(self._base, {**self.news, **moves})

    @property
    def has_many_news(self) -> bool:
        """Whether it is time to store all as a whole: each time costs as much as the changes cost in between."""
        return len(self.news) > max(FEW, isqrt(2 * len(self._base)))

    def __getitem__(self, job_id: str) -> JobPhase:
        """Return the phase of a job."""
        return self.news.get(job_id) or self._base[job_id]

    def get(self, job_id: str, default: Any = None) -> Any:
        """Return the phase of a job, or the default: `Mapping` takes three times as long, for each event."""
        return self.news.get(job_id) or self._base.get(job_id, default)

    def __contains__(self, job_id: object) -> bool:
        """Return whether a job is there."""
        return job_id in self._base

    def __iter__(self) -> Iterator[str]:
        """Yield the ids."""
        return iter(self._base)

    def __len__(self) -> int:
        """Return the number of jobs."""
        return len(self._base)

    def items(self) -> ItemsView[str, JobPhase]:
        """Return ids with phases: that of `Mapping` would look each up by itself."""
        return {**self._base, **self.news}.items()


def moved(jobs: Mapping[str, JobPhase], moves: Mapping[str, JobPhase]) -> Mapping[str, JobPhase]:
    """Return the phases after some of these jobs have come into others; those of a new plan are still to be stored."""
    return jobs.moved(moves) if isinstance(jobs, Phases) else {**jobs, **moves}
