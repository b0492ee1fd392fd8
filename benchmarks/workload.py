"""What is sent: the jobs of planned experiments, in the order in which a runner with one queue completes them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from bus import topics
from bus.messages import (
    Config,
    ExperimentDefinition,
    ImageRef,
    JobCompleted,
    JobResult,
    Scalar,
    Variable,
    VariantStatus,
)
from bus.specs import StageSpec, VariableSpec
from learning_service.plan import job_request, plan_jobs, plan_values

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
FIRST_TIME: Final = 1_760_000_000.0  # unix seconds; a fixed one, so that every run sends the same bytes
JOB_SECONDS: Final = 1.75
PLANNED_REVISION: Final = 1  # of a variant when its experiment is created; each job that ends adds one


IDLE_VARIANTS: Final = 2  # of an experiment that waits; one job each


class Workload(Struct, frozen=True):
    """Some experiments of equal shape; one event is one job that ended."""

    experiments: int
    variants: int
    jobs_per_variant: int

    @property
    def events(self) -> int:
        """How many jobs there are."""
        return self.experiments * self.variants * self.jobs_per_variant

    def experiment_ids(self) -> list[str]:
        """Give the ids: a slug and a suffix, as `variantbus experiment run` makes them."""
        return [f"cfg-sweep-{number:06x}" for number in range(self.experiments)]


def definition(variants: int, jobs_per_variant: int) -> ExperimentDefinition:
    """Give what a person would write into the experiment file."""
    values: list[Scalar] = [1.0 + index / 4 for index in range(variants)]
    return ExperimentDefinition(
        name="CFG sweep",
        variable=Variable(name=VARIABLE, values=values),
        pipeline=PIPELINE,
        stage=STAGE,
        jobs_per_variant=jobs_per_variant,
        seed=1234,
        config=CONFIG,
    )


def completions(workload: Workload) -> Iterator[tuple[str, JobCompleted]]:
    """Give topic and message of every job: experiment by experiment, repeat by repeat, each variant in turn."""
    plan = definition(workload.variants, workload.jobs_per_variant)
    values = plan_values(plan.variable)
    now = FIRST_TIME
    for experiment_id in workload.experiment_ids():
        for job in plan_jobs(plan, len(values)):
            request = job_request(experiment_id, plan, values[job.variant_index], job)
            now += JOB_SECONDS
            yield (
                topics.build(topics.JOB_COMPLETED, experiment_id, job.variant_index),
                JobCompleted(
                    job_id=request.job_id,
                    stage=request.stage,
                    pipeline=request.pipeline,
                    attempt=1,
                    learning_context=request.learning_context,
                    config=request.config,
                    result=_result(request.job_id, plan.seed + job.repeat_index),
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
    """Sees to it that every revision of every variant arrives, in order and once."""

    workload: Workload
    seen: int = 0
    _revisions: dict[tuple[str, int], int] = field(default_factory=dict)

    def take(self, status: object) -> None:
        """Take one message.

        Raises:
            LostEventError: it is not the one that has to come now.
        """
        if not isinstance(status, VariantStatus):
            raise LostEventError(f"{type(status).__name__} instead of a variant.status")
        key = (status.experiment_id, status.variant_index)
        expected = self._revisions.get(key, PLANNED_REVISION) + 1
        if status.revision != expected or status.completed != expected - PLANNED_REVISION:
            raise LostEventError(f"{key}: revision {status.revision} instead of {expected}")
        self._revisions[key] = expected
        self.seen += 1

    @property
    def done(self) -> bool:
        """Has every variant come to its end?

        Raises:
            LostEventError: as many messages as there are events have come, and variants are missing.
        """
        if self.seen < self.workload.events:
            return False
        last = PLANNED_REVISION + self.workload.jobs_per_variant
        if len(self._revisions) != self.workload.experiments * self.workload.variants or any(
            revision != last for revision in self._revisions.values()
        ):
            raise LostEventError(f"{self.seen} messages, and not every variant has ended")
        return True
