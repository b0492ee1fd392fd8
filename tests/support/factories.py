"""Examples of what jobs and experiments are made of, and our services in threads of their own."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Config, Scalar, VariantValue
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import (
    ImageRef,
    JobCompleted,
    JobError,
    JobProgress,
    JobQueued,
    JobResult,
    JobStarted,
    LearningContext,
    Message,
    Totals,
    VariantState,
    decode_body,
)
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.contracts.topics import STATE_TOPICS
from bus.eventlog.log import Log
from bus.protocol.frames import Record
from bus.transport.loop import Loop
from learning_service.events.router import Applied, JobEvent, LearningController, Outcome
from learning_service.experiments.model import Experiment
from learning_service.experiments.phases import JobPhase
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.variants import Variant
from pipeline_runner.execution.workers import Calls
from pipeline_runner.queue.jobs import NormalizedJobRecord
from tests.support.helpers import PATIENCE, TIME_FACTOR, call_in

EXPERIMENT: Final = "exp-1"
VARIABLE: Final = "cfg_scale"
PROGRAM_STAGE: Final = StageSpec(  # of the pipeline `command`
    config={"command": VariableSpec(kind="list")},
    required=("command",),
    template="command",
    provided=("output_dir",),
)
T = TypeVar("T")


def context(
    index: int = 0,
    value: VariantValue = 2.0,
    *,
    experiment: str = EXPERIMENT,
    variable: str = VARIABLE,
    repeat: int = 0,
) -> LearningContext:
    """Return the mark of a job of the example experiment."""
    return LearningContext(
        experiment_id=experiment,
        experiment_name="CFG sweep",
        variant_index=index,
        variable_under_test=variable,
        variant_value=value,
        repeat_index=repeat,
    )


def image(name: str = "a") -> ImageRef:
    """Return a reference to a picture; what tells it from others is its `sha256`."""
    return ImageRef(sha256=name, path=f"exp-1/{name}.png", width=64, height=64, seed=7)


def well(*images: str, **metrics: float) -> JobResult:
    """Return the result of a job that ended well."""
    return JobResult(success=True, images=tuple(image(name) for name in images), metrics=metrics)


def badly(message: str | None = "out of memory") -> JobResult:
    """Return the result of a job that failed."""
    return JobResult(success=False, error=None if message is None else JobError(kind="internal", message=message))


CANCELLED: Final = JobResult(success=False, cancelled=True)


class JobScript:
    """Writes the events of one job as its runner would; `mark` is its learning context."""

    def __init__(self, mark: LearningContext | None, name: str | None = None) -> None:
        """Name the job as the plan does, unless it has another name."""
        self.mark = mark
        planned = PlannedJob(mark.variant_index, mark.repeat_index) if mark else PlannedJob(0, 0)
        self.name = name or job_id(mark.experiment_id if mark else "alone", planned)

    def queued(self, *, attempt: int = 0, at: float = 10.0) -> JobQueued:
        """The job is in the queue."""
        return JobQueued(
            job_id=self.name,
            stage="txt2img",
            pipeline="embedded",
            attempt=attempt,
            learning_context=self.mark,
            queued_at=at,
        )

    def started(self, *, attempt: int = 1, at: float = 11.0) -> JobStarted:
        """A worker has taken the job."""
        return JobStarted(
            job_id=self.name,
            stage="txt2img",
            pipeline="embedded",
            attempt=attempt,
            learning_context=self.mark,
            started_at=at,
        )

    def completed(self, result: JobResult | None = None, *, attempt: int = 1, at: float = 13.0) -> JobCompleted:
        """The job has ended: well, unless a result says otherwise."""
        return JobCompleted(
            job_id=self.name,
            stage="txt2img",
            pipeline="embedded",
            attempt=attempt,
            learning_context=self.mark,
            config={},
            result=result or well(),
            queued_at=10.0,
            started_at=11.0,
            finished_at=at,
        )


def definition(
    values: Iterable[Scalar] = (2.0, 4.0), *, jobs: int = 1, name: str = VARIABLE, config: Config | None = None
) -> ExperimentDefinition:
    """Return the definition of the example experiment."""
    return ExperimentDefinition(
        name="CFG sweep",
        variable=Variable(name=name, values=list(values)),
        jobs_per_variant=jobs,
        seed=100,
        config={"prompt": "a blue star", "steps": 4, "width": 16, "height": 16} if config is None else config,
    )


def planned_jobs(index: int = 0, count: int = 1, experiment: str = EXPERIMENT) -> dict[str, JobPhase]:
    """Return the jobs of a variant before anything has happened to them."""
    return {job_id(experiment, PlannedJob(index, repeat)): "planned" for repeat in range(count)}


def plan_jobs(seeds: int, variants: int) -> list[PlannedJob]:
    """Return the jobs of a plan, seed by seed."""
    return [PlannedJob(index, repeat) for repeat in range(seeds) for index in range(variants)]


def planned_experiment(values: Iterable[Scalar] = (2.0, 4.0), *, jobs: int = 1) -> Experiment:
    """Return the example experiment as it is after its creation."""
    listed = list(values)
    plan = definition(listed, jobs=jobs)
    experiment = Experiment(
        EXPERIMENT,
        plan,
        [
            Variant(index=index, value=value, jobs=planned_jobs(index, jobs), revision=1)
            for index, value in enumerate(listed)
        ],
        created_at=1.0,
    )
    experiment.revision = 1
    return experiment


def counted(experiment: Experiment) -> tuple[VariantState, Totals]:
    """Count an experiment anew, one variant after the other; the status is that of a fresh one with the same."""
    present = list(experiment.variants.values())
    fresh = Experiment(experiment.experiment_id, experiment.definition, present, created_at=1.0)
    totals = Totals(
        variants=len(present),
        jobs=sum(variant.planned for variant in present),
        running=sum(variant.running for variant in present),
        completed=sum(variant.completed for variant in present),
        failed=sum(variant.failed for variant in present),
        cancelled=sum(variant.cancelled for variant in present),
    )
    return fresh.status, totals


@dataclass
class RouterHarness:
    """A controller with the experiments that it finds; an adopted one is kept, as the follower does."""

    experiments: dict[str, Experiment] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Make the controller."""
        self.controller = LearningController(**self.options)

    def handle(self, event: JobEvent) -> Outcome:
        """Route one event."""
        outcome = self.controller.handle(event, self.experiments.get, self.deleted.__contains__)
        if isinstance(outcome, Applied):
            experiment = self.experiments.setdefault(outcome.experiment.experiment_id, outcome.experiment)
            experiment.put(outcome.variant)
            experiment.note_event(outcome.time, has_started=not isinstance(event, JobQueued))
            if isinstance(event, JobCompleted):
                experiment.note_run(event.started_at, event.finished_at)
        return outcome

    def find_running(self, event: JobProgress) -> Experiment | None:
        """Return the experiment that the progress of a job belongs to."""
        return self.controller.find_running(event, self.experiments.get)

    def variant(self, index: int = 0, experiment: str = EXPERIMENT) -> Variant:
        """Return the present state of a variant."""
        return self.experiments[experiment].variants[index]


