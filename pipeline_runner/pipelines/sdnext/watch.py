"""Whether the job that runs on an SD.Next is ours: rules over its answers, for progress and for interrupting.

It gives our jobs no ids of ours, and *interrupt* ends whatever runs. But its history tells when each job of its API
begins and ends, with an id of its own: ours is the first one that begins after an idle server was sent it. What it
shows of the moment would not do: one job begins and ends a dozen others on its way, and between them it seems idle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pipeline_runner.pipelines.server_values import number, whole

HIGHEST: Final = 0.99  # a server's progress is a hint; only the answer ends a job
JOBS: Final[Mapping[str, str]] = {"txt2img": "api-txt", "img2img": "api-img"}
_OF_THE_API: Final = "api-"


class Entry(NamedTuple):
    """A line of the history: a job of the API that began or ended, and when, by the server's clock."""

    name: str
    job: str
    began: bool
    at: float | None


class Look(NamedTuple):
    """The server at one moment.

    Attributes:
        page_busy: Whether a job of its page runs or waits.
        halted: Whether the job that runs, or ran last, was interrupted or skipped, by a person or by an error.
        history: The jobs of its API, None if it has no history.
    """

    page_busy: bool
    halted: bool
    fraction: float
    step: int | None
    steps: int | None
    history: tuple[Entry, ...] | None


def read_look(progress: Any, status: Any, history: Any) -> Look | None:
    """Read the answers; None if the first tells no state."""
    told = progress.get("state") if isinstance(progress, dict) else None
    if not isinstance(told, dict):
        return None
    page = status if isinstance(status, dict) else {}
    return Look(
        page_busy=bool(page.get("current")) or bool(whole(page.get("queued"))),
        halted=bool(told.get("interrupted") or told.get("skipped")),
        fraction=float(number(progress.get("progress")) or 0.0),
        step=_count(told.get("sampling_step")),
        steps=_count(told.get("sampling_steps")),
        history=tuple(_entries(history)) if isinstance(history, list) else None,
    )


@dataclass
class Watch:
    """Follows one job of ours.

    Attributes:
        stage: What it is.
        own: The id that the server gives it, "" while it is not known.
        began: When it began, by the server's clock.
        mine: Whether it was the running one at the last look.
        fraction: How far it is; it never falls.
        halted: Whether it was interrupted or skipped.
    """

    stage: str
    own: str = ""
    began: float | None = None
    mine: bool = False
    fraction: float = 0.0
    halted: bool = False
    _idle: bool = False
    _known: frozenset[str] = field(default_factory=frozenset)

    def start(self, look: Look | None) -> None:
        """Note what the server did right before our job was sent."""
        history = look.history if look else None
        if look is None or history is None:
            return
        ended = {entry.name for entry in history if not entry.began}
        begun = [entry.name for entry in history if entry.began]
        # one that ended with an error has no end there; but each begins only when the one before is over
        self._idle = not look.page_busy and ended.issuperset(begun[-1:])
        self._known = frozenset(begun)

    def update(self, look: Look) -> None:
        """Update from the newest look, at which the history may be of our own job alone."""
        history = look.history or ()
        if self._idle and not self.own:
            first = next((one for one in history if one.began and one.name not in self._known), None)
            if first and first.job == JOBS.get(self.stage):
                self.own, self.began = first.name, first.at
        ended = any(one.name == self.own and not one.began for one in history)
        self.mine = bool(self.own) and bool(history) and not ended
        if self.mine:
            self.fraction = min(HIGHEST, max(self.fraction, look.fraction))
        if self.own and look.halted and not self._others_since(look):
            self.halted = True

    def finish(self, look: Look) -> None:
        """Update from the first look after the answer.

        Of a job that nobody could follow, a mark that is left then is of it, too: each job takes it away at its begin.
        """
        self.update(look)
        if not self.own:
            self.halted = look.halted
            begun = [one.at for one in look.history or () if one.began and one.job == JOBS.get(self.stage)]
            self.began = begun[-1] if begun else None

    def _others_since(self, look: Look) -> bool:
        """Return whether another job of the API has begun after ours, as the marks would be of that."""
        names = [one.name for one in look.history or () if one.began]
        return self.own in names and names[-1] != self.own


def _entries(history: list[Any]) -> list[Entry]:
    found = []
    for one in history:
        match one:
            case {"id": str() | int() as name, "job": str() as job, "op": "begin" | "end" as op}:
                if job.startswith(_OF_THE_API):
                    found.append(Entry(str(name), job, op == "begin", number(one.get("timestamp"))))
            case _:
                pass
    return found


def _count(value: Any) -> int | None:
    found = whole(value)
    return found if found and found > 0 else None
