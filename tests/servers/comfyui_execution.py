"""How the fake ComfyUI server executes a prompt: node by node, but for those that its cache has from the last one."""

import copy
import json
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from tests.servers.comfyui_nodes import FLEXIBLE, NODES, Graph, NodeError, before, value_of
from tests.servers.comfyui_pictures import animation, picture, preview
from tests.support.recordings import model, sound, video

if TYPE_CHECKING:
    from tests.servers.comfyui import FakeComfy, Item

STEPS: Final = 4  # progress messages of a sampler


class Told:
    """What is told of one prompt while it runs, and kept for its history."""

    def __init__(self, server: "FakeComfy", item: "Item") -> None:
        """Tell nothing yet."""
        self._server, self._item = server, item
        self._messages: list[list[Any]] = []

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send a message to the client of the prompt."""
        self._server.send(self._item.client_id, kind, {**data, "prompt_id": self._item.prompt_id})

    def state(self, node_id: str, value: float, most: float, state: str = "running") -> None:
        """Send how far a node is, in the form that has all nodes."""
        told = {"value": value, "max": most, "state": state, "node_id": node_id, "display_node_id": node_id}
        self.send("progress_state", {"nodes": {node_id: told}})

    def show(self, node_id: str, shown: bytes, prompt_id: str = "") -> None:
        """Send what a node has made so far, with metadata."""
        told = {
            "node_id": node_id,
            "prompt_id": prompt_id or self._item.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
            "image_type": "image/jpeg",
        }
        metadata = json.dumps(told).encode()
        self._server.send_bytes(self._item.client_id, struct.pack(">II", 4, len(metadata)) + metadata + shown)

    def log(self, kind: str, data: dict[str, Any]) -> None:
        """Send a message and keep it."""
        kept = {**data, "prompt_id": self._item.prompt_id, "timestamp": int(time.time() * 1000)}
        self._messages.append([kind, kept])
        self._server.send(self._item.client_id, kind, kept)

    def status(self) -> dict[str, Any]:
        """Return what the history says of the end."""
        well = self._messages[-1][0] == "execution_success"
        return {"status_str": "success" if well else "error", "completed": well, "messages": self._messages}


class Execution:
    """Executes prompts; keeps of each node of the last one what it gave, by all that decides that."""

    def __init__(self, server: "FakeComfy") -> None:
        """Have an empty cache."""
        self._server = server
        self._cache: dict[str, tuple[Any, Any]] = {}  # signature → value and what the page shows of it

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    def run(self, item: "Item", told: Told) -> dict[str, Any]:
        """Run a prompt; give its outputs, none if it fails."""
        graph, behaviour = item.graph, self._server.behaviour
        # every version has an order of its own, and none of them is that of the workflow
        ends = sorted(item.outputs, key=list(graph).index, reverse=True)
        needed = list(dict.fromkeys(node_id for end in ends for node_id in reversed(before(graph, end))))
        signatures = {node_id: self._signature(graph, node_id) for node_id in needed}
        known = self._cache
        self._cache = {key: known[key] for key in signatures.values() if key in known}
        cached = [node_id for node_id in needed if signatures[node_id] in known]
        told.log("execution_start", {})
        told.log("execution_cached", {"nodes": cached})
        values, outputs, executed = dict[str, Any](), dict[str, Any](), list[str]()
        for node_id in needed:
            if node_id in cached:
                value, shown = known[signatures[node_id]]
                shown = shown if behaviour.repeats_cached_outputs else None
            else:
                told.state(node_id, 0.0, 1.0)
                told.send("executing", {"node": node_id, "display_node": node_id})
                try:
                    value, shown = self._execute(item, node_id, values, told)
                except _Stopped:
                    stopped = {"node_id": node_id, "node_type": graph[node_id]["class_type"], "executed": executed}
                    told.log("execution_interrupted", stopped)
                    return {}
                except NodeError as error:
                    told.log("execution_error", _failure(error, node_id, graph, executed))
                    return {}
                executed.append(node_id)
                told.state(node_id, 1.0, 1.0, "finished")
                self._cache[signatures[node_id]] = value, shown
            values[node_id] = value
            if shown:
                outputs[node_id] = copy.deepcopy(shown)
                told.send("executed", {"node": node_id, "display_node": node_id, "output": shown})
        self._server.executed.append(item.prompt_id)
        told.log("execution_success", {})
        return outputs

    def _signature(self, graph: Graph, node_id: str) -> str:
        """Return all that decides what a node gives, inputs that its class does not have included."""
        return json.dumps([[graph[one]["class_type"], graph[one]["inputs"]] for one in before(graph, node_id)])

    def _execute(self, item: "Item", node_id: str, values: dict[str, Any], told: Told) -> tuple[Any, Any]:
        node = item.graph[node_id]
        kind, inputs = node["class_type"], node["inputs"]
        if kind.startswith("KSampler"):
            self._sample(item, node_id, told)
        if kind == "VbSlow":
            self._wait(item, node_id, float(inputs["seconds"]), told)
        given = {
            name: values.get(value[0]) if isinstance(value, list) else value
            for name, value in inputs.items()
            if name.split(".")[0] in NODES[kind] or (kind in FLEXIBLE and name.startswith(FLEXIBLE[kind]))
        }
        return value_of(kind, given), self._shown(item, kind, inputs, given)

    def _sample(self, item: "Item", node_id: str, told: Told) -> None:
        server = self._server
        seconds = server.behaviour.step_seconds
        steps = int(item.graph[node_id]["inputs"]["steps"]) if seconds else STEPS
        for step in range(1, steps + 1):
            server.stop_at(item, is_held=step > STEPS // 2, seconds=seconds)
            if item.interrupted or not server.is_running:
                raise _Stopped
            if server.behaviour.messages_of_others:
                foreign = {"prompt_id": "another", "value": 99, "max": 100, "node": "1"}
                server.send(item.client_id, "progress", foreign)
                if item.client_id in server.takes_metadata:
                    told.show("1", preview(0), "another")
            shown = preview(step) if server.behaviour.previews else b""
            told.state(node_id, step, steps)
            if shown and item.client_id in server.takes_metadata:
                told.show(node_id, shown)
            told.send("progress", {"value": step, "max": steps, "node": node_id})
            if shown and item.client_id not in server.takes_metadata:
                self._server.send_bytes(item.client_id, struct.pack(">II", 1, 1) + shown)
        error = server.behaviour.errors.popleft() if server.behaviour.errors else server.behaviour.always
        if item.graph[node_id]["inputs"]["cfg"] == server.behaviour.bad_cfg:
            error = "RuntimeError", "Padding size should be less than the corresponding input dimension"
        if error:
            raise NodeError(*error)

    def _wait(self, item: "Item", node_id: str, seconds: float, told: Told) -> None:
        steps = max(1, int(seconds * 2))
        for step in range(1, steps + 1):
            self._server.stop_at(item, is_held=True, seconds=seconds / steps)
            if item.interrupted or not self._server.is_running:
                raise _Stopped
            told.state(node_id, step, steps)
            told.send("progress", {"value": step, "max": steps, "node": node_id})

    def _shown(self, item: "Item", kind: str, inputs: dict[str, Any], given: dict[str, Any]) -> dict[str, Any] | None:
        """Save the files of an output node; return what the history lists of it."""
        prefix, count = (
            str(inputs.get("filename_prefix", "ComfyUI_temp_hhnkq")),
            given.get("images", {}).get("batch", 1),
        )

        def saved(suffix: str, data: bytes, folder: str = "output") -> dict[str, Any]:
            return self._server.save(folder, prefix, suffix, data)

        shown: dict[str, Any] | None = None
        match kind:
            case "SaveImage" | "PreviewImage":
                folder = "output" if kind == "SaveImage" else "temp"
                files = [saved(".png", picture(item.graph, given["images"], at), folder) for at in range(count)]
                shown = {"images": files}
            case "SaveAnimatedWEBP":
                shown = {"images": [saved(".webp", animation(given["images"]))], "animated": [True]}
            case "SaveWEBM":
                shown = {"images": [saved(".webm", video())], "animated": [True]}
            case "SaveVideo":
                shown = {"images": [saved(".mp4", video("mp4", "libx264"))], "animated": [True]}
            case "VHS_VideoCombine":
                file = saved(".mp4", video("mp4", "libx264"), "output" if inputs["save_output"] else "temp")
                more = {"format": inputs["format"], "frame_rate": 8.0, "fullpath": f"/srv/{file['filename']}"}
                shown = {"gifs": [{**file, **more}]}
            case "SaveAudio":
                shown = {"audio": [saved(".flac", sound("flac", "flac"))]}
            case "SaveGLB":
                shown = {"3d": [saved(".glb", model())]}
            case "PreviewAny" | "VbText":
                shown = {"text": [str(inputs["source" if kind == "PreviewAny" else "text"])]}
        return shown


class _Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The prompt was interrupted."""


def _failure(error: NodeError, node_id: str, graph: Graph, executed: list[str]) -> dict[str, Any]:
    return {
        "node_id": node_id,
        "node_type": graph[node_id]["class_type"],
        "executed": executed,
        "exception_message": error.message,
        "exception_type": error.kind,
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }
