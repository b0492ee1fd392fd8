"""A client of the cluster that answers as one runner would, so that whoever sends jobs need not know which it is."""

import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from bus.cluster import tasks
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError, told
from bus.cluster.faults import FAULTS
from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    JobCheckReply,
    JobParams,
    JobRequest,
    JobView,
    PipelinesReply,
    SubmittersReply,
)
from bus.contracts.messages import JobCompleted
from bus.contracts.outputs import OutputRemoveParams, OutputRemoveReply
from bus.contracts.pipeline_specs import check_config, find_stage
from bus.eventlog.errors import StorageError
from bus.protocol.control import ControlError
from bus.protocol.frames import encode
from bus.protocol.validation import InvalidInputError, decode
from bus.transport.client import REQUEST_SECONDS
from bus.transport.loop import Loop
from bus.transport.steps import Steps, wait
from learning_service.cluster import views
from learning_service.cluster.announcements import together
from learning_service.cluster.requests import Cluster, Job
from learning_service.cluster.switching import CLUSTER
from learning_service.experiments.plan import job_request
from learning_service.experiments.variants import GONE
from learning_service.storage.store import LearningStore

R = TypeVar("R")
CANCELS_AT_ONCE: Final = 200  # ends that are made in one turn of the loop
PAGE: Final = 100  # experiments


class _Submitted(Struct, frozen=True):
    jobs: list[Raw]


_job: Final = msgspec.msgpack.Decoder(Job)


