"""A SwarmUI server over HTTP: its sessions, what it offers, and the calls that concern one session."""

import logging
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.http_client import LIST_SECONDS, PICTURE_BYTES, HttpClient, NoAnswer, Reply, ServerFault
from pipeline_runner.pipelines.refusals import refusal_kind
from pipeline_runner.pipelines.swarmui.conversation import Conversation
from pipeline_runner.pipelines.swarmui.errors import SessionGone, refusal_of
from pipeline_runner.pipelines.swarmui.offer import Offer, parse_offer

COOKIE: Final = "swarm_token"
GENERATE: Final = "/API/GenerateText2ImageWS"
LISTS_SECONDS: Final = 60.0  # it may first look for the headers of new models
FREE_SECONDS: Final = 60.0  # for models to be moved
FETCH_SECONDS: Final = 300.0
# states of its backends in which no job can begin; with "errored" others may still work
_NOT_READY: Final = frozenset({"empty", "all_disabled", "loading", "disabled", "idle", "unknown"})
logger = logging.getLogger(__name__)


class Status(NamedTuple):
    """Why nothing can be made now, "" if it can, and what the backends can do."""

    reason: str
    features: tuple[str, ...]


class SwarmServer:
    """One server. Every method raises `ServerFault` where it gets no usable answer."""

    def __init__(self, address: ServerAddress) -> None:
        """Keep the address; a session is begun with the first call.

        Raises:
            InvalidInputError: address or token are not usable.
        """
        self._http = HttpClient(address, cookie=COOKIE)
        self._session = ""
        self._left = ""  # the session of a job that may still run, as the server did not hear of its end

    @property
    def url(self) -> str:
        """Where it is."""
        return self._http.url

    def status(self) -> Status:
        """Return whether its backends work."""
        told = self._call("GetCurrentStatus")
        state = told.get("backend_status")
        if not isinstance(state, dict):
            raise ServerFault("server_error", f"{self.url} says nothing of its backends, so it is no SwarmUI")
        reason = ""
        if state.get("status") in _NOT_READY:
            reason = f"{self.url} cannot make pictures now: {state.get('message') or state['status']}"
        features = told.get("supported_features")
        return Status(
            reason, tuple(one for one in features if isinstance(one, str)) if isinstance(features, list) else ()
        )

    def offer(self, status: Status) -> Offer:
        """Read its parameters and models."""
        told = self._call("ListT2IParams", seconds=LISTS_SECONDS)
        try:
            return parse_offer(told, status.features)
        except msgspec.ValidationError as error:
            raise ServerFault("server_error", f"{self.url} lists what it offers in an unknown form: {error}") from None

    def generate(self, body: Mapping[str, Any]) -> Conversation:
        """Send the request of a job, in the session of the moment; what an earlier one has left is ended first."""
        if self._left and not self.end(self._left):
            raise NoAnswer("unreachable", f"{self.url} cannot be told to end an earlier job")
        session = self._session or self.renew()
        url = f"ws{self.url.removeprefix('http')}{GENERATE}"
        return Conversation(url, {**body, "session_id": session}, session)

    def renew(self) -> str:
        """Begin another session and return its name."""
        found = self._post("GetNewSession", {}, LIST_SECONDS).get("session_id")
        if not isinstance(found, str) or not found:
            raise ServerFault("server_error", f"{self.url} gives no session, so it is no SwarmUI")
        self._session = found
        return found

    def end(self, session: str) -> bool:
        """End all jobs of one session, which is ours; other people have others. Return whether the server heard it."""
        self._left = session
        try:
            self._post("InterruptAll", {"session_id": session, "other_sessions": False}, LIST_SECONDS)
        except SessionGone:
            pass  # and so are its jobs
        except ServerFault as fault:
            logger.warning("cannot interrupt the job: %s", fault.message)
            return False
        self._left = ""
        return True

    def free_memory(self) -> None:
        """Have its backends unload their models, if our account may; each does so between two jobs."""
        try:
            self._call("FreeBackendMemory", {"system_ram": False}, FREE_SECONDS)
        except ServerFault as fault:
            logger.warning("cannot free the server's memory: %s", fault.message)

    def fetch(self, place: str) -> bytes:
        """Fetch a picture that the server has kept, from a path such as `View/local/raw/…`."""
        reply = self._http.get(f"/{quote(urlsplit(place).path.lstrip('/'))}", seconds=FETCH_SECONDS, most=PICTURE_BYTES)
        if not reply.ok:
            raise ServerFault("server_error", f"the server has not got its picture {place!r}: status {reply.status}")
        return reply.data

    def _call(
        self, route: str, fields: Mapping[str, Any] | None = None, seconds: float = LIST_SECONDS
    ) -> dict[str, Any]:
        """Call in the session of the moment, and once more in a new one if the server has forgotten that."""
        session = self._session or self.renew()
        try:
            return self._post(route, {**(fields or {}), "session_id": session}, seconds)
        except SessionGone:
            return self._post(route, {**(fields or {}), "session_id": self.renew()}, seconds)

    def _post(self, route: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        return _answer(self._http.post(f"/API/{route}", body, seconds=seconds), self.url)


def _answer(reply: Reply, url: str) -> dict[str, Any]:
    """Read an answer; a refusal has any status, and most have that of a success."""
    try:
        body = reply.json()
    except ServerFault as fault:  # a proxy's page
        if reply.ok:
            raise ServerFault("server_error", f"{url} is no SwarmUI: {fault.message}") from None
        raise ServerFault(refusal_kind(reply.status, "", by_server=False), fault.message) from None
    found = body if isinstance(body, dict) else {}
    if refusal := refusal_of(found, url):
        raise refusal
    if not reply.ok or not found:
        kind = "server_error" if reply.ok else refusal_kind(reply.status, "", by_server=False)
        raise ServerFault(kind, f"{url} is no SwarmUI: it answered {reply.status}")
    return found
