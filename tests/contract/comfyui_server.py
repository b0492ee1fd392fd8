"""A ComfyUI as the cases of the contract see it, and the workflows that they run there.

Only ComfyUI's own nodes are used. Each case draws a colour of its own, as a server executes nothing twice.
"""

import json
import random
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

from pipeline_runner.pipelines import ServerAddress
from pipeline_runner.pipelines.http_client import HttpClient, Reply
from tests.contract.frame import NotPossibleError

PROMPT_SECONDS: Final = 300.0  # on a processor
CLIENT: Final = "contract"
Graph = dict[str, dict[str, Any]]


class ComfyuiServer:
    """One ComfyUI."""

    def __init__(self, url: str) -> None:
        """Keep the address."""
        self._url = url
        self._client = HttpClient(ServerAddress(url=url))

    def get(self, path: str, query: dict[str, str] | None = None) -> Reply:
        """Ask for a path."""
        return self._client.get(path, query)

    def post(self, path: str, body: object) -> Reply:
        """Send JSON."""
        return self._client.post(path, body, seconds=PROMPT_SECONDS)

    def submit(self, graph: Graph) -> str:
        """Queue a prompt that has to be taken; return its id."""
        reply = self.post("/prompt", {"prompt": graph, "prompt_id": str(uuid.uuid4()), "client_id": CLIENT})
        assert reply.ok, reply
        return str(reply.json()["prompt_id"])

    def refusal(self, graph: Graph) -> dict[str, Any]:
        """Queue a prompt that has to be refused; return why."""
        reply = self.post("/prompt", {"prompt": graph})
        assert reply.status == 400, reply
        found: dict[str, Any] = reply.json()
        return found

    def end(self, prompt_id: str) -> dict[str, Any]:
        """Wait for the end of a prompt; return its history."""
        for _ in until(PROMPT_SECONDS):
            if found := self.get(f"/history/{prompt_id}").json():
                entry: dict[str, Any] = found[prompt_id]
                return entry
        raise AssertionError("the prompt does not end")

    def run(self, graph: Graph) -> dict[str, Any]:
        """Run a prompt to its end; return its history."""
        return self.end(self.submit(graph))

    def queued(self, key: str) -> list[str]:
        """Return the ids of the prompts that run or wait."""
        return [item[1] for item in self.get("/queue").json()[key]]

    def wait_until_it_runs(self, prompt_id: str) -> None:
        """Wait until a prompt runs."""
        for _ in until(PROMPT_SECONDS):
            if prompt_id in self.queued("queue_running"):
                return
            if self.get(f"/history/{prompt_id}").json():
                raise NotPossibleError("the prompt was too short to be seen")

    @contextmanager
    def listening(self) -> Iterator[ClientConnection]:
        """Connect to the websocket as the client of all prompts."""
        address = f"ws{self._url.removeprefix('http')}/ws?clientId={CLIENT}"
        with connect(address, compression=None, proxy=None, ping_interval=None) as connection:
            yield connection


def until(seconds: float) -> Iterator[None]:
    """Yield now and then, so long."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        yield
        time.sleep(0.02)


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    """Return a node."""
    return {"class_type": class_type, "inputs": inputs}


def empty(colour: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return a node that makes a picture of one colour."""
    drawn = random.randrange(1 << 24) if colour is None else colour  # noqa: S311 - a colour
    return node("EmptyImage", **{"width": 64, "height": 64, "batch_size": 1, "color": drawn, **changes})


def save(source: str, prefix: str = "contract") -> dict[str, Any]:
    """Return a node that saves pictures."""
    return node("SaveImage", images=[source, 0], filename_prefix=prefix)


def plain(**changes: Any) -> Graph:
    """Return a picture that is blurred and saved."""
    blur = {"blur_radius": 1, "sigma": 1.0, **changes}
    return {"1": empty(), "2": node("ImageBlur", image=["1", 0], **blur), "9": save("2")}


def sampler(server: ComfyuiServer, steps: int = 40) -> Graph:
    """Return a workflow that samples for seconds, with the first model of the server."""
    told = server.get("/object_info/CheckpointLoaderSimple").json()["CheckpointLoaderSimple"]["input"]["required"]
    kind, *rest = told["ckpt_name"]
    models = kind if isinstance(kind, list) else rest[0]["options"]
    if not models:
        raise NotPossibleError("it has no checkpoint")
    seed = random.getrandbits(32)
    values = {"seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name=models[0]),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": node("CLIPTextEncode", text="a", clip=["4", 1]),
        "3": node("KSampler", **values, **links),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": save("8"),
    }


def messages(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the history logs, by name."""
    return dict(entry["status"]["messages"])


def cached(entry: dict[str, Any]) -> list[str]:
    """Return the nodes that were not executed."""
    return sorted(messages(entry)["execution_cached"]["nodes"])


def files(entry: dict[str, Any], node_id: str = "9") -> list[dict[str, str]]:
    """Return the files of an output node."""
    found: list[dict[str, str]] = entry["outputs"][node_id]["images"]
    return found


def faults(refusal: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return node, input and kind of each error."""
    return sorted(
        (node_id, error["extra_info"]["input_name"], error["type"])
        for node_id, told in refusal["node_errors"].items()
        for error in told["errors"]
    )


def heard(connection: ClientConnection, prompt_id: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the messages about a prompt until its end."""
    while True:
        message = connection.recv(timeout=PROMPT_SECONDS)
        told = json.loads(message) if isinstance(message, str) else {}
        data = told.get("data", {})
        if data.get("prompt_id") != prompt_id:
            continue
        yield told["type"], data
        if told["type"] == "executing" and data["node"] is None:
            return
