"""What two services say of everything that they have, as flat facts that can be compared.

A fact's key names a thing and a field, such as ("job", "open-1.0.0.0", "config", "level"). A thing that cannot be read
has one fact instead of its fields, ("job", "open-1.0.0.0", REFUSED), with the code and text of the error.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from bus.contracts.archive import Kind, RecordsReply
from bus.contracts.experiments import ExperimentListReply
from bus.contracts.jobs import JobListReply, PipelinesReply, QueueReply
from bus.contracts.outputs import OutputReply
from bus.protocol.control import ControlError, FetchReply, InfoReply, LatestReply
from bus.transport.client import request
from tests.support.helpers import TIME_FACTOR

Key = tuple[str, ...]
Facts = dict[Key, Any]
T = TypeVar("T")
REFUSED, SILENT = "refused", "silent"
SETTLED: Final = ("completed", "cancelled", "failed", "partial")
IDENTITIES: Final = ("sha256", "job_id", "variant_index", "experiment_id", "value")  # of things in a list
SETTLE_SECONDS: Final = 6.0  # for the jobs that are left to run
POLL_SECONDS: Final = 0.02
KINDS: Final[tuple[Kind, ...]] = ("results", "pictures", "ratings", "comparisons")


class Reader:
    """Asks a runner and a learning service; the address of one that does not run is None."""

    def __init__(self, addresses: dict[str, str | None]) -> None:
        """Know where they are."""
        self.addresses = addresses
        self.facts: Facts = {}

    def read(self, jobs: Iterable[str], experiments: Iterable[str], outputs: Iterable[str]) -> Facts:
        """Let the jobs that are left run, wait until all have ended, and ask for everything."""
        self._ask("runner", self._resume)
        self._settle(experiments)
        self._ask("runner", lambda: self._read_runner(jobs, outputs))
        self._ask("learning", lambda: self._read_learning(experiments))
        return self.facts

    def _ask(self, name: str, questions: Callable[[], None]) -> None:
        """Ask a service if it runs; if it does not answer, ask it no more."""
        if not self.addresses[name]:
            return
        try:
            questions()
        except ControlError as error:
            self.facts[name, SILENT] = error.message
            self.addresses[name] = None

    def _read_runner(self, jobs: Iterable[str], outputs: Iterable[str]) -> None:
        runner = self.addresses["runner"] or ""
        self._read_log("runner", runner)
        self._read_jobs(runner, jobs)
        for sha256 in outputs:
            self._read_output(runner, sha256)

    def _read_learning(self, experiments: Iterable[str]) -> None:
        learning = self.addresses["learning"] or ""
        self._read_log("learning", learning)
        self._read_experiments(learning, experiments)

    def _try(self, key: Key, function: Callable[[], T]) -> T | None:
        """Return what a function returns; None, with a fact, if the service refuses it."""
        try:
            return function()
        except ControlError as error:
            if error.code == "unavailable":
                raise
            self.facts[*key, REFUSED] = f"{error.code}: {error.message}"
            return None

    def _note(self, key: Key, value: Any) -> None:
        self.facts.update(flat(key, msgspec.to_builtins(value)))

    def _resume(self) -> None:
        params = {"pipeline": "noop"}
        self._try(("queue",), lambda: request(self.addresses["runner"] or "", "queue.resume", params, QueueReply))

    def _settle(self, experiments: Iterable[str]) -> None:
        """Wait until no job is left at the runner and no experiment has any, but not for ever."""
        runner, learning = self.addresses["runner"], self.addresses["learning"]
        if not runner or not learning:
            return
        end = time.monotonic() + SETTLE_SECONDS * TIME_FACTOR
        with suppress(ControlError):  # who does not answer is asked again below
            while time.monotonic() < end and not _have_settled(runner, learning, experiments):
                time.sleep(POLL_SECONDS)

    def _read_log(self, name: str, address: str) -> None:
        info = self._try((name, "info"), lambda: request(address, "info", {}, InfoReply))
        if not info:
            return
        self._note((name, "epochs"), info.epochs)
        self._note((name, "head"), info.head)
        after = 0
        while after < info.head:
            start = after
            page = self._try(
                (name, "fetch"),
                lambda a=start: request(address, "fetch", {"after": a, "limit": 100}, FetchReply),  # type: ignore[misc]
            )
            if not page:
                break
            for one in page.events:
                self.facts[name, "event", str(one.offset)] = (one.topic, one.time_ns, bytes(one.body))
            self._note((name, "first"), page.first)
            for offset in page.damaged:
                self.facts[name, "damaged", str(offset)] = True
            if page.next <= after:
                self.facts[name, "fetch", REFUSED] = f"internal: {page.next} follows {after}"
                break
            after = page.next
        listed = self._try((name, "latest"), lambda: request(address, "latest", {}, LatestReply))
        for one in listed.events if listed else ():
            self.facts[name, "latest", one.topic] = (one.offset, bytes(one.body))

    def _read_jobs(self, runner: str, jobs: Iterable[str]) -> None:
        for name in jobs:
            view = self._try(("job", name), lambda n=name: request(runner, "job.show", {"job_id": n}, dict[str, Any]))  # type: ignore[misc]
            if view:
                self._note(("job", name), view)
        listed = self._try(("job.list",), lambda: request(runner, "job.list", {}, JobListReply))
        for one in listed.jobs if listed else ():
            self._note(("job.list", one.job_id), one)

    def _read_output(self, runner: str, sha256: str) -> None:
        """See that a picture is what its hash says."""
        for small in (False, True):
            key = ("thumbnail" if small else "output", sha256)
            params = {"sha256": sha256, "thumbnail": small}
            part = self._try(key, lambda p=params: request(runner, "output", p, OutputReply))  # type: ignore[misc]
            if part:
                self.facts[*key, "content"] = hashlib.sha256(part.data).hexdigest()

    def _read_experiments(self, learning: str, experiments: Iterable[str]) -> None:
        listed = self._try(("experiment.list",), lambda: request(learning, "experiment.list", {}, ExperimentListReply))
        for one in listed.experiments if listed else ():
            self._note(("experiment.list", one.experiment_id), one)
        for name in experiments:
            params = {"experiment_id": name}
            for method, key in (("experiment.show", "experiment"), ("rating.list", "rating.list")):
                found = self._try((key, name), lambda m=method, p=params: request(learning, m, p, dict[str, Any]))  # type: ignore[misc]
                if found:
                    self._note((key, name), found)
            for kind in KINDS:
                self._read_records(learning, name, kind)

    def _read_records(self, learning: str, name: str, kind: Kind) -> None:
        params = {"experiment_id": name, "kind": kind}
        reply = self._try((kind, name), lambda: request(learning, "experiment.records", params, RecordsReply))
        if not reply:
            return
        for one in getattr(reply.records, kind):
            self._note((kind, name, identity(msgspec.to_builtins(one))), one)


def _have_settled(runner: str, learning: str, experiments: Iterable[str]) -> bool:
    """Return whether nothing is left to run, as far as both say."""
    offer = request(runner, "pipelines", {}, PipelinesReply)
    if offer.queued + offer.running:
        return False
    for name in experiments:
        try:
            view = request(learning, "experiment.show", {"experiment_id": name}, dict[str, Any])
        except ControlError as error:
            if error.code == "unavailable":
                raise
        else:
            if view["status"] not in SETTLED:
                return False
    return True


def identity(record: dict[str, Any]) -> str:
    """Return what tells a record of results, pictures, ratings or comparisons from others of its kind."""
    parts = [record.get(key) for key in ("job_id", "sha256", "left", "right")]
    parts.append(record.get("image", {}).get("sha256"))
    return " ".join(str(part) for part in parts if part is not None)


def flat(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    """Return the leaves of nested lists and maps with their keys; a thing in a list is known by what identifies it."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from flat((*key, str(name)), part)
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            name = next((one for one in IDENTITIES if isinstance(part, dict) and one in part), None)
            yield from flat((*key, f"{name}={part[name]}" if name else str(number)), part)
    else:
        yield key, value
