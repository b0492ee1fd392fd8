"""Learning services with runners for the tests: real ones, and scripted ones that speak the control protocol."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import CreateParams, ExperimentParams, ExperimentView
from bus.contracts.jobs import (
    CancelParams,
    CancelReply,
    JobListReply,
    JobParams,
    JobRequest,
    JobView,
    LaneView,
    PipelinesReply,
    SubmitParams,
    SubmitReply,
)
from bus.contracts.messages import EventRejected, JobCompleted, JobResult, JobState, Message, VariantStatus
from bus.contracts.outputs import OutputRemoveParams, OutputRemoveReply
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError, ErrorCode, MetricsReply, NoParams, Role
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from bus.transport.loop import Loop
from bus.transport.server import MethodServer
from bus.transport.sockets import Frame
from learning_service.experiments.selection import Selection
from learning_service.service import LearningService
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result
from pipeline_runner.service import Runner
from tests.support.factories import EXPERIMENT, JobScript, ServiceThread, definition, well
from tests.support.helpers import LOCALHOST, REPLY_SECONDS, TIME_FACTOR, Service, deadline, wait_until
from tests.support.log_files import remove_oldest

STAGES = {"txt2img": StageSpec(variables={"cfg_scale": VariableSpec(kind="float"), "prompt": VariableSpec(kind="str")})}
SMALL = definition(config={"prompt": "a blue star"})


class ScriptedRunner:
    """Speaks a runner's protocol: takes jobs and remembers them, and publishes the events that a test says."""

    def __init__(
        self, path: Path, place: "ScriptedRunner | None" = None, *, pipelines: tuple[str, ...] = ("embedded",)
    ) -> None:
        """Start, at the addresses of a dead one if given."""
        self.jobs: dict[str, JobRequest] = {}
        self.cancels: list[str] = []
        self.views: dict[str, JobView] = {}  # what `job.show` says
        self.shown: list[str] = []  # the jobs that were asked for
        self.refusal: str | None = None
        self.refused: set[str] = set()  # jobs for which a whole request is refused
        self.refuses_with: ErrorCode = "invalid_request"
        self.details: Callable[[int, JobRequest], dict[str, str]] = lambda _number, _job: {}  # of that error
        self.stages = STAGES
        self.offers: dict[str, dict[str, StageSpec]] = {}  # where a pipeline offers something else
        self.before_submit: Callable[[], object] = lambda: None
        self.queue = 0
        self.rooms: dict[str, int] = {}  # for how many more jobs of a pipeline there is room; else without bound
        self.concurrency = 1  # of each pipeline that has a room
        self.requests = 0  # submissions that came
        self.stops: list[bool] = []  # of each cancel: are running jobs to be stopped?
        self.removals: list[str] = []  # experiments whose jobs and results were to be removed
        self.busy: set[str] = set()  # those of them that have unended jobs, until they are cancelled
        self.pipelines = pipelines
        feed = place.service.publisher.feed if place else LOCALHOST
        control = place.service.publisher.control if place else LOCALHOST
        self.service: Service = Service(path, feed=feed, control=control)
        self.address = self.service.address
        self.service.call(self._add_methods)

    def _add_methods(self) -> None:
        methods = self.service.publisher.methods
        methods.add("pipelines", NoParams, self._pipelines)
        methods.add("job.submit", SubmitParams, self._submit)
        methods.add("job.cancel", CancelParams, self._cancel)
        methods.add("job.show", JobParams, self._show)
        methods.add("output.remove", OutputRemoveParams, self._remove)

    def _remove(self, params: OutputRemoveParams) -> OutputRemoveReply:
        self.removals += params.experiment_ids
        busy = [one for one in params.experiment_ids if one in self.busy]
        return OutputRemoveReply(files=0, bytes=0, jobs=0, more=False, busy=busy)

    def _show(self, params: JobParams) -> JobView:
        self.shown.append(params.job_id)
        if params.job_id not in self.views:
            raise ControlError("not_found", f"job {params.job_id} is unknown")
        return self.views[params.job_id]

    def _pipelines(self, _params: NoParams) -> PipelinesReply:
        offered = dict.fromkeys(self.pipelines, self.stages) | self.offers
        lanes = {name: lane(room, self.concurrency) for name, room in self.rooms.items()}
        return PipelinesReply(pipelines=offered, outputs="/", queued=self.queue, running=0, lanes=lanes)

    def _submit(self, params: SubmitParams) -> SubmitReply:
        self.before_submit()
        self.requests += 1
        if self.refusal:
            raise InvalidInputError(self.refusal)
        for number, job in enumerate(params.jobs):
            if job.job_id in self.refused:
                text = f"{job.job_id}: config.cfg_scale: not today"
                raise ControlError(self.refuses_with, text, self.details(number, job))
        new = [job for job in params.jobs if job.job_id not in self.jobs]
        wanted = Counter(job.pipeline for job in new)
        for name, room in self.rooms.items():
            if wanted[name] > room:
                raise ControlError("unavailable", "full", {"pipeline": name, "room": str(room)})
        self.rooms = {name: room - wanted[name] for name, room in self.rooms.items()}
        self.jobs.update({job.job_id: job for job in new})  # last: a test that sees them may set other rooms
        return SubmitReply(accepted=len(new), known=len(params.jobs) - len(new), rooms=self.rooms)

    def _cancel(self, params: CancelParams) -> CancelReply:
        self.cancels.append(params.experiment_id or "")
        self.busy.discard(params.experiment_id or "")
        self.stops.append(not params.finish_running)
        return CancelReply(cancelled=0)

    def publish(self, *events: Message) -> None:
        """Log events and send them, in one transaction."""

        def write() -> None:
            with self.service.log.transaction() as tx:
                for event in events:
                    mark = getattr(event, "learning_context", None)
                    kind: str = type(event).__struct_config__.tag  # type: ignore[assignment]  # ours are texts
                    tokens = (mark.experiment_id, mark.variant_index) if mark else ()
                    tx.append(topics.build(f"{kind}.", *tokens), event)

        self.service.call(write)

    def finish(self, name: str, result: JobResult | None = None) -> None:
        """Publish the end of a job that was submitted."""
        self.publish(self.end_of(name, result))

    def end_of(self, name: str, result: JobResult | None = None) -> JobCompleted:
        """Return the end of a job that was submitted, and tell of it whoever asks for the job."""
        ended = JobScript(self.jobs[name].learning_context, name).completed(result)
        self.views[name] = JobView(
            job_id=name,
            pipeline=ended.pipeline,
            stage=ended.stage,
            state="completed" if ended.result.success else "failed",
            attempt=ended.attempt,
            queued_at=ended.queued_at,
            started_at=ended.started_at,
            finished_at=ended.finished_at,
            config=ended.config,
            learning_context=ended.learning_context,
            result=ended.result,
        )
        return ended

    def forget(self) -> None:
        """Let retention take all that was logged."""
        self.service.call(lambda: remove_oldest(self.service.log, self.service.log.head))

    def stop(self) -> None:
        """End in good order."""
        self.service.stop()


