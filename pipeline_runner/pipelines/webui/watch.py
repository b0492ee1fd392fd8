"""Which job is the one that runs on the server: plain rules over what it tells, for progress and for interrupting.

`POST /interrupt` ends whatever runs, so it may be sent only while our own job does. With its web page the server says
so of a task by its id. Without the page (`--nowebui`), and for upscaling, which takes no id, our job is the running one
if the server was idle right before it was sent and no other has been seen since.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from pipeline_runner.pipelines.http_client import Reply
from pipeline_runner.pipelines.server_values import number, whole

HIGHEST: Final = 0.99  # a server's progress is a hint; that a job has ended, its answer says
NOT_FOUND: Final = 404
Task = Literal["active", "waiting", "untold"]


class Sight(NamedTuple):
    """What the server tells at one moment: of the job that runs, whoever sent it, and of our task."""

    busy: bool = False
    timestamp: str = ""  # when the running job, or else the last one, began
    halted: bool = False  # somebody has interrupted or skipped that job
    fraction: float = 0.0
    step: int | None = None
    steps: int | None = None
    task: Task = "untold"


def sight_of(progress: Reply, task: Reply | None) -> Sight | None:
    """Read both answers; `task` is None where there was nothing to ask. None if the first says nothing."""
    body = _map(progress)
    state = body.get("state") if body else None
    if body is None or not isinstance(state, dict):
        return None
    ours = _map(task) if task else None
    told: Task = "untold" if ours is None else "active" if ours.get("active") is True else "waiting"
    # of the whole job, where the server tells it of ours alone
    fraction = ours.get("progress") if ours and told == "active" else body.get("progress")
    return Sight(
        busy=state.get("job_count") != 0,  # -1 while it prepares
        timestamp=str(state.get("job_timestamp") or ""),
        halted=bool(state.get("interrupted") or state.get("skipped")),
        fraction=float(number(fraction) or 0.0),
        step=_count(state.get("sampling_step")),
        steps=_count(state.get("sampling_steps")),
        task=told,
    )


@dataclass
class Watch:
    """Follows one job of ours.

    Attributes:
        idle_before: Was the server idle right before our job was sent?
        mine: Was our job the running one when it was last looked at?
        fraction: How far our job is; it never falls.
    """

    idle_before: bool
    mine: bool = False
    fraction: float = 0.0
    _first: str | None = None  # the first job that was seen to run since then
    _own: str = ""
    _halted: set[str] = field(default_factory=set)

    def see(self, sight: Sight) -> None:
        """Take in what the server tells."""
        if sight.busy and self._first is None:
            self._first = sight.timestamp
        if sight.task == "untold":
            self.mine = sight.busy and self.idle_before and sight.timestamp == self._first
        else:
            self.mine = sight.busy and sight.task == "active"  # alone, "active" stays for ever after a failure
        if self.mine:
            self._own = sight.timestamp
            self.fraction = min(HIGHEST, max(self.fraction, sight.fraction))
        if sight.halted:
            self._halted.add(sight.timestamp)

    def was_halted(self, timestamp: str) -> bool:
        """Was our job interrupted or skipped? Its timestamp is in the answer, if the server says so."""
        found = timestamp or self._own
        return bool(found) and found in self._halted


def _map(reply: Reply) -> dict[str, Any] | None:
    if not reply.ok:
        return None
    body = reply.json()
    return body if isinstance(body, dict) else None


def _count(value: Any) -> int | None:
    found = whole(value)
    return found if found and found > 0 else None
