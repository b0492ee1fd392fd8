"""Runners of a cluster in threads, and what a learning service does there: it publishes jobs and reads their ends."""

import time
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.cluster import ends, names, streams
from bus.cluster.access import parse_access
from bus.cluster.ends import Stored
from bus.cluster.errors import ClusterError
from bus.cluster.faults import asked
from bus.cluster.messages import CancelNews, End, encode
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import ImageRef, JobCompleted, JobResult, LearningContext
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.eventlog.log import Log
from bus.transport.loop import Loop
from pipeline_runner.cluster.member import Member
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result
from pipeline_runner.service import Runner
from tests.support.clusters import Client
from tests.support.factories import ServiceThread, context, request_for
from tests.support.helpers import LOCALHOST, deadline, wait_until
from tests.support.nats_servers import NatsServers
from tests.support.painting_runner import picture

SECONDS: Final = 60.0  # a job is given to another runner after 30


class Gated(Pipeline):
    """Runs jobs until the test opens the gate of their runner."""

    def __init__(self, *, is_open: bool) -> None:
        """Begin with an open gate, or hold all jobs."""
        self.is_open = is_open
        self.ran: list[str] = []
        self.images: tuple[ImageRef, ...] = ()  # that it claims to have made

    def stages(self) -> dict[str, StageSpec]:
        """Take `level`."""
        return {"run": StageSpec(variables={"level": VariableSpec(kind="int")})}

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Wait."""
        self.ran.append(job.job_id)
        progress(0.5)
        limit = deadline(2 * SECONDS)
        while not self.is_open:
            if cancelled():
                return cancelled_result()
            assert not limit.passed
            time.sleep(0.002)
        return JobResult(success=True, images=self.images)


class Painting(Pipeline):
    """Makes another picture for each length of a job's name, at once, and large enough for a thumbnail."""

    def __init__(self, outputs: Outputs) -> None:
        """Make nothing yet."""
        self._outputs = outputs

    def stages(self) -> dict[str, StageSpec]:
        """Take no settings."""
        return {"paint": StageSpec()}

    def run(self, job: NormalizedJobRecord, _progress: Progress, _cancelled: Cancelled) -> JobResult:
        """Save the picture."""
        size = 500, 400 + len(job.job_id)
        made = self._outputs.save(job, picture(size), suffix=".png", media_type="image/png", size=size, seed=1)
        return JobResult(success=True, images=(made,))


class ClusterRunner:
    """A runner in a thread, which can be stopped and started again."""

    def __init__(self, url: str, folder: Path, *, workers: int, is_open: bool) -> None:
        """Start it."""
        self.gated = Gated(is_open=is_open)
        self.folder, self._url, self._workers = folder, url, workers
        folder.mkdir()
        self.start()

    def start(self) -> None:
        """Start it, again with its data."""
        self.thread = ServiceThread(self.folder / "runner.db", self._make)

    def stop(self) -> None:
        """Stop it in good order."""
        self.thread.stop()

    @property
    def control(self) -> str:
        """Where it can be asked."""
        return str(self.thread.service.publisher.control)

    def metric(self, name: str) -> float:
        """Return one of its metrics of the cluster."""
        found = self.thread.call(self.thread.service.publisher.metrics.collect)
        return next(one.samples[0].value for one in found if one.name == f"variantbus_cluster_{name}")

    def _make(self, log: Log, loop: Loop) -> Runner:
        outputs = Outputs(self.folder / "outputs")
        pipelines: dict[str, Pipeline] = {"gated": self.gated, "painting": Painting(outputs)}
        member = Member(log, loop, parse_access(self._url), outputs)
        self.name = member.name
        return Runner(
            log,
            loop,
            pipelines,
            outputs,
            workers=self._workers,
            feed=LOCALHOST,
            control=LOCALHOST,
            cluster=member,
        )


class Cluster:
    """The servers, some runners, and a client that is their learning service."""

    def __init__(self, nats: NatsServers, folder: Path) -> None:
        """Make the streams, with all copies that there will be."""
        self.nats, self._folder = nats, folder
        self.client = Client(nats.url)
        self.js, self.run = self.client.js, self.client.run
        self.runners: list[ClusterRunner] = []
        if len(nats.nodes) == streams.COPIES:
            self.client.ensure_three()
        else:
            self.client.ensure()

    def runner(self, *, workers: int = 1, is_open: bool = True) -> ClusterRunner:
        """Start a runner."""
        folder = self._folder / f"runner-{len(self.runners)}"
        self.runners.append(ClusterRunner(self.nats.url, folder, workers=workers, is_open=is_open))
        return self.runners[-1]

    def publish(self, *jobs: JobRequest) -> None:
        """Give jobs to whoever is free."""
        for one in jobs:
            body = msgspec.msgpack.encode(one)
            self.run(self.js.publish(names.job_subject(one.pipeline, names.band_of(one.priority), one.job_id), body))
        self.tell(names.WAKE, b"")

    def tell(self, subject: str, data: bytes) -> None:
        """Tell runners something that may be lost."""
        self.run(self.client.connection.client.publish(subject, data))
        self.run(self.client.connection.client.flush())

    def cancel(self, experiment_id: str, *, finish_running: bool = False) -> None:
        """Tell runners that an experiment is cancelled."""
        self.tell(names.CANCEL, encode(CancelNews(experiment_id=experiment_id, finish_running=finish_running)))

    def commit(self, request: JobRequest, run: str = "another") -> str:
        """Commit the end of a job as another one does; return whether it counts."""
        end = End(
            run=run, runner="another", epoch=1, number=0, complete=0, body=msgspec.Raw(msgspec.msgpack.encode({}))
        )
        return str(self.run(ends.commit(self.js, subject_of(request), end)))

    def end_of(self, job_id: str) -> Stored | None:
        """Return the end of a job."""
        try:
            found = self.run(asked(ends.find(self.js, names.any_end_of(job_id))))
        except ClusterError:  # it has no leader now: whoever waits asks again
            return None
        assert found is None or isinstance(found, Stored)
        return found

    def ended(self, job_id: str, seconds: float = SECONDS) -> JobCompleted:
        """Wait for the end of a job and return its body."""
        found: list[Stored] = []

        def has_ended() -> bool:
            if stored := self.end_of(job_id):
                found.append(stored)
            return bool(found)

        wait_until(has_ended, seconds, what=f"the end of {job_id}", longest_poll=0.2)
        return msgspec.msgpack.decode(found[0].end.body, type=JobCompleted)

    def count(self, stream: str) -> int:
        """Count the messages of a stream."""
        return self.client.count(stream)

    def wait_until_empty(self) -> None:
        """Wait until all jobs are acknowledged."""
        wait_until(lambda: self.count(names.JOBS) == 0, SECONDS, what="an empty queue", longest_poll=0.2)

    def close(self) -> None:
        """Stop everything."""
        for one in self.runners:
            one.stop()
        self.client.connection.close()


def gated(name: str, mark: LearningContext | None = None, **fields: Any) -> JobRequest:
    """Return a job of the example experiment that is held as long as the gate is closed."""
    request = request_for(name, pipeline="gated", stage="run", config={}, mark=mark or context())
    return msgspec.structs.replace(request, **fields)


def subject_of(request: JobRequest) -> str:
    """Return the subject of the end of a job."""
    mark = request.learning_context
    assert mark
    return names.end_subject(mark.experiment_id, mark.variant_index, request.job_id)
