"""A job of the `webui` pipeline from its configuration to its result."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bus.contracts.fields import Config
from bus.contracts.messages import JobError, JobResult
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.outputs.images import ImageKind, kind_of
from pipeline_runner.pipelines import Cancelled, Progress
from pipeline_runner.pipelines.difference import Difference, spoiled
from pipeline_runner.pipelines.http_client import HttpClient, ServerFault
from pipeline_runner.pipelines.loras import loras_of
from pipeline_runner.pipelines.memory import with_memory
from pipeline_runner.pipelines.time_limit import timeout_of
from pipeline_runner.pipelines.webui.answer import NO_INFO, Answer, Further, count_of, effective_of, read_answer
from pipeline_runner.pipelines.webui.asked import asked_for, other_names
from pipeline_runner.pipelines.webui.drift import Size, differences, upscaled
from pipeline_runner.pipelines.webui.echoes import further_differences
from pipeline_runner.pipelines.webui.errors import fault_of
from pipeline_runner.pipelines.webui.generation import Generation, end_orphans, free_memory
from pipeline_runner.pipelines.webui.lists import Lists
from pipeline_runner.pipelines.webui.payload import build, read_pictures
from pipeline_runner.pipelines.webui.registry import STAGES
from pipeline_runner.pipelines.webui.settings import (
    LORA_HASHES,
    OF_SETTINGS,
    Made,
    put_back,
    read_options,
    read_settings,
)
from pipeline_runner.pipelines.webui.upscaling import was_only_resized
from pipeline_runner.queue.jobs import NormalizedJobRecord
from pipeline_runner.queue.retries import MAX_FAULTS

INTERRUPTED = "somebody interrupted or skipped the job at the server; the half-finished picture is not kept"
NO_MODEL = "a plain resize: it could not load the model of this upscaler, and its console says why"
SUBSTITUTED = "so the picture shows nothing of this value; look in the web UI what it is called there, or leave it out"


class WebuiJob:
    """One job at one server.

    Attributes:
        made: How the picture was made, once it is.
    """

    def __init__(self, client: HttpClient, lists: Lists, job: NormalizedJobRecord) -> None:
        """Read what the job starts from.

        Raises:
            InvalidInputError: the picture to start from cannot be read.
        """
        self._client, self._lists, self._job = client, lists, job
        self._asked = asked_for(job.config)
        self._pictures = read_pictures(self._asked)
        self._deadline = time.monotonic() + timeout_of(job.config)
        self._seen: tuple[Mapping[str, Any], ...] = ()
        self._own: Mapping[str, Any] = {}  # the settings that it sets itself
        self.made: Made | None = None

    def run(self, outputs: Outputs, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Make the picture, compare its settings with the request, and save it.

        Raises:
            InvalidInputError: the server has not got what the job asks for.
            NoImageError: the answer holds no whole picture.
            ServerFault: there is no usable answer.
            JobCancelled: it was cancelled.
        """
        if self._job.stage != "upscale":  # which has no tasks
            end_orphans(self._client, self._earlier_tasks(), cancelled, self._deadline)
        before = read_settings(self._client, None) if OF_SETTINGS & self._asked.keys() else None
        try:
            return self._made_picture(outputs, progress, cancelled)
        finally:
            put_back(self._client, before, self._own)

    def _made_picture(self, outputs: Outputs, progress: Progress, cancelled: Cancelled) -> JobResult:
        loras_told = self._tells_loras()

        def once(number: int) -> tuple[Answer, float]:
            start = time.perf_counter()
            return self._ask(progress, cancelled, number), time.perf_counter() - start

        answer, seconds = with_memory(once, lambda: free_memory(self._client))
        kind = kind_of(answer.image)
        found = self._differences(answer, (kind.width, kind.height), loras_told=loras_told and self._tells_loras())
        self.made = Made(
            job_id=self._job.job_id, answer=replace(answer, image=b"", further=()), as_asked=not found, seen=self._seen
        )
        return self._judged(outputs, answer, kind, found, seconds)

    def _tells_loras(self) -> bool:
        """Return whether the server writes now which LoRAs it uses; it counts before a job and after it."""
        try:
            return bool(loras_of(self._asked) and (read_options(self._client) or {}).get(LORA_HASHES))
        except ServerFault:
            return False

    def _task_id(self, attempt: int, number: int) -> str:
        return f"task({self._job.job_id}.{attempt}.{number})"

    def _earlier_tasks(self) -> list[str]:
        """Return the tasks of earlier runs of this job; the newest ones suffice."""
        attempts = range(max(1, self._job.attempt - MAX_FAULTS), self._job.attempt)
        return [self._task_id(attempt, number) for attempt in attempts for number in (1, 2)]

    def _ask(self, progress: Progress, cancelled: Cancelled, number: int) -> Answer:
        """Send the request once, each time with a new task id: the server reports a failed one as active forever."""
        stage, job = self._job.stage, self._job
        task_id = self._task_id(job.attempt, number)
        payload = build(stage, self._asked, self._lists, self._pictures, task_id)
        self._own = payload.get("override_settings", {})
        generation = Generation(self._client, STAGES[stage].path, payload, self._deadline)
        reply, watch = generation.run(progress, cancelled)
        self._seen = watch.settings
        answer = read_answer(stage, reply, count_of(job.config)) if reply.ok else None
        if watch.was_halted(answer.job_timestamp if answer else ""):
            raise ServerFault("interrupted", INTERRUPTED)
        if answer is None:
            raise fault_of(reply, self._client.url)
        return answer

    def _judged(
        self, outputs: Outputs, answer: Answer, kind: ImageKind, found: list[Difference], seconds: float
    ) -> JobResult:
        """Return the result: failed if the server used another value of the variable of the job's experiment."""
        config, size = self._job.config, (kind.width, kind.height)
        warnings = tuple(str(one) for one in found)
        if self._job.stage == "upscale":
            effective: Config = {"width": size[0], "height": size[1]}
        else:
            effective = effective_of(answer)
            warnings += () if answer.info else (NO_INFO,)
        if worst := spoiled(_under_all_names(found), self._job.learning_context):
            error = JobError(kind="substituted", message=f"{worst}, {SUBSTITUTED}")
            return JobResult(success=False, error=error, effective=effective, warnings=warnings, seconds=seconds)
        planned = config.get("seed") if self._job.stage != "upscale" else None
        seed = answer.seed if answer.seed is not None else planned
        first = Further(answer.image, answer.infotext, seed if isinstance(seed, int) else None)
        # a job has all its pictures or none: each is read before one is saved
        made = [(first, kind), *((one, kind_of(one.image)) for one in answer.further)]
        images = [
            outputs.save_image(self._job, one.image, its_kind, seed=one.seed, parameters=one.infotext)
            for one, its_kind in made
        ]
        count = count_of(config) if self._job.stage != "upscale" else 1
        warnings += (f"{len(images)} of {count} pictures came",) if len(images) < count else ()
        return JobResult(success=True, images=tuple(images), effective=effective, warnings=warnings, seconds=seconds)

    def _differences(self, answer: Answer, size: Size, *, loras_told: bool) -> list[Difference]:
        init, asked = self._pictures.init, self._asked
        if self._job.stage == "upscale" and init:
            found = upscaled(asked, size, init)
            if not found and was_only_resized(asked, init.data, answer.image):
                found = [Difference("upscaler", asked["upscaler"], NO_MODEL, ("upscaler",))]
            return found
        found = differences(asked, self._lists, answer, size, init, loras_told=loras_told)
        return [*found, *further_differences(asked, self._lists, answer)]


def _under_all_names(found: list[Difference]) -> list[Difference]:
    """Return differences with all names under which an experiment may vary what they spoil."""
    return [
        one._replace(spoils=tuple(name for variable in one.spoils for name in other_names(variable))) for one in found
    ]
