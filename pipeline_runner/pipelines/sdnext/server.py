"""An SD.Next over HTTP. It takes 300 requests a minute of one kind, and answers 429 to more."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bus.contracts.servers import DeviceView
from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.http_client import Exchange, HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.sdnext.failures import fault_of
from pipeline_runner.pipelines.sdnext.offer import Offer, parse_offer
from pipeline_runner.pipelines.sdnext.watch import Look, read_look
from pipeline_runner.pipelines.server_memory import cuda_memory

API: Final = "/sdapi/v1"
PATHS: Final = {"txt2img": "txt2img", "img2img": "img2img", "upscale": "extra-single-image"}
LISTS: Final = ("samplers", "sd-models", "upscalers", "sd-vae", "loras")
ASK_SECONDS: Final = 5.0
LOAD_SECONDS: Final = 60.0  # for a model to be moved
logger = logging.getLogger(__name__)


class SdnextServer:
    """One server. Every method raises `ServerFault` where it gets no usable answer."""

    def __init__(self, address: ServerAddress) -> None:
        """Keep the address.

        Raises:
            InvalidInputError: address or password are not usable.
        """
        self._http = HttpClient(address)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._http.url

    def offer(self) -> Offer:
        """Read its lists; that it is an SD.Next is seen by its status, which no other web UI has."""
        status = self._checked(self._http.get(f"{API}/status")).json()
        if not isinstance(status, dict) or "uptime" not in status:
            raise ServerFault("server_error", f"{self.url} is no SD.Next; for another web UI take the pipeline webui")
        answers = {name: self._checked(self._http.get(f"{API}/{name}")).json() for name in LISTS}
        try:
            return parse_offer(answers)
        except msgspec.ValidationError as error:
            raise ServerFault("server_error", f"{self.url} lists what it offers in an unknown form: {error}") from None

    def memory(self) -> tuple[DeviceView, ...]:
        """Return the memory of its card, nothing where it does not tell."""
        return cuda_memory(self._http.hint(f"{API}/memory"))

    def send(self, stage: str, body: Mapping[str, Any]) -> Exchange:
        """Send a job; the answer may take hours."""
        return self._http.long_post(f"{API}/{PATHS[stage]}", body)

    def look(self, own: str) -> Look | None:
        """Return what it does now, with the history of one job, or of all while that is not known ("")."""
        try:
            progress = self._json("progress", {"skip_current_image": "true"})
            return read_look(progress, self._json("status"), self._json("history", {"id": own} if own else None))
        except ServerFault:
            return None

    def log(self) -> Any:
        """Return the last lines of its log, None if it does not tell them."""
        try:
            return self._json("log")
        except ServerFault:
            return None

    def interrupt(self) -> bool:
        """Interrupt what runs; return whether the server took the request."""
        try:
            return self._http.post(f"{API}/interrupt", {}, seconds=ASK_SECONDS).ok
        except ServerFault as fault:
            logger.warning("cannot interrupt the job: %s", fault.message)
            return False

    def free_memory(self) -> None:
        """Unload its model and load it again; it waits for no job, so only while none runs."""
        try:
            for path in ("unload-checkpoint", "reload-checkpoint"):
                self._http.post(f"{API}/{path}", {}, seconds=LOAD_SECONDS)
        except ServerFault as fault:
            logger.warning("cannot free the server's memory: %s", fault.message)

    def _json(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        reply = self._http.get(f"{API}/{path}", query, seconds=ASK_SECONDS)
        return reply.json() if reply.ok else None

    def _checked(self, reply: Reply) -> Reply:
        if not reply.ok:
            raise fault_of(reply, self.url)
        return reply
