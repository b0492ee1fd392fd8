"""The runner: the job service, its workers and its publisher on one loop."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from bus import __version__
from bus.contracts.jobs import JobParams, PipelinesReply, PreviewReply, ScoreParams
from bus.contracts.messages import ImageRef, JobError, JobProgress, JobResult
from bus.contracts.scoring import ScoreSettings
from bus.contracts.servers import ServerView
from bus.contracts.topics import JOB_PROGRESS
from bus.eventlog.errors import StorageError
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol import topics
from bus.protocol.addresses import Address
from bus.protocol.control import ControlError, NoParams
from bus.publisher import Publisher
from bus.telemetry.metrics import Point
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from bus.transport.retry import retry_later
from pipeline_runner.cluster.station import Station
from pipeline_runner.execution.completion_hooks import CompletionHooks
from pipeline_runner.execution.refresher import Refresher
from pipeline_runner.execution.rescoring import Rescoring
from pipeline_runner.execution.reuse import Reuse
from pipeline_runner.execution.room import RoomWatch
from pipeline_runner.execution.workers import Calls, WorkerPool
from pipeline_runner.methods import Fractions, JobMethods
from pipeline_runner.outputs.adopting import Adopting
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.outputs.index import OutputIndex
from pipeline_runner.outputs.methods import OutputMethods
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.pipelines.registry import server_of, stages_of
from pipeline_runner.queue.capacity import PipelineQueues
from pipeline_runner.queue.completion import CompletionHandler
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.retries import OF_THE_SERVER, fault_of, storage_fault_of
from pipeline_runner.queue.scores import write_scores
from pipeline_runner.queue.service import JobService
from pipeline_runner.queue_methods import QueueMethods
from pipeline_runner.scoring.measuring import Measuring
from pipeline_runner.scoring.registry import Scorers, spec_of

if TYPE_CHECKING:  # it needs nats-py, which only a runner in a cluster has
    from pipeline_runner.cluster.member import Member

STOP_SECONDS: Final = 3.0  # for running jobs to stop at shutdown; the whole shutdown stays under 5 s
JOIN_SECONDS: Final = 0.5  # for requests to servers that are under way at shutdown
HOOK_SECONDS: Final = 1.0  # for completion hooks to be called for the last jobs at shutdown
IDLE_LOOK_SECONDS: Final = 30.0  # between two looks for processes of scorers that nobody needs
HELP: Final = {
    "variantbus_jobs": "Jobs of the runner that are queued or running.",
    "variantbus_outputs_writable": "0 after a result could not be written, until one may be again.",
}
logger = logging.getLogger(__name__)


class Runner:
    """Takes jobs from its control socket, runs them, and publishes their progress and their ends."""

    def __init__(  # noqa: PLR0913 - what it works with and where it listens
        self,
        log: Log,
        loop: Loop,
        pipelines: dict[str, Pipeline],
        outputs: Outputs,
        *,
        workers: int,
        feed: Address,
        control: Address,
        keys: Keys | None = None,
        hooks: Mapping[str, CompletionHandler] | None = None,
        scorers: Scorers | None = None,
        cluster: "Member | None" = None,
    ) -> None:
        """Open the tables, bind the sockets, and requeue the jobs that were running when the last runner died.

        Raises:
            BindError: a port is taken.
            InvalidInputError: it has jobs of experiments that a cluster does not know.
        """
        self._log, self._loop, self._outputs, self._pipelines = log, loop, outputs, pipelines
        self._stages = {name: stages_of(name, pipeline) or {} for name, pipeline in pipelines.items()}
        self._servers: dict[str, ServerView] = {}  # of pipelines that tell of theirs
        self._scorers = {name: spec_of(kind) for name, kind in (scorers or {}).items()}
        self._queues = PipelineQueues(
            {name: one.concurrency or workers for name, one in pipelines.items()}, workers, log.limits.queued_jobs
        )
        self._service = JobService(log, self._queues, steady=time.monotonic)
        self._cluster = cluster
        if cluster:
            cluster.open(self._service)
        index = OutputIndex(log, outputs.root)
        index.repair(self._service.store.ended())
        self._reuse = Reuse(log, self._service.store, outputs.root)
        self.publisher = Publisher(
            log, loop, service="runner", version=__version__, feed=feed, control=control, keys=keys
        )
        self._hooks = CompletionHooks(hooks or {})
        self._service.register_completion_handler(self._hooks.notify)
        self._service.write_with_end(index.add)
        self._service.write_with_end(self._reuse.note_ends)
        self._disk = RoomWatch(loop, outputs, self._room_changed)
        self._fractions: Fractions = {}
        self._results: dict[str, JobResult] = {}  # of runs that have ended, until they are written
        self.abandoned = 0  # jobs whose threads still run after `close`
        self._awake = False  # `_work` is to be called in the next turn of the loop
        self._measuring = Measuring(outputs.root, scorers or {})
        self._idle = loop.every(IDLE_LOOK_SECONDS, self._measuring.end_idle)
        calls = Calls(self._ended, self._report, self._reuse.find, self._reused, self._made)
        self._pool = WorkerPool(loop, pipelines, calls, outputs, self._measuring)
        for job in self._service.store.running():
            outputs.discard_unfinished(job)
        recovered = self._service.recover()
        if recovered:
            logger.warning("%d jobs that were running when the runner died run again", recovered)
        self._refresher = Refresher(loop, pipelines, self._refreshed)
        for name in self._refresher.names:
            self._queues[name].unreachable = f"{name}: its server has not answered yet"
        self._add_methods(log.limits.job_bytes)
        elsewhere = cluster.pictures.find if cluster else None
        OutputMethods(self.publisher.methods, log, index, outputs, self._forget, elsewhere)
        ended = [index.add, *([cluster.note_ends] if cluster else [])]
        Adopting(log, self._service.store, outputs, ended).register(self.publisher.methods)
        self._wake()

    def close(self) -> None:
        """Stop the running jobs and requeue those that have not ended: they run again at the next start."""
        self._refresher.stop()
        ended, left = self._pool.stop(STOP_SECONDS)
        self.abandoned = len(left)
        self._refresher.join(JOIN_SECONDS)
        self._idle.cancel()
        self._rescoring.close(JOIN_SECONDS)
        self._measuring.close(JOIN_SECONDS)
        if left:
            logger.warning("%d jobs did not stop in time and are abandoned", len(left))
        done = {name: result for name, result in ended.items() if not result.cancelled}
        stopped = [name for name, result in ended.items() if result.cancelled]
        try:
            with suppress(StorageError):  # the next start puts them back as well
                self._service.finish({**self._results, **done})
                self._service.release([*stopped, *left])
        finally:
            self._hooks.close(HOOK_SECONDS)
            if self._cluster:
                self._cluster.close()
            self.publisher.close()

    def _forget(self, tx: Transaction, job_ids: list[str]) -> None:
        self._reuse.forget(tx, job_ids)
        if self._cluster:
            self._cluster.forget(tx, job_ids)

    def _add_methods(self, job_limit: int) -> None:
        jobs = JobMethods(
            self._service,
            self._pipelines,
            stages=lambda: self._stages,
            fractions=self._fractions,
            job_limit=job_limit,
            stop=self._pool.cancel,
            changed=self._wake,
            scorers=self._measuring.scorers,
            in_cluster=self._cluster is not None,
        )
        jobs.add_to(self.publisher.methods)
        QueueMethods(self._service, jobs, self._fractions, self._servers, self._wake).add_to(self.publisher.methods)
        self._rescoring = Rescoring(
            self._loop,
            self._service.store,
            self._measuring,
            check=jobs.check_score,
            write=self._write_scores,
            waits=lambda: any(one.exclusive for one in self._service.store.running()),
        )
        self.publisher.methods.add_steps("job.score", ScoreParams, self._rescoring.ask)
        self.publisher.methods.add("pipelines", NoParams, self._offer, role="read")
        self.publisher.methods.add("job.preview", JobParams, self._preview, role="read")
        self.publisher.metrics.add(self._points, HELP)
        if self._cluster:
            self._cluster.join(Station(self.publisher, jobs.check, self._pool.cancel, self._wake, self._offers))

    def _write_scores(self, job_id: str, score: ScoreSettings, metrics: dict[str, float]) -> None:
        write_scores(self._log, self._service.store, job_id, score, metrics, time.time())

    def _wake(self) -> None:
        """Call `_work` in the next turn of the loop; once, however often this is called."""
        if not self._awake:
            self._awake = True
            self._loop.call(self._work)

    def _work(self) -> None:
        """Write the ends of jobs, cancel the next batch, and give waiting jobs to workers."""
        self._awake = False
        try:
            if self._service.cancel_some() | self._service.priorities.move_some():
                self._wake()
            for job in self._advance():
                self._pool.start(job)
            if self._queues.startable(time.monotonic()):
                self._wake()  # some of the claimed jobs have ended at once
            if self._cluster:
                self._cluster.look()
        except StorageError as error:
            # the disk is full: keep the results until they can be written
            retry_later(self._loop, error, self._wake)

    def _reused(self, job_id: str, result: JobResult) -> None:
        """End a job with the result of an earlier one."""
        self._results[job_id] = result
        self._work()  # in this turn, before a request can remove its files

    def _made(self, job: NormalizedJobRecord, made: JobResult) -> tuple[ImageRef, ...]:
        """Note what a job has made before it is measured; return what its pictures are compared with."""
        try:
            self._service.note_made(job.job_id, made)
        except StorageError as error:  # if the runner dies now, it is made again
            logger.warning("%s: what was made is not noted: %s", job.job_id, error)
        if not job.score or not self._measuring.compares(job.score):
            return ()
        is_first = job.job_id.startswith(job.score_base) and job.score_base
        return made.images if is_first else self._rescoring.base_of(job.score_base)

    def _ended(self, job_id: str, result: JobResult, confirmed: bool) -> None:
        """Collect the ends of this turn of the loop, to write all of them in one transaction."""
        if confirmed:
            self._reuse.confirm(job_id)
        self._fractions.pop(job_id, None)
        self._results[job_id] = result
        self._wake()

    def _advance(self) -> list[NormalizedJobRecord]:
        """Write the ends of jobs, and return those that have been started in their places."""
        results, places = self._results, self._service.places_freed(self._results)
        startable = {} if places is None else self._queues.startable(time.monotonic(), places)
        after, taken = self._service.advance(results, startable)
        self._results = {}
        self._rescoring.note_ended(after)
        faults: dict[str, tuple[NormalizedJobRecord, JobError]] = {}
        for record in after:
            if full := storage_fault_of(results[record.job_id]):
                self._disk.note_fault(full.message)
                continue
            self._disk.room.note_result()
            fault = fault_of(results[record.job_id])
            if fault and fault.kind in OF_THE_SERVER:
                faults[record.pipeline] = record, fault
            else:
                self._queues[record.pipeline].note_answer()
        for record, fault in faults.values():
            self._hold_up(record, fault)
        self._rescoring.go_on()
        return taken

    def _room_changed(self, reason: str) -> None:
        self._queues.hold(reason)
        self._wake()

    def _hold_up(self, record: NormalizedJobRecord, fault: JobError) -> None:
        """Start no more jobs of a pipeline until its rest is over and its server answers."""
        pipeline, context = record.pipeline, record.learning_context
        met_by = frozenset({record.job_id, context.experiment_id} if context else {record.job_id})
        seconds = self._queues[pipeline].note_fault(time.monotonic(), fault.message, met_by)
        logger.warning("%s rests for %g s: %s", pipeline, seconds, fault.message)
        self._loop.later(seconds, self._wake)
        if fault.kind == "unreachable" and pipeline in self._refresher.names:
            self._away(pipeline, fault.message)

    def _refreshed(self, pipeline: str, away: str) -> None:
        """Update the stages that a server offers, or note why it does not answer."""
        stages = stages_of(pipeline, self._pipelines[pipeline])
        if stages is None:
            away = f"{pipeline}: cannot say what it takes; see the runner's log"
        else:
            self._stages[pipeline] = stages
        if seen := server_of(pipeline, self._pipelines[pipeline]):
            self._servers[pipeline] = seen
        if away:
            self._away(pipeline, away)
            self._queues[pipeline].end_rest()  # that it is away holds its jobs until the moment when it is back
            if self._queues.draining:  # perhaps for a job of this pipeline, which cannot run now
                self._queues.draining = False
                self._wake()
        elif self._queues[pipeline].unreachable:
            self._queues[pipeline].unreachable = ""
            logger.info("%s: its server answers", pipeline)
            self._wake()

    def _away(self, pipeline: str, reason: str) -> None:
        queue = self._queues[pipeline]
        if queue.queued or queue.running:
            if queue.unreachable != reason:
                logger.warning("%s; %d jobs wait for it", reason, queue.queued)
            self._refresher.hurry(pipeline)
        queue.unreachable = reason

    def _report(self, job: NormalizedJobRecord, fraction: float, step: int | None, steps: int | None) -> None:
        self._fractions[job.job_id] = fraction
        context, preview = job.learning_context, self._pool.previews.find(job.job_id)
        message = JobProgress(
            job_id=job.job_id,
            learning_context=context,
            fraction=fraction,
            step=step,
            steps=steps,
            preview=preview.number if preview else UNSET,
        )
        tokens = (context.experiment_id, context.variant_index) if context else ()
        topic = topics.build(JOB_PROGRESS, *tokens)
        self.publisher.publish_ephemeral(topic, message)
        if self._cluster:
            self._cluster.tell(topic, message)

    def _preview(self, params: JobParams) -> PreviewReply:
        found = self._pool.previews.find(params.job_id)
        if found is None:
            text = f"job {params.job_id!r} has no preview: a running job may have one, where its pipeline makes them"
            raise ControlError("not_found", text)
        return PreviewReply(number=found.number, media_type=found.picture.media_type, data=found.picture.data)

    def _points(self) -> Iterator[Point]:
        yield "variantbus_jobs", {"state": "queued"}, self._queues.queued
        yield "variantbus_jobs", {"state": "running"}, self._queues.running
        yield "variantbus_outputs_writable", {}, int(not self._disk.room.reason)

    def _offer(self, _params: NoParams) -> PipelinesReply:
        return self._offers()

    def _offers(self) -> PipelinesReply:
        return PipelinesReply(
            pipelines=self._stages,
            outputs=str(self._outputs.root) if self.publisher.methods.role == "command" else "",
            queued=self._queues.queued,
            running=self._queues.running,
            paused=self._queues.paused,
            lanes=self._queues.views(time.monotonic(), self._service.end_awaited()),
            scorers=self._scorers,
        )
