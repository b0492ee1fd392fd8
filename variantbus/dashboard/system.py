"""What the page of the system shows of each runner (its queue, its servers, its disk), and the changes to them."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bus import __version__
from bus.contracts.jobs import CancelParams, CancelReply, QueueParams, QueueReply
from bus.contracts.messages import EventRejected, decode_body
from bus.contracts.outputs import OutputUsageReply
from bus.contracts.queues import PrioritizeParams, PrioritizeReply, QueueListReply
from bus.contracts.runners import RunnerListReply, RunnerView
from bus.contracts.topics import EVENT_REJECTED
from bus.protocol.control import ControlError, FetchParams, FetchReply, InfoReply
from bus.protocol.doors import take
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.dashboard.fresh import Fresh

SCHEME: Final = "tcp://"
ASK_SECONDS: Final = 1.5  # a runner that does not answer meanwhile is shown as away
USAGE_SECONDS: Final = 60.0  # between two counts of all results of a runner
RUNNERS: Final = 8  # that are asked at the same time
REJECTED: Final = 50
MOVES: Final = 1000  # in one request, each of which is synced to disk: as many groups as `queue.list` tells of
SPANS: Final = (1000, 20_000, 400_000)  # offsets before the head of the log in which they are looked for


class RunnerState(Struct, frozen=True, kw_only=True):
    """A runner as the page shows it; `problem` says why nothing is known of its queue now."""

    address: str
    version: str | None = None
    problem: str = ""
    queue: QueueListReply | None = None
    disk: OutputUsageReply | None = None
    known: RunnerView | None = None  # what the learning service says of it
    epoch: int = 0


class Rejected(Struct, frozen=True, kw_only=True):
    """An event that was refused, and when, in milliseconds as browsers count them."""

    at: float
    reason: str
    detail: str
    job_id: str | None


class Changes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new places of what waits at a runner."""

    runner: str
    moves: Annotated[list[PrioritizeParams], Meta(max_length=MOVES)]


class Pause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline of a runner, or all of them."""

    runner: str
    pipeline: str | None = None


class JobOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job of a runner."""

    runner: str
    job_id: str


class System:
    """Asks all runners that it knows of: its own one, and those that the learning service follows."""

    def __init__(self, runner: str, learning: str, keys: Keys | None) -> None:
        """Keep the addresses."""
        self._runner, self._learning, self._keys = runner, learning, keys
        self._view = Fresh(self._look)
        self._usages: dict[str, Fresh[OutputUsageReply | None]] = {}
        self._lock = threading.Lock()
        self.changes: dict[str, Callable[[Any], Any]] = {
            "prioritize": self._prioritize,
            "pause": lambda body: self._set_pause("queue.pause", body),
            "resume": lambda body: self._set_pause("queue.resume", body),
            "cancel-job": self._cancel,
        }

    def view(self) -> dict[str, Any]:
        """Return all runners, and the version of the dashboard; many pages share one look."""
        return {"version": __version__, "runners": self._view.get()}

    def change(self, what: str, body: Any) -> Any:
        """Do one of `changes`, and look again at the next question."""
        try:
            return self.changes[what](body)
        finally:
            self._view.forget()

    def rejected(self) -> list[Rejected]:
        """Return the newest events that the learning service has refused, newest first, as far as its log has them."""
        head = request(self._learning, "info", {}, InfoReply, keys=self._keys).head
        found: list[Rejected] = []
        for span in SPANS:
            found = self._rejected_after(max(0, head - span), head)
            if len(found) >= REJECTED or span >= head:
                break
        return found[::-1][:REJECTED]

    def _rejected_after(self, after: int, head: int) -> list[Rejected]:
        found: list[Rejected] = []
        while after < head:
            params = FetchParams(prefix=EVENT_REJECTED, after=after, until=head, limit=1000)
            reply = request(self._learning, "fetch", params, FetchReply, keys=self._keys)
            for record in reply.events:
                event = decode_body(record.body)
                if isinstance(event, EventRejected):
                    at = record.time_ns / 1e6
                    found.append(Rejected(at=at, reason=event.reason, detail=event.detail, job_id=event.job_id))
            after = max(reply.next, after + 1)
        return found

    def _look(self) -> list[RunnerState]:
        """Ask all of them at the same time; the own one comes first."""
        known = self._known()
        others = [address for address, one in known.items() if one.followed and address != self._runner]
        addresses = [self._runner, *others]
        with ThreadPoolExecutor(min(RUNNERS, len(addresses))) as pool:
            states = list(pool.map(self._ask, addresses))
        return list(merged(states, known))

    def _known(self) -> dict[str, RunnerView]:
        try:
            reply = request(self._learning, "runner.list", {}, RunnerListReply, ASK_SECONDS, keys=self._keys)
        except ControlError:
            return {}
        # all runners of a cluster together have no address
        return {one.address: one for one in reply.runners if one.address.startswith(SCHEME)}

    def _ask(self, address: str) -> RunnerState:
        try:
            info = request(address, "info", {}, InfoReply, ASK_SECONDS, keys=self._keys)
            queue = request(address, "queue.list", {}, QueueListReply, keys=self._keys)
        except (ControlError, InvalidInputError) as error:
            return RunnerState(address=address, problem=str(error))
        with self._lock:
            usage = self._usages.setdefault(address, Fresh(lambda: self._usage(address), USAGE_SECONDS))
        return RunnerState(address=address, version=info.version, queue=queue, disk=usage.get(), epoch=info.epoch)

    def _usage(self, address: str) -> OutputUsageReply | None:
        try:
            return request(address, "output.usage", {}, OutputUsageReply, keys=self._keys)
        except ControlError:
            return None

    def _prioritize(self, body: Any) -> dict[str, int]:
        changes = take(body, Changes)
        address = self._checked(changes.runner)
        moved = [request(address, "job.prioritize", one, PrioritizeReply, keys=self._keys) for one in changes.moves]
        return {"waiting": sum(one.waiting for one in moved)}

    def _set_pause(self, method: str, body: Any) -> QueueReply:
        pause = take(body, Pause)
        params = QueueParams(pipeline=pause.pipeline)
        return request(self._checked(pause.runner), method, params, QueueReply, keys=self._keys)

    def _cancel(self, body: Any) -> CancelReply:
        job = take(body, JobOf)
        params = CancelParams(job_id=job.job_id)
        return request(self._checked(job.runner), "job.cancel", params, CancelReply, keys=self._keys)

    def _checked(self, address: str) -> str:
        """Return an address that is that of a runner of ours: a page may not have others asked.

        Raises:
            InvalidInputError: it is none.
        """
        if address != self._runner and address not in self._known():
            raise InvalidInputError("runner: this is none of the runners that the learning service follows")
        return address


def merged(states: Iterable[RunnerState], known: dict[str, RunnerView]) -> Iterable[RunnerState]:
    """Yield each runner once, with what the learning service says of it, by whatever name it knows it."""
    first, *others = states
    same = [one.address for one in others if one.epoch and one.epoch == first.epoch]
    names = [name for name in (first.address, *same) if name in known]
    yield msgspec.structs.replace(first, known=known[names[0]] if names else None)
    for one in others:
        if one.address not in same:
            yield msgspec.structs.replace(one, known=known.get(one.address))
