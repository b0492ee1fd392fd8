"""The `webui` pipeline: AUTOMATIC1111's web UI and Forge, over HTTP; see this package and docs/webui.md."""

from collections.abc import Mapping
from typing import Final

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec
from bus.contracts.servers import ServerView
from bus.protocol.validation import InvalidInputError
from pipeline_runner.outputs.images import NoImageError
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.http_client import HttpClient, NoAnswer, ServerFault
from pipeline_runner.pipelines.loras import LORAS, loras_of
from pipeline_runner.pipelines.server_memory import cuda_memory
from pipeline_runner.pipelines.webui.asked import UNCERTAIN, asked_for
from pipeline_runner.pipelines.webui.generation import JobCancelled
from pipeline_runner.pipelines.webui.job import WebuiJob
from pipeline_runner.pipelines.webui.lists import API, Lists, read_lists
from pipeline_runner.pipelines.webui.payload import check_request, read_pictures
from pipeline_runner.pipelines.webui.registry import stages_of, unavailable
from pipeline_runner.pipelines.webui.settings import Made, Settings, agrees, digest, read_settings, title_of
from pipeline_runner.queue.jobs import NormalizedJobRecord, cancelled_result, failed_result

REFRESH_SECONDS: Final = 30.0
DEFAULT_ADDRESS: Final = ServerAddress(url="http://127.0.0.1:7860")
HOW_TO_START: Final = "start the web UI with --api, or the runner with VARIANTBUS_WEBUI_URL set"


class WebuiPipeline(Pipeline):
    """Makes pictures at a web UI, one at a time as the server does; its variables are what the server offers."""

    concurrency = 1
    refresh_seconds = REFRESH_SECONDS

    def __init__(self, setup: Setup) -> None:
        """Keep the address of the server; `refresh` contacts it."""
        self._address = setup.servers.get("webui", DEFAULT_ADDRESS)
        self._outputs = setup.outputs
        self._lists: Lists | None = None  # as last read; kept while the server is unreachable
        self._seen: ServerView | None = None
        self._made: Made | None = None  # how the newest job was made
        self._reason = f"webui: {self._address.url} has not been asked yet; try again in a moment"

    def stages(self) -> Mapping[str, StageSpec]:
        """Return txt2img, img2img and upscale with what the server offers for each."""
        lists = self._lists
        return unavailable(self._reason) if lists is None else stages_of(lists)

    def refresh(self) -> str:
        """Read the server's lists."""
        try:
            http = HttpClient(self._address)
            self._lists = read_lists(http)
            self._seen = ServerView(url=http.url, devices=cuda_memory(http.hint(f"{API}/memory")))
        except InvalidInputError as error:
            self._reason = f"webui: {error}"
        except NoAnswer as fault:
            self._reason = f"webui: {fault.message}; {HOW_TO_START}"
        except ServerFault as fault:
            self._reason = f"webui: {fault.message}"
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
        asked = asked_for(config)
        read_pictures(asked)
        if self._lists:
            check_request(stage, asked, self._lists)

    def identity(self, stage: str, config: Config) -> str | None:
        """Return a hash of the server's settings, as they decide what a job leaves open.

        None for a job that starts from a picture, for one with scripts or styles, of which the server does not say what
        they are now, and unless the server is idle.
        """
        identified = self._identified(stage, config)
        return identified and identified[0]

    def confirm(self, job: NormalizedJobRecord, identity: str) -> bool:
        """Return whether the settings are the same after the job, and the server says that it has used them."""
        made, self._made = self._made, None
        identified = self._identified(job.stage, job.config)
        if made is None or made.job_id != job.job_id or identified is None or identified[0] != identity:
            return False
        return agrees(asked_for(job.config), identified[1], made)

    def _identified(self, stage: str, config: Config) -> tuple[str, Settings] | None:
        """Read the settings of the server; return their hash and them, None where anything is uncertain."""
        lists = self._lists
        if lists is None or stage != "txt2img":
            return None
        asked = asked_for(config)
        if UNCERTAIN & asked.keys():
            return None
        settings = read_settings(HttpClient(self._address), title_of(asked, lists))
        # the order of LoRAs is part of what is sent, and none of what two equal tables are compared by
        order = "".join(f" {name}" for name in loras_of(asked)) if LORAS in asked else ""
        return settings and (f"{self._address.url} {digest(settings, forge=lists.forge)}{order}", settings)

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Make one picture."""
        lists = self._lists
        if lists is None:
            return failed_result("unreachable", self._reason)
        try:
            work = WebuiJob(HttpClient(self._address), lists, job)
            result = work.run(self._outputs, progress, cancelled)
        except InvalidInputError as error:
            return failed_result("invalid_request", str(error))
        except NoImageError as error:
            return failed_result("server_error", f"the server answered with {error}")
        except ServerFault as fault:
            return failed_result(fault.kind, fault.message)
        except JobCancelled:
            return cancelled_result()
        self._made = work.made
        return result
