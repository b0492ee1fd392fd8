"""The progress of a running prompt. It is a hint: messages may be lost, and the history decides."""

import json
import time
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from bus.contracts.fields import INT64_MAX
from pipeline_runner.pipelines.comfyui.previews import FLAGS, FRAME_BYTES, Shown, read_frame
from pipeline_runner.pipelines.server_values import number

CONNECT_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 0.5
RECONNECT_SECONDS: Final = 5.0  # between two tries to connect
MESSAGE_BYTES: Final = 64 << 20  # a larger message ends the connection, not the prompt
_ENDS: Final = ("execution_success", "execution_error", "execution_interrupted")


class Steps(NamedTuple):
    """The progress of the running node."""

    done: float
    total: float


class Entered(NamedTuple):
    """The server goes on to a node."""

    node: str


News = Steps | Entered | Shown | Literal["started", "ended"] | None


def read_message(text: str, prompt_id: str) -> News:
    """Read a message: the nodes and the progress of a prompt, its likely end, or nothing that concerns it."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match message:
        case {"type": str() as kind, "data": dict() as data} if data.get("prompt_id") == prompt_id:
            return _read_ours(kind, data)
        case _:
            return None


def _read_ours(kind: str, data: dict[str, Any]) -> News:
    if kind in _ENDS or (kind == "executing" and data.get("node", "") is None):
        return "ended"
    if kind == "execution_start":
        return "started"
    if kind == "executing" and "node" in data:
        return Entered(str(data.get("display_node") or data["node"]))  # a node that another one made is shown as that
    if kind == "progress":
        return _steps(data)
    if kind == "progress_state" and isinstance(data.get("nodes"), dict):
        running = [node for node in data["nodes"].values() if isinstance(node, dict) and node.get("state") == "running"]
        steps = _steps(running[-1]) if running else None
        return steps if steps and steps.total > 1 else None  # a node without steps of its own is told as 0 of 1
    return None


def _steps(data: dict[str, Any]) -> Steps | None:
    done, total = number(data.get("value")), number(data.get("max"))
    if done is None or total is None:
        return None
    return Steps(done, total) if 0 <= done <= total and 0 < total <= INT64_MAX else None


def _note_arrivals(connection: ClientConnection, arrived: SimpleQueue[tuple[float, str | bytes | None]]) -> None:
    """Note when each message comes, until the end of the connection (None): whoever reads them may be busy."""
    try:
        for message in connection:
            if isinstance(message, str) or len(message) <= FRAME_BYTES:
                arrived.put((time.monotonic(), message))
    except ConnectionClosed:
        pass
    arrived.put((time.monotonic(), None))


class ProgressFeed:
    """The websocket of one job, connected again when it drops. Without it a job only has no progress."""

    def __init__(self, url: str, client_id: str) -> None:
        """Connect if possible, before the prompt is submitted: only the client that submits gets its messages."""
        self._url = f"{url}?clientId={client_id}"
        self._open = ExitStack()
        self._connection: ClientConnection | None = None
        self._next_try = 0.0
        self._arrived = SimpleQueue[tuple[float, str | bytes | None]]()
        self.is_whole = True  # no message can have been lost
        self.heard_at = 0.0  # when the message came that was read last, by a clock that never goes back
        self._connect()

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Disconnect."""
        self._open.close()

    def wait(self, prompt_id: str, seconds: float) -> News:
        """Wait so long for the next message, and read it."""
        if self._connection is None and time.monotonic() >= self._next_try:
            self._connect()
        if self._connection is None:
            time.sleep(seconds)
            return None
        try:
            self.heard_at, message = self._arrived.get(timeout=seconds)
        except Empty:
            return None
        if message is None:
            self._connection = None
            self.is_whole = False
            self._open.close()
            return None
        return read_message(message, prompt_id) if isinstance(message, str) else read_frame(message, prompt_id)

    def _connect(self) -> None:
        self._next_try = time.monotonic() + RECONNECT_SECONDS
        try:
            connecting = connect(
                self._url,
                open_timeout=CONNECT_SECONDS,
                close_timeout=CLOSE_SECONDS,
                max_size=MESSAGE_BYTES,
                ping_interval=None,  # a server that loads a model answers none, and is well
                compression=None,
                proxy=None,  # HTTP takes none either
            )
            self._connection = self._open.enter_context(connecting)
            self._connection.send(FLAGS)
            reader = Thread(target=_note_arrivals, args=(self._connection, self._arrived), name="ComfyUI's messages")
            self._open.callback(reader.join)
            self._open.callback(self._connection.close)
            reader.start()
        except (OSError, WebSocketException):
            self._connection = None
            self.is_whole = False
