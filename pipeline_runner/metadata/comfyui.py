"""The nodes that ComfyUI writes into its pictures: which inputs are settings, and what these are called."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from pipeline_runner.metadata.values import Settings, scalar

Nodes = Mapping[str, Mapping[str, Any]]
# input → the name that other programs' pictures have for it
_NAMES: Final = {
    "cfg": "cfg_scale",
    "noise_seed": "seed",
    "ckpt_name": "model",
    "unet_name": "model",
    "vae_name": "sd_vae",
    "denoise": "denoising_strength",
    "lora_name": "lora",
    "strength_model": "lora_strength",
}
_SEEDS: Final = ("seed", "noise_seed")
_TEXTS: Final = ("text", "text_g", "text_l", "clip_l", "t5xxl", "prompt", "string", "value")
_IGNORED: Final = {"filename_prefix", "filename", "output_path", "batch_size", "control_after_generate", "upload"}
_SIDES: Final = {"positive": "prompt", "negative": "negative_prompt"}


def read_comfyui(found: Any) -> Settings | None:
    """Return the settings in nodes of the API format, None if there are none.

    An input has a short name where no other node has one of that name, else `NODE.INPUT`. What the workflow is but for
    its values stands in `workflow`: two pictures of different workflows differ in it.
    """
    nodes = _nodes(found)
    if not nodes:
        return None
    texts = _prompts(nodes)
    values = {
        (node, name): value
        for node, one in nodes.items()
        for name, raw in one["inputs"].items()
        if name not in _IGNORED and (node, name) not in texts and (value := scalar(raw)) is not None
    }
    settings: Settings = {}
    for (node, name), side in texts.items():
        settings.setdefault(side, scalar(nodes[node]["inputs"][name]) or "")
    counts: dict[str, int] = {}
    for _, name in values:
        counts[_short(name)] = counts.get(_short(name), 0) + 1
    for (node, name), value in values.items():
        short = _short(name)
        if short == "seed":
            settings.setdefault("seed", value)  # of several samplers, the first one's
        elif counts[short] == 1:
            settings.setdefault(short, value)
        else:
            settings[f"{node}.{name}"] = value
    settings["workflow"] = _structure(nodes)
    return settings


def _nodes(found: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(found, dict):
        return {}
    return {
        str(node): one
        for node, one in found.items()
        if isinstance(one, dict) and isinstance(one.get("inputs"), dict) and isinstance(one.get("class_type"), str)
    }


def _short(name: str) -> str:
    return _NAMES.get(name, name)


def _prompts(nodes: Nodes) -> dict[tuple[str, str], str]:
    """Return the inputs that hold the prompts, found from the samplers upstream."""
    found: dict[tuple[str, str], str] = {}
    for one in nodes.values():
        for side, name in _SIDES.items():
            if side in one["inputs"]:
                text = _text_before(nodes, one["inputs"][side], side)
                if text and text not in found:
                    found[text] = name
        if "guider" not in one["inputs"] and "conditioning" in one["inputs"] and "Guider" in str(one["class_type"]):
            text = _text_before(nodes, one["inputs"]["conditioning"], "conditioning")
            if text:
                found.setdefault(text, "prompt")
    return found


def _text_before(nodes: Nodes, link: Any, side: str) -> tuple[str, str] | None:
    """Follow a link to the nearest node with the text of a prompt; None if there is none on the way."""
    left, seen = [link], set[str]()
    while left:
        match left.pop(0):
            case [str() | int() as source, int()] if str(source) in nodes and str(source) not in seen:
                node, inputs = str(source), nodes[str(source)]["inputs"]
            case _:
                continue
        seen.add(node)
        for name in _TEXTS:
            if isinstance(inputs.get(name), str):
                return node, name
        ways = (side, "conditioning", *_TEXTS, *(name for name in inputs if name.startswith("conditioning")))
        left += [inputs[name] for name in ways if name in inputs]
    return None


def _structure(nodes: Nodes) -> str:
    """Return a short hash of classes and links: equal for pictures that differ in values alone."""
    links = sorted(
        (node, str(one["class_type"]), name, str(value))
        for node, one in nodes.items()
        for name, value in (*one["inputs"].items(), ("", []))
        if isinstance(value, list)
    )
    return hashlib.sha256(repr(links).encode("utf-8", "replace")).hexdigest()[:8]
