"""A runner of a cluster that does what a test says, and a learning service that sends its jobs to a cluster."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import nats.errors
from msgspec import Raw
from nats.js.errors import APIError

from bus.cluster import ends, jobs, names
from bus.cluster.access import parse_access
from bus.cluster.connection import Connection
from bus.cluster.errors import ClusterError
from bus.cluster.faults import FAULTS
from bus.cluster.messages import Announcement, CancelNews, End, RepeatRequest, decode_as, encode
from bus.contracts.jobs import JobRequest, PipelinesReply
from bus.contracts.messages import JobProgress, JobResult, JobStarted
from bus.eventlog.log import Log
from bus.protocol import frames, topics
from bus.transport.loop import Loop
from learning_service.cluster.link import ClusterRunners
from learning_service.experiments.selection import Selection
from learning_service.service import LearningService
from tests.support.clusters import Client
from tests.support.factories import JobScript, ServiceThread
from tests.support.helpers import LOCALHOST, PATIENCE, wait_until
from tests.support.learning_services import STAGES, lane

PIPELINE: Final = "embedded"
ANNOUNCE_SECONDS: Final = 5.0


class ClusterRunner:
    """Takes jobs of one pipeline from a cluster; commits, or keeps, what a test says."""

    def __init__(self, client: Client, name: str = "machine-1", *, workers: int = 2) -> None:
        """Announce itself, now and again: the bucket forgets it after half a minute, and a test may take longer."""
        self._client, self.name, self._workers = client, name, workers
        self.epoch, self.number, self.complete = 7, 0, 0
        self.jobs: dict[str, JobRequest] = {}
        self._replies: dict[str, str] = {}
        self.ends: dict[str, tuple[str, End]] = {}  # what was committed: its subject and itself
        self.cancels: list[CancelNews] = []
        self.repeats: list[RepeatRequest] = []
        client.run(self._listen())
        self.announce()
        client.connection.submit(self._keep_announcing())

    def announce(self) -> None:
        """Say what it offers."""
        self._client.run(self._announce())

    async def _keep_announcing(self) -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_SECONDS)
            with suppress(*FAULTS):  # servers may be away
                await self._announce()

    async def _announce(self) -> None:
        lanes = {PIPELINE: lane(1, self._workers)}
        offers = PipelinesReply(pipelines={PIPELINE: STAGES}, outputs="/", queued=0, running=0, lanes=lanes)
        body = encode(Announcement(runner=self.name, control="tcp://127.0.0.1:1", offers=offers))
        await self._client.js.publish(f"$KV.{names.RUNNERS}.{self.name}", body)

    def take(self) -> str | None:
        """Take a job, if one waits, and return its id."""
        client = self._client.connection.client
        for found in self._client.run(jobs.fetch(client, self._client.js, PIPELINE, 1)):
            request = decode_as(JobRequest, found.request)
            self.jobs[request.job_id], self._replies[request.job_id] = request, found.reply
            return request.job_id
        return None

    def take_all(self, count: int) -> list[str]:
        """Take so many jobs, as they come."""
        taken: list[str] = []

        def has_all() -> bool:
            if job_id := self.take():
                taken.append(job_id)
            return len(taken) >= count

        wait_until(has_all, what=f"{count} jobs in the cluster")
        return taken

    def start(self, job_id: str, fraction: float | None = None) -> None:
        """Tell that a job has started, and perhaps how far it is."""
        request = self.jobs[job_id]
        script = JobScript(request.learning_context, job_id)
        self._tell("job.started.", script.started())
        if fraction is not None:
            told = JobProgress(job_id=job_id, learning_context=request.learning_context, fraction=fraction)
            self._tell("job.progress.", told)

    def finish(self, job_id: str, result: JobResult | None = None) -> ends.Outcome:
        """Commit the end of a job, and acknowledge the job."""
        subject, end = self.end_of(job_id, self.number + 1, result)
        outcome: ends.Outcome = self._client.run(ends.commit(self._client.js, subject, end))
        if outcome == "won":  # the number of one that was fenced is used again
            self.number = self.complete = end.number
            self.ends[job_id] = (subject, end)
        self.forget(job_id)
        return outcome

    def end_of(self, job_id: str, number: int, result: JobResult | None = None) -> tuple[str, End]:
        """Return the end of a job as it would be committed, with its subject."""
        context = self.jobs[job_id].learning_context
        assert context
        body = Raw(frames.encode(JobScript(context, job_id).completed(result)))
        run, at, complete = uuid.uuid4().hex, self.epoch, self.complete
        end = End(run=run, runner=self.name, epoch=at, number=number, complete=complete, body=body)
        return names.end_subject(context.experiment_id, context.variant_index, job_id), end

    def repeat(self) -> None:
        """Commit again what is not there, as it was."""
        for subject, end in self.ends.values():
            self._client.run(ends.commit(self._client.js, subject, end))

    def forget(self, job_id: str) -> None:
        """Acknowledge a job."""
        self._client.run(self._client.connection.client.publish(self._replies[job_id], jobs.ACK))

    def _tell(self, base: str, event: JobStarted | JobProgress) -> None:
        context = event.learning_context
        assert context
        topic = topics.build(base, context.experiment_id, context.variant_index)
        subject = names.NEWS + topic.removesuffix(".")
        self._client.run(self._client.connection.client.publish(subject, frames.encode(event)))

    async def _listen(self) -> None:
        async def cancelled(message: Any) -> None:
            self.cancels.append(decode_as(CancelNews, message.data))

        async def repeated(message: Any) -> None:
            self.repeats.append(decode_as(RepeatRequest, message.data))

        client = self._client.connection.client
        await client.subscribe(names.CANCEL, cb=cancelled)
        await client.subscribe(names.REPEAT + self.name, cb=repeated)
        await client.flush()


def learning_of(url: str, path: Path) -> ServiceThread[LearningService]:
    """Start a learning service whose runners are those of a cluster; its connection ends with it."""

    class Led(LearningService):
        """Closes its connection, which in earnest lives longer."""

        def __init__(self, log: Log, loop: Loop) -> None:
            self._connection = Connection(parse_access(url), "learning")
            runners = ClusterRunners(self._connection, log)
            try:
                super().__init__(log, loop, Selection(), feed=LOCALHOST, control=LOCALHOST, runners=runners)
            except BaseException:
                self._connection.close()
                raise

        def close(self) -> None:
            super().close()
            self._connection.close()

    make: Callable[[Log, Loop], LearningService] = Led
    return ServiceThread(path, make)


def insist(act: Callable[[], object]) -> None:
    """Do what servers may not answer in time, until they do; who tries again may find it done."""

    def is_done() -> bool:
        try:
            act()
        except (ClusterError, APIError, nats.errors.Error, TimeoutError):
            return False
        return True

    wait_until(is_done, 3 * PATIENCE, what="an answer")