def lane(room: int, concurrency: int = 1) -> LaneView:
    """Return what a runner tells of a pipeline that takes so many more jobs."""
    return LaneView(queued=0, running=0, concurrency=concurrency, room=room, paused=False, waits_for="")


def name_job(number: int, _job: JobRequest) -> dict[str, str]:
    """Return the details of an error: which job of a request it is about."""
    return {"job": str(number)}


class LossyMethodServer(MethodServer):
    """Answers, but loses the first replies to a method."""

    def __init__(self, methods: MethodServer, method: bytes, count: int) -> None:
        """Take over the methods of a service."""
        super().__init__()
        self._methods = methods._methods
        self._lost, self.left = method, count

    def answer(self, frames: list[bytes], role: Role | None = "command") -> list[Frame]:
        """Do as asked, and tell it to a request that nobody made."""
        reply = super().answer(frames, role)
        if self.left and frames[1] == self._lost:
            self.left -= 1
            return [b"nobody's", *reply[1:]]
        return reply


class HeldPipeline(Pipeline):
    """A pipeline whose jobs run until the test lets them, or until they are cancelled."""

    def __init__(self) -> None:
        """Let nothing run to its end."""
        self.released = False
        self.ran: list[str] = []

    def stages(self) -> dict[str, StageSpec]:
        """Offer what the scripted runner does."""
        return STAGES

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Wait."""
        limit = deadline(60)
        while not self.released:
            progress(0.5)
            if cancelled():
                return cancelled_result()
            assert not limit.passed
            time.sleep(0.002)
        self.ran.append(job.job_id)
        return well(job.job_id, match=0.5)


class Stoppable(Protocol):
    """What a test starts."""

    def stop(self) -> None:
        """End in good order."""


T = TypeVar("T", bound=Stoppable)


class Services:
    """Starts runners and learning services in threads, and stops what is left."""

    def __init__(self, folder: Path) -> None:
        """Keep the files of all in one folder."""
        self._folder = folder
        self._started: list[Stoppable] = []
        self._numbers = itertools.count()

    def scripted(
        self,
        place: ScriptedRunner | None = None,
        *,
        again: bool = False,
        pipelines: tuple[str, ...] = ("embedded",),
    ) -> ScriptedRunner:
        """Start a scripted runner, perhaps in the place of a dead one: with a new, empty log, or again with its own."""
        path = self._folder / f"scripted-{next(self._numbers)}.db"
        if place and again:
            path = place.service.log.path
        return self._kept(ScriptedRunner(path, place, pipelines=pipelines))

    def runner(self, pipeline: Pipeline) -> ServiceThread[Runner]:
        """Start a real runner with one pipeline and one worker."""
        outputs = Outputs(self._folder / "outputs")

        def make(log: Log, loop: Loop) -> Runner:
            pipelines = {"embedded": pipeline}
            return Runner(log, loop, pipelines, outputs, workers=1, feed=LOCALHOST, control=LOCALHOST)

        return self._kept(ServiceThread(self._folder / "runner.db", make))

    def learning(self, *runners: str, folder: Path | None = None, **selection: Any) -> ServiceThread[LearningService]:
        """Start a learning service, perhaps with a folder of its own."""

        def make(log: Log, loop: Loop) -> LearningService:
            return LearningService(
                log, loop, Selection(runners=list(runners), **selection), feed=LOCALHOST, control=LOCALHOST
            )

        return self._kept(ServiceThread((folder or self._folder) / "learning.db", make))

    def stop(self) -> None:
        """Stop all, the newest first."""
        for one in reversed(self._started):
            one.stop()

    def _kept(self, one: T) -> T:
        self._started.append(one)
        return one


@contextmanager
def open_services(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Return services that repeat ten times as often what they usually repeat each second."""
    for name, seconds in (("PUMP_SECONDS", 0.1), ("POLL_SECONDS", 0.2), ("ASK_SECONDS", 0.5 * TIME_FACTOR)):
        monkeypatch.setattr(f"learning_service.dispatch.dispatcher.{name}", seconds)
    monkeypatch.setattr("learning_service.dispatch.purging.PURGE_SECONDS", 0.1)
    monkeypatch.setattr("bus.transport.retry.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("bus.publisher.HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr("bus.subscriber.source.TICK_SECONDS", 0.1 * TIME_FACTOR)  # four without a heartbeat are silence
    monkeypatch.setattr("bus.subscriber.source.ASK_SECONDS", 0.5 * TIME_FACTOR)
    services = Services(folder)
    try:
        yield services
    finally:
        services.stop()


def address_of(learning: ServiceThread[LearningService]) -> str:
    """Return the control address of a learning service."""
    return str(learning.service.publisher.control)


def outcomes(learning: ServiceThread[LearningService]) -> dict[str, int]:
    """Return what became of events since the service started, such as {"ignored no_learning_context": 1}."""
    metrics = request(address_of(learning), "metrics", {}, MetricsReply, REPLY_SECONDS).metrics
    samples = [one for metric in metrics if metric.name == "variantbus_events_routed_total" for one in metric.samples]
    return {f"{one.labels['outcome']} {one.labels['reason']}".rstrip(): int(one.value) for one in samples}


def create(
    learning: ServiceThread[LearningService], plan: ExperimentDefinition = SMALL, experiment_id: str = EXPERIMENT
) -> ExperimentView:
    """Create the example experiment, as soon as a runner has told what it offers."""
    params = CreateParams(experiment_id=experiment_id, definition=plan)
    limit = deadline()
    while True:
        try:
            return request(address_of(learning), "experiment.create", params, ExperimentView, REPLY_SECONDS)
        except ControlError as error:
            if error.code != "unavailable" or limit.passed:
                raise


def show(learning: ServiceThread[LearningService], experiment_id: str = EXPERIMENT) -> ExperimentView:
    """Ask how an experiment is."""
    params = ExperimentParams(experiment_id=experiment_id)
    return request(address_of(learning), "experiment.show", params, ExperimentView, REPLY_SECONDS)


def wait_for(learning: ServiceThread[LearningService], status: str, experiment_id: str = EXPERIMENT) -> ExperimentView:
    """Wait until an experiment has a status."""
    views: list[ExperimentView] = []

    def has_it() -> bool:
        try:
            views.append(show(learning, experiment_id))
        except ControlError as error:
            if error.code != "not_found":
                raise
            return False  # not discovered yet
        return views[-1].status == status

    wait_until(has_it, what=f"status {status}")
    return views[-1]


def statuses(learning: ServiceThread[LearningService], prefix: str = "variant.status.") -> list[VariantStatus]:
    """Return what was published of variants."""
    return [message for message in learning.logged(prefix) if isinstance(message, VariantStatus)]


def rejections(learning: ServiceThread[LearningService]) -> list[EventRejected]:
    """Return the events that were refused."""
    return [message for message in learning.logged("event.rejected.") if isinstance(message, EventRejected)]


def query(learning: ServiceThread[LearningService], statement: str) -> list[tuple[Any, ...]]:
    """Ask the service's own tables."""
    return learning.call(lambda: learning.log.query(statement))


def wait_laid_out(learning: ServiceThread[LearningService]) -> None:
    """Wait until each planned job has its row: that happens after the reply to the request which planned it."""
    wait_until(lambda: not query(learning, "SELECT * FROM layouts"), what="the rows of the planned jobs")


def wait_confirmed(learning: ServiceThread[LearningService]) -> None:
    """Wait until the service knows that its runner has all jobs: the runner has them before that."""
    wait_until(lambda: query(learning, "SELECT min(acknowledged) FROM jobs") == [(1,)], what="the confirmation")


def jobs_in(runner: ServiceThread[Runner], state: JobState | None = None) -> list[str]:
    """Return the jobs of a real runner."""
    reply = request(str(runner.service.publisher.control), "job.list", {"state": state}, JobListReply, REPLY_SECONDS)
    return sorted(job.job_id for job in reply.jobs)


ALL = ["exp-1.0.0.0", "exp-1.1.0.0"]
TOO_MUCH = "CREATE TRIGGER too_much AFTER UPDATE ON jobs BEGIN INSERT INTO room VALUES (zeroblob(100000)); END"


def fill_up(learning: ServiceThread[LearningService]) -> None:
    """Leave no room in the service's file."""
    pages = query(learning, "PRAGMA page_count")[0][0]
    query(learning, f"PRAGMA max_page_count = {pages}")


def make_room(learning: ServiceThread[LearningService]) -> None:
    """Let the file grow again."""
    query(learning, "PRAGMA max_page_count = 1000000")
