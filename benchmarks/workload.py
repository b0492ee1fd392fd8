"""What is sent: the jobs of planned experiments, in the order in which a runner with one queue completes them."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Literal

from msgspec import Struct

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Config, Scalar
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import ImageRef, JobCompleted, JobResult, VariantStatus
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from bus.contracts.topics import JOB_COMPLETED
from bus.protocol import topics
from learning_service.experiments.grid import plan_values
from learning_service.experiments.plan import PlannedJob, job_request

PIPELINE: Final = "webui"
STAGE: Final = "txt2img"
VARIABLE: Final = "cfg_scale"
CONFIG: Final[Config] = {
    "prompt": "a lighthouse in a storm, oil painting",
    "negative_prompt": "blurry, text",
    "steps": 24,
    "sampler_name": "DPM++ 2M",
    "scheduler": "karras",
    "width": 768,
    "height": 512,
    "denoising_strength": 0.7,
    "clip_skip": 1,
}
STAGES: Final = {
    STAGE: StageSpec(
        variables={
            VARIABLE: VariableSpec(kind="float", minimum=0),
            "prompt": VariableSpec(kind="str"),
            "negative_prompt": VariableSpec(kind="str"),
            "steps": VariableSpec(kind="int", minimum=1, maximum=150),
            "sampler_name": VariableSpec(kind="str"),
            "scheduler": VariableSpec(kind="str"),
            "width": VariableSpec(kind="int", minimum=8),
            "height": VariableSpec(kind="int", minimum=8),
            "denoising_strength": VariableSpec(kind="float", minimum=0, maximum=1),
            "clip_skip": VariableSpec(kind="int", minimum=1),
        }
    )
}
SEED: Final = 1234
# Stage, variable and configuration. `noop` is the pipeline whose jobs do nothing: what remains is their way.
PIPELINES: Final[dict[str, tuple[str, str, Config]]] = {
    PIPELINE: (STAGE, VARIABLE, CONFIG),
    "noop": ("run", "level", {}),
}
FIRST_TIME: Final = 1_760_000_000.0  # unix seconds; a fixed one, so that every run sends the same bytes
JOB_SECONDS: Final = 1.75
PLANNED_REVISION: Final = 1  # of a variant when its experiment is created; each job that ends adds one


IDLE_VARIANTS: Final = 2  # of an experiment that waits; one job each


class Workload(Struct, frozen=True):
    """Some experiments of equal shape; one event is one job that ended."""

    experiments: int
    variants: int
    jobs_per_variant: int
    pipeline: Literal["webui", "noop"] = PIPELINE

    @property
    def events(self) -> int:
        """How many jobs there are."""
        return self.experiments * self.variants * self.jobs_per_variant

    def experiment_ids(self) -> list[str]:
        """Return the ids: a slug and a suffix, as `variantbus experiment run` makes them."""
        return [f"cfg-sweep-{number:06x}" for number in range(self.experiments)]

    def definition(self) -> ExperimentDefinition:
        """Return what a person would write into the experiment file."""
        values: list[Scalar] = [1.0 + index / 4 for index in range(self.variants)]
        stage, variable, config = PIPELINES[self.pipeline]
        return ExperimentDefinition(
            name="CFG sweep",
            variable=Variable(name=variable, values=values),
            pipeline=self.pipeline,
            stage=stage,
            jobs_per_variant=self.jobs_per_variant,
            seed=SEED,
            config=config,
        )


def planned_jobs(workload: Workload) -> Iterator[tuple[str, PlannedJob, JobRequest]]:
    """Return every job with its experiment: experiment by experiment, repeat by repeat, each variant in turn."""
    plan = workload.definition()
    values = plan_values(plan)
    for experiment_id in workload.experiment_ids():
        for repeat, index in product(range(plan.jobs_per_variant), range(len(values))):
            job = PlannedJob(index, repeat)
            yield experiment_id, job, job_request(experiment_id, plan, values[job.variant_index], job)


def completions(workload: Workload) -> Iterator[tuple[str, JobCompleted]]:
    """Return topic and message of the end of every job, in the order of a runner with one queue."""
    now = FIRST_TIME
    for experiment_id, job, request in planned_jobs(workload):
        now += JOB_SECONDS
        yield (
            topics.build(JOB_COMPLETED, experiment_id, job.variant_index),
            JobCompleted(
                job_id=request.job_id,
                stage=request.stage,
                pipeline=request.pipeline,
                attempt=1,
                learning_context=request.learning_context,
                config=request.config,
                result=_result(request.job_id, SEED + job.repeat_index),
                queued_at=FIRST_TIME,
                started_at=now - JOB_SECONDS,
                finished_at=now,
            ),
        )


def _result(job_id: str, seed: int) -> JobResult:
    sha256 = hashlib.sha256(job_id.encode()).hexdigest()
    return JobResult(
        success=True,
        images=(ImageRef(sha256=sha256, path=f"{sha256[:2]}/{sha256[:16]}.png", width=768, height=512, seed=seed),),
        metrics={"prompt_match": int(sha256[:4], 16) / 65_536, "sharpness": int(sha256[4:8], 16) / 65_536},
        seconds=JOB_SECONDS,
    )


class LostEventError(Exception):
    """A process did not get what it had to get, or got it twice: whatever it is, its speed does not count."""


@dataclass
class Checker:
    """Sees to it that revisions of every variant arrive, in order and once, until all jobs have completed.

    What was published together is one status, so revisions may be skipped; the last one has to count each job once.
    """

    workload: Workload
    first: int = PLANNED_REVISION + 1  # revision of a variant that is seen; what came before is not
    timed: bool = False  # whether to note when the end of each job is told of
    _times: dict[int, int] = field(default_factory=dict)  # number of the job in `completions` -> monotonic ns
    _ended: int = 0  # variants
    _seen: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # revision, completed jobs

    def take(self, status: object) -> None:
        """Take one message.

        Raises:
            LostEventError: it is not the one that has to come now.
        """
        if not isinstance(status, VariantStatus):
            raise LostEventError(f"{type(status).__name__} instead of a variant.status")
        key = (status.experiment_id, status.variant_index)
        revision, completed = self._seen.get(key, (self.first - 1, 0))
        has_ended = completed == self.workload.jobs_per_variant
        # each job that ends adds one; a revision may also say that a job is queued or has started
        is_next = 0 <= status.completed - completed <= status.revision - revision > 0
        if has_ended or not is_next:
            what = f"revision {status.revision} with {status.completed} jobs"
            raise LostEventError(f"{key}: {what} came after revision {revision} with {completed}")
        self._seen[key] = (status.revision, status.completed)
        if self.timed:
            self._note(status, completed)
        if status.completed == self.workload.jobs_per_variant:
            if status.status != "completed":
                raise LostEventError(f"{key}: {status.status} with all jobs completed")
            self._ended += 1

    def _note(self, status: VariantStatus, before: int) -> None:
        """Note that a status is the first to tell of the ends of some jobs; `before` says how many were told of."""
        workload, now = self.workload, time.monotonic_ns()
        experiment = workload.experiment_ids().index(status.experiment_id)
        for repeat in range(before, status.completed):
            number = (experiment * workload.jobs_per_variant + repeat) * workload.variants + status.variant_index
            self._times[number] = now

    @property
    def received(self) -> list[int]:
        """When the end of each job was told of, in the order of `completions`: monotonic nanoseconds."""
        return [self._times[number] for number in sorted(self._times)]

    @property
    def done(self) -> bool:
        """Return whether every variant has ended."""
        return self._ended == self.workload.experiments * self.workload.variants
