"""A fake ComfyUI server: the recorded contract of its HTTP and websocket, and every way in which it may misbehave.

It executes one prompt at a time, in order, without any model. `hold` stops it in the middle of a prompt.
"""

import copy
import itertools
import json
import threading
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from tests.servers.comfyui_execution import STEPS, Execution, Told
from tests.servers.comfyui_http import ComfyHttpServer, Request
from tests.servers.comfyui_nodes import OBJECT_INFO, Graph, validate
from tests.servers.comfyui_pictures import preview
from tests.servers.websocket import WebSocket
from tests.support.helpers import when_free

OUT_OF_MEMORY: Final = ("torch.OutOfMemoryError", "Allocation on device\nThis error means you ran out of memory.")
SERVER_FEATURES: Final = {"supports_preview_metadata": True, "max_upload_size": 104857600}
Answer = tuple[int, Any]  # status and JSON


@dataclass
class Item:
    """A prompt in the queue."""

    number: int
    prompt_id: str
    graph: Graph
    client_id: str | None
    outputs: list[str]
    interrupted: bool = False

    def listed(self) -> list[Any]:
        """Return it as the server lists it."""
        return [self.number, self.prompt_id, self.graph, {"client_id": self.client_id}, self.outputs]


@dataclass
class ServerBehaviour:
    """What is to go wrong, or to be as in an older version; a test sets it."""

    keeps_prompt_ids: bool = True  # older servers choose their own
    targeted_interrupt: bool = True  # older ones stop whatever runs
    repeats_cached_outputs: bool = True  # in older versions an unchanged prompt has no outputs
    keeps_history: bool = True  # else somebody clears it all the time
    keeps_files: bool = True  # else somebody removes each at once
    step_seconds: float = 0.0  # of a sampler; else it has few steps and takes no time
    websocket: bool = True
    previews: bool = False  # as with `--preview-method`
    feature_flags: bool = True  # older servers have none
    status: bool = True  # very old servers have none in the history
    errors: deque[tuple[str, str]] = field(default_factory=deque)  # type and message, each for one prompt
    always: tuple[str, str] | None = None  # an error for all prompts
    bad_cfg: float | None = None  # a value with which a sampler raises
    substituted: dict[tuple[str, str], Any] = field(default_factory=dict)  # what is executed instead
    answers: dict[str, deque[tuple[int, bytes] | None]] = field(default_factory=dict)  # by path; None is as usual
    lost_replies: int = 0  # to prompts that were queued all the same
    cut_views: int = 0  # pictures whose connection ends in the middle
    messages_of_others: bool = False  # progress of another prompt among ours


