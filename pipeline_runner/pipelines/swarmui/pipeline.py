"""The `swarmui` pipeline: SwarmUI over HTTP and a websocket; see this package and docs/swarmui.md."""

import time
from collections.abc import Mapping
from typing import Any, Final

from bus.contracts.fields import Config
from bus.contracts.messages import JobError, JobResult
from bus.contracts.pipeline_specs import SEED, StageSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.images import NoImageError, kind_of
from pipeline_runner.outputs.infotext import infotext
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.difference import spoiled
from pipeline_runner.pipelines.http_client import NoAnswer, ServerFault
from pipeline_runner.pipelines.init_image import read_init_image
from pipeline_runner.pipelines.loras import gathered
from pipeline_runner.pipelines.memory import with_memory
from pipeline_runner.pipelines.swarmui.drift import NO_INFO, differences, effective_of
from pipeline_runner.pipelines.swarmui.generation import Generation, JobCancelled, Made
from pipeline_runner.pipelines.swarmui.offer import Offer, stages_of, unavailable
from pipeline_runner.pipelines.swarmui.request import build, check_request
from pipeline_runner.pipelines.swarmui.server import SwarmServer
from pipeline_runner.pipelines.time_limit import timeout_of
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result

REFRESH_SECONDS: Final = 30.0
DEFAULT_ADDRESS: Final = ServerAddress(url="http://127.0.0.1:7801")
HOW_TO_START: Final = "start SwarmUI, or the runner with VARIANTBUS_SWARMUI_URL set"
SUBSTITUTED: Final = "so the picture shows nothing of this value; see what the server offers, or leave it out"


class SwarmuiPipeline(Pipeline):
    """Makes pictures at a SwarmUI, one at a time; its variables are the parameters that the server lists."""

    concurrency = 1
    refresh_seconds = REFRESH_SECONDS

    def __init__(self, setup: Setup) -> None:
        """Keep the address of the server; `refresh` contacts it."""
        self._address = setup.servers.get("swarmui", DEFAULT_ADDRESS)
        self._outputs = setup.outputs
        self._server: SwarmServer | None = None
        self._offer: Offer | None = None  # as last read; kept while the server is unreachable
        self._reason = f"swarmui: {self._address.url} has not been asked yet; try again in a moment"

    def stages(self) -> Mapping[str, StageSpec]:
        """Return txt2img and img2img with what the server offers."""
        return unavailable(self._reason) if self._offer is None else stages_of(self._offer)

    def refresh(self) -> str:
        """Read what the server offers; while its backends load, it is as if it was away."""
        try:
            server = self._connected()
            status = server.status()
            if not status.reason:
                self._offer = server.offer(status)
                return ""
            self._reason = f"swarmui: {status.reason}"
        except InvalidInputError as error:
            self._reason = f"swarmui: {error}"
        except NoAnswer as fault:
            self._reason = f"swarmui: {fault.message}; {HOW_TO_START}"
        except ServerFault as fault:
            self._reason = f"swarmui: {fault.message}"
        return self._reason

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
            body = build(job.stage, gathered(job.config), offer, read_init_image(job.config))
            made = self._made(body, time.monotonic() + timeout_of(job.config), progress, cancelled)
            return self._judged(job, offer, made)
        except InvalidInputError as error:
            return failed_result("invalid_request", str(error))
        except NoImageError as error:
            return failed_result("server_error", f"the server answered with {error}")
        except ServerFault as fault:
            # no answer in time to a short question is no fault of the job, whose own time limit is another one
            away = isinstance(fault, NoAnswer) and fault.kind == "timeout"
            return failed_result("unreachable" if away else fault.kind, fault.message)
        except JobCancelled:
            return cancelled_result()

    def _connected(self) -> SwarmServer:
        """Return the server; the file with the token is read again until it is usable."""
        self._server = self._server or SwarmServer(self._address)
        return self._server

    def _made(self, body: Mapping[str, Any], deadline: float, progress: Progress, cancelled: Cancelled) -> Made:
        """Make the picture; if memory runs out, have all models unloaded and try once more."""
        server = self._connected()
        return with_memory(
            lambda _number: Generation(server, body, deadline).run(progress, cancelled), server.free_memory
        )

    def _judged(self, job: NormalizedJobRecord, offer: Offer, made: Made) -> JobResult:
        """Return the result: failed if the server used another value of the variable of the job's experiment."""
        kind = kind_of(made.picture)
        found = differences(gathered(job.config), offer, made.told, (kind.width, kind.height))
        effective = effective_of(made.told)
        warnings = (*(str(one) for one in found), *(() if made.told.params else (NO_INFO,)))
        if worst := spoiled(found, job.learning_context):
            error = JobError(kind="substituted", message=f"{worst}, {SUBSTITUTED}")
            return JobResult(success=False, error=error, effective=effective, warnings=warnings, seconds=made.seconds)
        seed = effective.get(SEED, job.config.get(SEED))
        image = self._outputs.save_image(
            job,
            made.picture,
            kind,
            seed=seed if isinstance(seed, int) else None,
            parameters=infotext({**job.config, **effective}),
        )
        return JobResult(success=True, images=(image,), effective=effective, warnings=warnings, seconds=made.seconds)
