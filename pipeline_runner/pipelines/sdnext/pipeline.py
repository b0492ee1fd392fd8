"""The `sdnext` pipeline: SD.Next over HTTP; see this package and docs/sdnext.md."""

import time
from collections.abc import Mapping
from typing import Final

from bus.contracts.fields import Config
from bus.contracts.messages import JobError, JobResult
from bus.contracts.pipeline_specs import SEED, StageSpec
from bus.contracts.servers import ServerView
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.images import NoImageError, kind_of
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.difference import spoiled
from pipeline_runner.pipelines.http_client import NoAnswer, ServerFault
from pipeline_runner.pipelines.init_image import InitImage, read_init_image
from pipeline_runner.pipelines.loras import gathered
from pipeline_runner.pipelines.memory import with_memory
from pipeline_runner.pipelines.sdnext.answer import NO_INFO, Answer, effective_of
from pipeline_runner.pipelines.sdnext.drift import differences, upscaled
from pipeline_runner.pipelines.sdnext.generation import Generation, JobCancelled
from pipeline_runner.pipelines.sdnext.offer import Offer, stages_of, unavailable
from pipeline_runner.pipelines.sdnext.request import build, check_request
from pipeline_runner.pipelines.sdnext.server import SdnextServer
from pipeline_runner.pipelines.time_limit import timeout_of
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result

REFRESH_SECONDS: Final = 30.0
DEFAULT_ADDRESS: Final = ServerAddress(url="http://127.0.0.1:7860")
HOW_TO_START: Final = "start SD.Next, or the runner with VARIANTBUS_SDNEXT_URL set"
SUBSTITUTED: Final = "so the picture shows nothing of this value; see what the server offers, or leave it out"
FORMAT: Final = "choose png, jpg or webp as its image format (samples_format)"
_UPSCALE: Final = "upscale"


class SdnextPipeline(Pipeline):
    """Makes pictures at an SD.Next, one at a time as the server does; its variables are what the server offers."""

    concurrency = 1
    refresh_seconds = REFRESH_SECONDS

    def __init__(self, setup: Setup) -> None:
        """Keep the address of the server; `refresh` contacts it."""
        self._address = setup.servers.get("sdnext", DEFAULT_ADDRESS)
        self._outputs = setup.outputs
        self._offer: Offer | None = None  # as last read; kept while the server is unreachable
        self._seen: ServerView | None = None
        self._reason = f"sdnext: {self._address.url} has not been asked yet; try again in a moment"

    def stages(self) -> Mapping[str, StageSpec]:
        """Return txt2img, img2img and upscale with what the server offers for each."""
        return unavailable(self._reason) if self._offer is None else stages_of(self._offer)

    def refresh(self) -> str:
        """Read the server's lists."""
        try:
            server = SdnextServer(self._address)
            self._offer = server.offer()
            self._seen = ServerView(url=server.url, devices=server.memory())
        except InvalidInputError as error:
            self._reason = f"sdnext: {error}"
        except NoAnswer as fault:
            self._reason = f"sdnext: {fault.message}; {HOW_TO_START}"
        except ServerFault as fault:
            self._reason = f"sdnext: {fault.message}"
        else:
            return ""
        return self._reason

    def seen(self) -> ServerView | None:
        """Return its address, and the memory of its card where it tells of it."""
        return self._seen

    def check(self, stage: str, config: Config) -> None:
        """Refuse what would make another picture than requested, and an invalid `init_image`.

        Raises:
            InvalidInputError: naming the field and what to do.
        """
        read_init_image(config)
        if self._offer:
            check_request(stage, gathered(config), self._offer)

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Make one picture."""
        offer = self._offer
        if offer is None:
            return failed_result("unreachable", self._reason)
        try:
            init = read_init_image(job.config)
            answer, seconds = self._answer(job, offer, init, progress, cancelled)
            return self._judged(job, offer, init, answer, seconds)
        except InvalidInputError as error:
            return failed_result("invalid_request", str(error))
        except NoImageError as error:
            return failed_result("server_error", f"the server answered with {error}; {FORMAT}")
        except ServerFault as fault:
            return failed_result(fault.kind, fault.message)
        except JobCancelled:
            return cancelled_result()

    def _answer(
        self,
        job: NormalizedJobRecord,
        offer: Offer,
        init: InitImage | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> tuple[Answer, float]:
        """Make the picture; if memory runs out, have the model unloaded and try once more."""
        server, body = SdnextServer(self._address), build(job.stage, gathered(job.config), offer, init)
        deadline = time.monotonic() + timeout_of(job.config)

        def once(_number: int) -> tuple[Answer, float]:
            start = time.perf_counter()
            answer = Generation(server, job.stage, body, deadline).run(progress, cancelled)
            return answer, time.perf_counter() - start

        return with_memory(once, server.free_memory)

    def _judged(
        self, job: NormalizedJobRecord, offer: Offer, init: InitImage | None, answer: Answer, seconds: float
    ) -> JobResult:
        """Return the result: failed if the server used another value of the variable of the job's experiment."""
        kind = kind_of(answer.image)
        size = (kind.width, kind.height)
        if job.stage == _UPSCALE and init:
            found, effective = upscaled(job.config, size, init), Config(width=size[0], height=size[1])
        else:
            found, effective = differences(gathered(job.config), offer, answer, size, init), effective_of(answer)
        untold = job.stage != _UPSCALE and not answer.parameters
        warnings = (*(str(one) for one in found), *((NO_INFO,) if untold else ()))
        if worst := spoiled(found, job.learning_context):
            error = JobError(kind="substituted", message=f"{worst}, {SUBSTITUTED}")
            return JobResult(success=False, error=error, effective=effective, warnings=warnings, seconds=seconds)
        seed = None if job.stage == _UPSCALE else effective.get(SEED, job.config.get(SEED))
        image = self._outputs.save_image(
            job, answer.image, kind, seed=seed if isinstance(seed, int) else None, parameters=answer.infotext
        )
        return JobResult(success=True, images=(image,), effective=effective, warnings=warnings, seconds=seconds)