class ClusterClient:
    """Each request ends with exactly one of its two callbacks, unless this is closed before."""

    def __init__(self, loop: Loop, connection: Connection, cluster: Cluster, store: LearningStore) -> None:
        """Ask nothing yet; `store` has the jobs that are planned."""
        self.address = CLUSTER
        self._loop, self._connection, self._cluster, self._store = loop, connection, cluster, store
        self._closed = False
        self._offers = PipelinesReply(pipelines={}, outputs="", queued=0, running=0)  # as they were last
        self._methods: Final[dict[str, Callable[[bytes, float], Steps[Any]]]] = {
            "info": self._info,
            "pipelines": self._pipelines,
            "job.check": self._check,
            "job.submit": self._submit,
            "job.cancel": self._cancel,
            "job.show": self._show,
            "job.submitters": self._submitters,
            "output.remove": self._remove,
        }

    def ask(
        self,
        method: str,
        params: object,
        reply: type[R],  # noqa: ARG002 - what is made here is of this type
        on_reply: Callable[[R], None],
        on_error: Callable[[ControlError], None],
        timeout: float = REQUEST_SECONDS,
    ) -> None:
        """Do what a runner would do. What the cluster has not answered within `timeout` seconds is `unavailable`."""
        self._loop.start(self._answer(method, encode(params), on_reply, on_error, timeout))

    def answer(self, method: str, params: object, reply: type[R], timeout: float = REQUEST_SECONDS) -> Future[R]:
        """Do so, and return the future of the reply, for work in steps."""
        future = Future[R]()
        self.ask(method, params, reply, future.set_result, future.set_exception, timeout)
        return future

    def close(self) -> None:
        """Drop all requests without a callback."""
        self._closed = True

    def _answer(
        self,
        method: str,
        params: bytes,
        on_reply: Callable[[R], None],
        on_error: Callable[[ControlError], None],
        timeout: float,
    ) -> Steps[None]:
        answer: Callable[[], None]
        try:
            work: Callable[[bytes, float], Steps[Any]] = self._methods.get(method) or partial(_refuse, method)
            answer = partial(on_reply, (yield from self._until_closed(work(params, timeout))))
        except ControlError as error:
            answer = partial(on_error, error)
        except InvalidInputError as error:
            answer = partial(on_error, ControlError("invalid_request", str(error)))
        except ClusterError as error:
            text = f"the cluster does not answer: {error}; do its servers run?"
            answer = partial(on_error, ControlError("unavailable", text))
        except StorageError as error:  # of our own file, in which jobs are looked up
            answer = partial(on_error, ControlError("unavailable", str(error)))
        if not self._closed:
            answer()

    def _until_closed(self, steps: Steps[R]) -> Steps[R]:
        """Do steps, but none after this was closed: the log may be closed, too."""
        while True:
            try:
                one = next(steps)
            except StopIteration as end:
                result: R = end.value
                return result
            yield one
            if self._closed:
                raise ClusterError("the client is closed")

    def _wait(self, work: Coroutine[Any, Any, R], seconds: float | None = None) -> Steps[R]:
        """Wait for work of the connection's thread, for so long; without a limit, work that has limits of its own.

        Raises:
            ClusterError: the cluster does not answer, or not as expected.
        """
        try:
            return (yield from wait(self._connection.submit(tasks.within(seconds, work))))
        except CancelledError:
            raise ClusterError("the connection is closed") from None
        except FAULTS as error:
            raise ClusterError(told(error)) from error

    def _info(self, _params: bytes, seconds: float) -> Steps[Any]:
        return (yield from self._wait(self._cluster.info(), seconds))

    def _pipelines(self, _params: bytes, seconds: float) -> Steps[PipelinesReply]:
        announcements = yield from self._wait(self._cluster.announcements(), seconds)
        if not announcements:
            raise ControlError("unavailable", "no runner of the cluster has said anything for a while; start one")
        self._offers = together(announcements)
        return self._offers

    def _check(self, params: bytes, _seconds: float) -> Steps[JobCheckReply]:
        """Check jobs by what runners offer; what only a runner sees, such as its files, it checks later."""
        yield None
        jobs = [_taken(JobRequest, job) for job in _taken(_Submitted, params).jobs]
        for number, job in enumerate(jobs):
            context = job.learning_context
            try:
                spec = find_stage(self._offers.pipelines, job.pipeline, job.stage)
                check_config(spec, job.config, context.decided if context else job.config)
            except InvalidInputError as error:
                raise ControlError("invalid_request", str(error), {"job": str(number)}) from None
        return JobCheckReply(checked=len(jobs))

    def _submit(self, params: bytes, seconds: float) -> Steps[Any]:
        jobs = [(decode(_job, body), body) for body in _taken(_Submitted, params).jobs]
        return (yield from self._wait(self._cluster.submit(jobs, seconds)))

    def _cancel(self, params: bytes, seconds: float) -> Steps[CancelReply]:
        wanted = _taken(CancelParams, params)
        if wanted.experiment_id is None:
            return CancelReply(cancelled=(yield from self._cancel_one(wanted.job_id or "", seconds)))
        count = 0
        for jobs in self._unended(wanted.experiment_id, but_running=wanted.finish_running):
            count += yield from self._wait(self._cluster.cancel(jobs, seconds))
        told_all = self._cluster.tell_cancelled(wanted.experiment_id, finish_running=wanted.finish_running)
        yield from self._wait(told_all)
        return CancelReply(cancelled=count)

    def _unended(self, experiment_id: str, *, but_running: bool) -> Iterator[list[JobCompleted]]:
        """Yield the ends, as cancelled ones, of the jobs of an experiment that have none, some at a time."""
        experiment = self._store.peek(experiment_id)
        gone = {*GONE, "running"} if but_running else GONE
        variants = experiment.variants.values() if experiment else ()
        named = [name for one in variants for name, phase in one.jobs.items() if phase not in gone]
        for at in range(0, len(named), CANCELS_AT_ONCE):
            some = [(name, views.planned(name)) for name in named[at : at + CANCELS_AT_ONCE]]
            if experiment:
                definition, known, now = experiment.definition, experiment.variants, time.time()
                yield [
                    views.cancelled(job_request(experiment_id, definition, known[job.variant_index].value, job), now)
                    for _, job in some
                    if job
                ]

    def _cancel_one(self, job_id: str, seconds: float) -> Steps[int]:
        job = yield from self._wait(self._cluster.waiting(job_id), seconds)
        if job is None:
            raise ControlError("not_found", f"job {job_id!r} was not found in the cluster, or has ended")
        return (yield from self._wait(self._cluster.cancel([views.cancelled(job, time.time())], seconds)))

    def _show(self, params: bytes, seconds: float) -> Steps[JobView]:
        job_id = _taken(JobParams, params).job_id
        ended = yield from self._wait(self._cluster.ended(views.end_subject(job_id)), seconds)
        if ended:
            return views.ended(ended)
        waiting = yield from self._wait(self._cluster.waiting(job_id), seconds)
        if waiting is None:
            raise ControlError("not_found", f"job {job_id!r} was not found in the cluster")
        return views.waiting(waiting)

    def _submitters(self, _params: bytes, _seconds: float) -> Steps[SubmittersReply]:
        """Return nothing: one learning service leads, and no other one submits jobs."""
        yield None
        return SubmittersReply(shared={})

    def _remove(self, params: bytes, _seconds: float) -> Steps[OutputRemoveReply]:
        """Remove the pictures of experiments that no other one has; their ends stay: those are the history."""
        wanted = _taken(OutputRemoveParams, params)
        count = 0
        for experiment_id in wanted.experiment_ids:
            hashes = yield from self._wait(self._cluster.hashes(experiment_id))
            yield from self._leave_others(hashes, set(wanted.experiment_ids))
            some = sorted(hashes)
            for at in range(0, len(some), wanted.limit):
                count += yield from self._wait(self._cluster.remove(some[at : at + wanted.limit]))
        return OutputRemoveReply(files=count, bytes=0, jobs=0, more=False)

    def _leave_others(self, hashes: set[str], removed: set[str]) -> Steps[None]:
        """Take from hashes those that experiments have which stay."""
        before: int | None = None
        while hashes:
            listed, before = self._store.page(before, PAGE)
            for name in (one.experiment_id for one in listed if one.experiment_id not in removed):
                for rows in self._store.results.picture_pages(name):
                    hashes -= {row.sha256 for row in rows}
                    yield None
            if before is None:
                return


def _taken(kind: type[R], params: bytes) -> R:
    """Return the parameters of a request of this process as their type."""
    return decode(msgspec.msgpack.Decoder(kind), params)


def _refuse(method: str, _params: bytes, _seconds: float) -> Steps[Any]:
    yield None
    raise ControlError("unknown_method", f"method: {method!r} cannot be asked of a cluster, only of one of its runners")