class FakeComfy:
    """The server and its worker, in threads; `stop` and `start` are a restart, which forgets everything."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.behaviour = ServerBehaviour()
        self.requests: list[Request] = []
        self.prompts: list[dict[str, Any]] = []  # the bodies of all prompts that were taken
        self.executed: list[str] = []  # the ids of those that ran to their end
        self.uploads: dict[str, bytes] = {}
        self.object_info: dict[str, Any] = copy.deepcopy(OBJECT_INFO)
        self.freed = 0
        self.sockets: dict[str, WebSocket] = {}
        self.takes_metadata: set[str] = set()  # the clients that ask for metadata with previews
        self.port = 0
        self._changed = threading.Condition()
        self._held = False
        self._numbers = itertools.count()
        self._queue: deque[Item] = deque()
        self._history: dict[str, dict[str, Any]] = {}
        self._current: Item | None = None
        self.files: dict[tuple[str, str, str], bytes] = {}
        self._execution = Execution(self)
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._running = True
        self._http = when_free(lambda: ComfyHttpServer(self, self.port))
        self.port = self._http.server_address[1]
        self._worker = threading.Thread(target=self._work, name="fake ComfyUI worker")
        self._worker.start()

    def stop(self) -> None:
        """Close everything and forget it."""
        if not self._running:
            return
        self._http.stop()  # first: nobody may see how the prompt that runs comes to its end
        with self._changed:
            self._running = False
            self._changed.notify_all()
        self._worker.join()
        self._forget()

    def hold(self) -> None:
        """Let prompts stop in the middle, until `release`."""
        self._held = True

    def release(self) -> None:
        """Let them go on."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def forget_prompts(self) -> None:
        """Lose queue and history, as a restart does that nobody notices."""
        with self._changed:
            self._forget()
            self._changed.notify_all()

    def submit_for_another(self) -> str:
        """Queue a prompt of another user and return its id."""
        prompt_id = str(uuid.uuid4())
        graph: Graph = {
            "1": {"class_type": "KSampler", "inputs": {"seed": next(self._numbers), "cfg": 7.0}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "other"}},
        }
        self._put(Item(0, prompt_id, graph, "another", ["9"]))
        return prompt_id

    def hear(self, client_id: str, text: str) -> None:
        """Take what a client says first: the features that it supports."""
        told = json.loads(text)
        if self.behaviour.feature_flags and told["type"] == "feature_flags":
            if told["data"].get("supports_preview_metadata") is True:
                self.takes_metadata.add(client_id)
            self.sockets[client_id].send(json.dumps({"type": "feature_flags", "data": SERVER_FEATURES}))

    def tell_progress(self, step: int) -> None:
        """Send a step of the prompt that is held to its client."""
        item = self._current
        assert item is not None
        progress = {"value": step, "max": STEPS, "node": "3", "prompt_id": item.prompt_id}
        self.send(item.client_id, "progress", progress)

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests for a path."""
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    @property
    def running(self) -> list[str]:
        """The id of the prompt that runs."""
        with self._changed:
            return [self._current.prompt_id] if self._current else []

    @property
    def pending(self) -> list[str]:
        """The ids of the prompts that wait."""
        with self._changed:
            return [item.prompt_id for item in self._queue]

    # what HTTP asks for

    def post_prompt(self, body: dict[str, Any]) -> Answer:
        """Validate and queue a prompt."""
        wanted = body.get("prompt_id")
        if self.behaviour.keeps_prompt_ids and wanted is not None and str(uuid.UUID(wanted)) != wanted:
            return 400, {"error": {"type": "invalid_prompt_id", "message": "prompt_id must be a valid UUID"}}
        graph = copy.deepcopy(body["prompt"])
        good, error, node_errors = validate(graph)
        if error:
            return 400, {"error": error, "node_errors": node_errors}
        for (node_id, name), value in self.behaviour.substituted.items():
            graph[node_id]["inputs"][name] = value
        prompt_id = wanted if self.behaviour.keeps_prompt_ids and wanted else str(uuid.uuid4())
        self.prompts.append(copy.deepcopy(body))
        number = next(self._numbers)
        self._put(Item(number, prompt_id, graph, body.get("client_id"), good))
        return 200, {"prompt_id": prompt_id, "number": number, "node_errors": node_errors}

    def get_queue(self) -> Answer:
        """List what runs and what waits."""
        with self._changed:
            running = [self._current.listed()] if self._current else []
            return 200, {"queue_running": running, "queue_pending": [item.listed() for item in self._queue]}

    def get_history(self, prompt_id: str) -> Answer:
        """Return the history of a prompt that has ended."""
        with self._changed:
            return 200, {prompt_id: self._history[prompt_id]} if prompt_id in self._history else {}

    def post_queue(self, body: dict[str, Any]) -> Answer:
        """Take prompts out of the queue."""
        with self._changed:
            gone = body.get("delete", [])
            kept = () if body.get("clear") else self._queue
            self._queue = deque(item for item in kept if item.prompt_id not in gone)
        return 200, None

    def post_history(self, body: dict[str, Any]) -> Answer:
        """Forget how prompts have ended."""
        with self._changed:
            for prompt_id in list(self._history) if body.get("clear") else body.get("delete", []):
                self._history.pop(prompt_id, None)
        return 200, None

    def post_interrupt(self, body: dict[str, Any]) -> Answer:
        """Stop the prompt that is named, or, in older versions and without a name, whichever runs."""
        with self._changed:
            targeted = self.behaviour.targeted_interrupt and body.get("prompt_id")
            if self._current and (not targeted or body["prompt_id"] == self._current.prompt_id):
                self._current.interrupted = True
                self._changed.notify_all()
        return 200, None

    def post_free(self, body: dict[str, Any]) -> Answer:
        """Unload models."""
        self.freed += bool(body.get("unload_models") and body.get("free_memory"))
        return 200, None

    def view(self, query: dict[str, str]) -> bytes | None:
        """Return a file by folder and name."""
        return self.files.get((query.get("type", "output"), query.get("subfolder", ""), query["filename"]))

    # what the worker does

    def tell_preview(self, step: int) -> None:
        """Send what the prompt that is held would have made after a step."""
        item = self._current
        assert item is not None
        Told(self, item).show("3", preview(step))

    def send(self, client_id: str | None, kind: str, data: dict[str, Any]) -> None:
        """Send a message to one client only; nothing is kept for later."""
        if client_id in self.sockets:
            self.sockets[client_id].send(json.dumps({"type": kind, "data": data}))

    def send_bytes(self, client_id: str | None, data: bytes) -> None:
        """Send a binary message to one client only."""
        if client_id in self.sockets:
            self.sockets[client_id].send(data)

    @property
    def is_running(self) -> bool:
        """Whether nobody has stopped the server."""
        return self._running

    def stop_at(self, item: Item, *, is_held: bool, seconds: float = 0.0) -> None:
        """Wait so long, and while prompts are held, unless the prompt is interrupted."""
        with self._changed:
            self._changed.wait_for(lambda: item.interrupted or not self._running, seconds)
            if is_held:
                self._changed.wait_for(lambda: not self._held or item.interrupted or not self._running)

    def save(self, kind: str, prefix: str, suffix: str, data: bytes) -> dict[str, str]:
        """Save a file under the first free number, which may be that of a file that was removed."""
        subfolder, _, name = prefix.rpartition("/")
        names = (f"{name}_{number:05d}_{suffix}" for number in itertools.count(1))
        filename = next(name for name in names if (kind, subfolder, name) not in self.files)
        if self.behaviour.keeps_files:
            self.files[kind, subfolder, filename] = data
        return {"filename": filename, "subfolder": subfolder, "type": kind}

    def _forget(self) -> None:
        self._queue.clear()
        self._history.clear()
        self._execution.forget()
        if self._current:
            self._current.interrupted = True
        self._current = None

    def _put(self, item: Item) -> None:
        with self._changed:
            self._queue.append(item)
            self._changed.notify_all()
        for client in list(self.sockets):
            self.send(client, "status", {"status": {"exec_info": {"queue_remaining": len(self._queue)}}})

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or not self._running)
                if not self._running:
                    return
                item = self._current = self._queue.popleft()
            told = Told(self, item)
            outputs = self._execution.run(item, told)
            with self._changed:
                if self._current is not item:  # forgotten meanwhile
                    continue
                self._current = None
                if not self.behaviour.keeps_history:
                    continue
                self._history[item.prompt_id] = {"prompt": item.listed(), "outputs": outputs, "meta": {}}
                if self.behaviour.status:
                    self._history[item.prompt_id]["status"] = told.status()
            told.send("executing", {"node": None})
