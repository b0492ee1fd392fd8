"""A ComfyUI server over HTTP: what we ask of it, and its answers as our own types."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from bus.contracts.servers import ServerView
from pipeline_runner.pipelines import Cancelled, ServerAddress
from pipeline_runner.pipelines.comfyui.errors import refusal_text
from pipeline_runner.pipelines.comfyui.graph import Graph
from pipeline_runner.pipelines.comfyui.history import Ended, OutputFile, read_ended
from pipeline_runner.pipelines.comfyui.nodes import Nodes
from pipeline_runner.pipelines.http_client import HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.refusals import one_line, refusal_kind
from pipeline_runner.pipelines.server_memory import comfyui_memory, comfyui_version

TRANSFER_SECONDS: Final = 60.0  # for what is large, or what the server has to think about
NODES_BYTES: Final = 128 << 20  # of a server with thousands of nodes, each with all models in its choices
FILE_SECONDS: Final = 600.0  # for a long video over a slow line
UPLOAD_FOLDER: Final = "variantbus"
NOT_FOUND: Final = 404


class Accepted(NamedTuple):
    """A prompt that the server took; `node_errors` are of the outputs that it leaves out."""

    prompt_id: str
    node_errors: Any


class Queue(NamedTuple):
    """The ids of the prompts that the server has yet to end, of all its users."""

    running: Collection[str]
    pending: Collection[str]


class ComfyServer:
    """One server. Every method raises `ServerFault` where it gets no usable answer."""

    def __init__(self, address: ServerAddress) -> None:
        """Keep the address."""
        self._http = HttpClient(address)

    @property
    def feed_url(self) -> str:
        """The address of its websocket."""
        return f"ws{self._http.url.removeprefix('http')}/ws"

    def ping(self) -> None:
        """Check that it answers, with the smallest request that only ComfyUI knows."""
        told = _checked(self._http.get("/prompt"), "/prompt").json()
        if not isinstance(told, dict) or "exec_info" not in told:
            raise ServerFault("unreachable", f"{self._http.url} answers, but is no ComfyUI")

    def seen(self) -> ServerView:
        """Return its address, and what it tells of its version and its cards."""
        told = self._http.hint("/system_stats")
        return ServerView(url=self._http.url, version=comfyui_version(told), devices=comfyui_memory(told))

    def nodes(self) -> Nodes:
        """Read what all its nodes take."""
        reply = _checked(self._http.get("/object_info", seconds=TRANSFER_SECONDS, most=NODES_BYTES), "/object_info")
        try:
            return Nodes(reply.data)
        except msgspec.DecodeError:
            # Python's servers also write infinities, and halves of surrogates for names of files that are no text
            told = reply.json()
        try:
            return Nodes(msgspec.json.encode(told))
        except (msgspec.DecodeError, OverflowError) as error:
            raise ServerFault(
                "server_error", f"the server answered /object_info with no usable JSON: {error}"
            ) from None

    def submit(self, graph: Graph, prompt_id: str, client_id: str) -> Accepted:
        """Queue a prompt under our own id; a server that is too old for that gives it another one."""
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        told = _checked(self._http.post("/prompt", body, seconds=TRANSFER_SECONDS), "/prompt").json()
        if not isinstance(told, dict) or not isinstance(told.get("prompt_id"), str):
            raise ServerFault("server_error", "the server took the prompt but named no prompt_id")
        return Accepted(told["prompt_id"], told.get("node_errors"))

    def history(self, prompt_id: str) -> Ended | None:
        """Return how a prompt has ended; None while it runs, or if the server does not know it."""
        path = f"/history/{quote(prompt_id, safe='')}"
        told = _checked(self._http.get(path), path).json()
        return read_ended(told[prompt_id]) if isinstance(told, dict) and prompt_id in told else None

    def queue(self) -> Queue:
        """Return the running and the waiting prompts."""
        told = _checked(self._http.get("/queue"), "/queue").json()
        found = told if isinstance(told, dict) else {}
        return Queue(_ids(found.get("queue_running")), _ids(found.get("queue_pending")))

    def dequeue(self, prompt_id: str) -> None:
        """Take a waiting prompt out of the queue."""
        _checked(self._http.post("/queue", {"delete": [prompt_id]}), "/queue")

    def interrupt(self, prompt_id: str) -> None:
        """Stop a running prompt. An old server stops whatever runs, so ask `queue` first."""
        _checked(self._http.post("/interrupt", {"prompt_id": prompt_id}), "/interrupt")

    def free(self) -> None:
        """Unload all models and free their memory before the next prompt."""
        _checked(self._http.post("/free", {"unload_models": True, "free_memory": True}), "/free")

    def view(self, file: OutputFile, target: Path, most: int, cancelled: Cancelled) -> bool:
        """Fetch a file of at most so many bytes as it was saved; return False if the server has it no more.

        Raises:
            AbandonedError: it was cancelled meanwhile.
            OSError: the target cannot be written.
            AnswerTooLarge: it has more bytes.
        """
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        reply = self._http.get_file("/view", query, target, seconds=FILE_SECONDS, most=most, cancelled=cancelled)
        if reply.status == NOT_FOUND:
            self.ping()  # its 404 is empty, as that of a proxy may be: if it is there itself, the file is gone
            return False
        _checked(reply, f"/view of {file.filename}")
        return True

    def upload(self, data: bytes, suffix: str) -> str:
        """Upload a picture into its input folder; return the name by which a node finds it there.

        It is named by its content: sent again it changes nothing, and it never takes the place of somebody's file.
        """
        name = f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
        reply = self._http.post_form(
            "/upload/image",
            {"image": (name, data), "subfolder": UPLOAD_FOLDER, "type": "input", "overwrite": "true"},
            seconds=TRANSFER_SECONDS,
        )
        told = _checked(reply, "/upload/image").json()
        if not isinstance(told, dict) or not isinstance(told.get("name"), str):
            raise ServerFault("server_error", "the server took the picture but named no file")
        return f"{told['subfolder']}/{told['name']}" if told.get("subfolder") else str(told["name"])


def _checked(reply: Reply, what: str) -> Reply:
    """Return an answer that is a success; raise for any other."""
    if reply.ok:
        return reply
    try:
        text, by_server = refusal_text(reply.json()), True
    except ServerFault:  # a proxy's page, or one of the server's own that say no more than the status
        text, by_server = one_line(reply.data[:200].decode("utf-8", "replace")), False
    kind = refusal_kind(reply.status, text, by_server=by_server)
    raise ServerFault(kind, f"the server answered {reply.status} to {what}: {text}")


def _ids(items: Any) -> frozenset[str]:
    """Read the ids of queued items, each of which is a list of number, id, and more."""
    found = items if isinstance(items, list) else []
    return frozenset(str(item[1]) for item in found if isinstance(item, list) and len(item) > 1)
