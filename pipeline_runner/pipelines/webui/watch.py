"""Whether the job that runs on the server is ours: rules over its answers, for progress and for interrupting.

`POST /interrupt` ends whatever runs, so it may be sent only while our own job does. With its web page the server says
so of a task by its id. Without the page (`--nowebui`), and for upscaling, which takes no id, our job is the running one
if the server was idle right before it was sent and no other has been seen since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from pipeline_runner.pipelines.http_client import Reply
from pipeline_runner.pipelines.server_values import number, whole

PROGRESS_QUERY: Final = {"skip_current_image": "true"}
HIGHEST: Final = 0.99  # a server's progress is a hint; only the answer ends a job
NOT_FOUND: Final = 404
UPSCALING: Final = "extras"
SETTINGS: Final = 4  # that are kept: one that changes more often agrees with none
Task = Literal["active", "waiting", "unknown"]


class ServerState(NamedTuple):
    """The state of the server at one moment: the job that runs, whoever sent it, and our task."""

    busy: bool = False
    job: str = ""  # what kind of job runs
    timestamp: str = ""  # when the running job, or else the last one, began
    halted: bool = False  # that job was interrupted or skipped
    fraction: float = 0.0
    step: int | None = None
    steps: int | None = None
    task: Task = "unknown"
    settings: Mapping[str, Any] | None = None  # of the server, those of the running job among them


def server_state(progress: Reply, task: Reply | None) -> ServerState | None:
    """Read both answers, `task` if there is one; None if the first has no state."""
    body = _map(progress)
    state = body.get("state") if body else None
    if body is None or not isinstance(state, dict):
        return None
    ours = _map(task) if task else None
    known: Task = "unknown" if ours is None else "active" if ours.get("active") is True else "waiting"
    # of the whole job, where the server tells it of ours alone
    fraction = ours.get("progress") if ours and known == "active" else body.get("progress")
    return ServerState(
        busy=state.get("job_count") != 0,  # -1 while it prepares
        job=str(state.get("job") or ""),
        timestamp=str(state.get("job_timestamp") or ""),
        halted=bool(state.get("interrupted") or state.get("skipped")),
        fraction=float(number(fraction) or 0.0),
        step=_count(state.get("sampling_step")),
        steps=_count(state.get("sampling_steps")),
        task=known,
    )


def left_behind(task: Reply, state: ServerState | None) -> Literal["waiting", "running", "gone"]:
    """Return what has become of a task whose answer nobody waits for any more.

    A task that has failed seems active for ever: the server must be busy, and not with upscaling, which has no tasks.
    """
    told = _map(task) or {}
    if told.get("queued") is True:
        return "waiting"
    is_running = told.get("active") is True and state is not None and state.busy and state.job != UPSCALING
    return "running" if is_running else "gone"


@dataclass
class Watch:
    """Follows one job of ours.

    Attributes:
        idle_before: Whether the server was idle right before our job was sent.
        mine: Whether our job was the running one at the last poll.
        fraction: How far our job is; it never falls.
        settings: The settings of the server while our job ran, each that differs from the one before.
    """

    idle_before: bool
    mine: bool = False
    fraction: float = 0.0
    settings: tuple[Mapping[str, Any], ...] = ()
    _first: str | None = None  # the first job that was seen to run since then
    _own: str = ""
    _halted: set[str] = field(default_factory=set)

    def update(self, state: ServerState) -> None:
        """Update from the newest state of the server."""
        if state.busy and self._first is None:
            self._first = state.timestamp
        if state.task == "unknown":
            self.mine = state.busy and self.idle_before and state.timestamp == self._first
        else:
            self.mine = state.busy and state.task == "active"  # without `busy`: "active" stays after a failure
        if self.mine:
            self._own = state.timestamp
            self.fraction = min(HIGHEST, max(self.fraction, state.fraction))
            if state.settings is not None and state.settings != (self.settings or (None,))[-1]:
                self.settings = (*self.settings, state.settings)[-SETTINGS:]
        if state.halted:
            self._halted.add(state.timestamp)

    def was_halted(self, timestamp: str) -> bool:
        """Return whether our job was interrupted or skipped; `timestamp` is that of the answer, "" if it has none."""
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