def router_harness(values: Iterable[Scalar] = (2.0, 4.0), *, jobs: int = 1, **options: Any) -> RouterHarness:
    """Return a controller that knows the example experiment."""
    return RouterHarness({EXPERIMENT: planned_experiment(values, jobs=jobs)}, options)


def judged(outcome: Outcome) -> tuple[str, str]:
    """Return what is counted of an outcome."""
    return outcome.label


def request_for(
    name: str = "job-1",
    *,
    pipeline: str = "embedded",
    stage: str = "txt2img",
    config: Config | None = None,
    mark: LearningContext | None = None,
) -> JobRequest:
    """Return a job as it is submitted."""
    small: Config = {"steps": 2, "width": 16, "height": 16}
    return JobRequest(
        job_id=name,
        pipeline=pipeline,
        stage=stage,
        config=small if config is None else config,
        learning_context=mark,
    )


def record_of(
    name: str = "job-1",
    *,
    pipeline: str = "embedded",
    stage: str = "txt2img",
    config: Config | None = None,
    mark: LearningContext | None = None,
) -> NormalizedJobRecord:
    """Return a job as its worker gets it."""
    return NormalizedJobRecord(
        job_id=name,
        pipeline=pipeline,
        stage=stage,
        config={} if config is None else config,
        learning_context=mark,
        state="running",
        attempt=1,
        queued_at=10.0,
        started_at=11.0,
    )


class Reports(list[tuple[float, int | None, int | None]]):
    """Takes the progress of a pipeline: fraction, step, and number of steps of each report, and the previews."""

    def __init__(self) -> None:
        """Have no report."""
        super().__init__()
        self.previews: list[bytes] = []

    def __call__(
        self, fraction: float, step: int | None = None, steps: int | None = None, *, preview: bytes | None = None
    ) -> None:
        """Record one report."""
        self.append((fraction, step, steps))
        if preview is not None:
            self.previews.append(preview)


def pool_calls(**calls: Callable[..., Any]) -> Calls:
    """Return what a pool of workers calls: some of it a test's own, the others do nothing."""
    nothing: dict[str, Callable[..., Any]] = {
        "done": lambda *_: None,
        "report": lambda *_: None,
        "find": lambda *_: None,
        "reused": lambda *_: None,
        "made": lambda *_: (),
    }
    return Calls(**{**nothing, **calls})


def messages(records: Iterable[Record]) -> list[Message | None]:
    """Decode what was logged."""
    return [decode_body(record.body) for record in records]


class Closeable(Protocol):
    """What the thread of a service closes at its end."""

    def close(self) -> None:
        """Release what was opened."""


S = TypeVar("S", bound=Closeable)


class ServiceThread(Generic[S]):
    """A service with its log and loop, in a thread of its own, as in its process."""

    def __init__(self, path: Path, make: Callable[[Log, Loop], S]) -> None:
        """Start the thread and wait until the service is made."""
        self._made: Future[S] = Future()
        self._where = (path, make)
        self.error: BaseException | None = None  # what ended the loop before its time
        self.thread = threading.Thread(target=self._run, name=f"hosted {path.name}", daemon=True)
        self.thread.start()
        self.service = self._made.result(PATIENCE * TIME_FACTOR)

    def call(self, function: Callable[[], T]) -> T:
        """Run a function in the service's thread and return its result."""
        return call_in(self.loop, function)

    def logged(self, prefix: str = "") -> list[Message | None]:
        """Return the messages of the service's log, oldest first."""
        return self.call(lambda: messages(self.log.fetch(prefix, 0).records))

    def stop(self) -> None:
        """Close everything in good order; what ended the loop before is raised here."""
        if self.thread.is_alive():
            self.loop.call(self.loop.stop)
            self.thread.join(PATIENCE * TIME_FACTOR)
            assert not self.thread.is_alive(), "the service's thread does not end"
        error, self.error = self.error, None
        if error:
            raise error

    def _run(self) -> None:
        path, make = self._where
        try:
            self.log, self.loop = Log(path, keep_newest=STATE_TOPICS), Loop()
            try:
                service = make(self.log, self.loop)
                self._made.set_result(service)
                try:
                    self.loop.run()
                finally:
                    service.close()
            finally:
                self.loop.close()
                self.log.close()
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's thread
            if self._made.done():
                self.error = error
            else:
                self._made.set_exception(error)
