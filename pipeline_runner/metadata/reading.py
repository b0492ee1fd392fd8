"""Which program made a picture, and with which settings."""

from typing import NamedTuple

from pipeline_runner.metadata.a1111 import is_grid, read_a1111
from pipeline_runner.metadata.comfyui import read_comfyui
from pipeline_runner.metadata.json_forms import (
    read_fooocus,
    read_invokeai,
    read_invokeai_old,
    read_novelai,
    read_swarmui,
)
from pipeline_runner.metadata.stealth import hidden_text
from pipeline_runner.metadata.texts import Texts, texts_of
from pipeline_runner.metadata.values import Settings, parsed, table
from pipeline_runner.outputs.containers import PNG_SIGNATURE


class Made(NamedTuple):
    """The program that made a picture, by the name of its pipeline, and its settings by our names."""

    pipeline: str
    settings: Settings


def made_by(data: bytes) -> Made | None:
    """Return how a picture was made, by what stands in its file; None if nothing there says so.

    Raises:
        GridError: it is a grid of pictures.
    """
    found = read_texts(texts_of(data))
    if found is None and data.startswith(PNG_SIGNATURE) and data[24:26] == b"\x08\x06":  # 8 bits with alpha
        hidden = hidden_text(data)
        found = read_texts(_hidden(hidden)) if hidden else None
    return found


class GridError(ValueError):
    """A picture shows many pictures."""


def read_texts(texts: Texts) -> Made | None:
    """Return how a picture was made, by the texts in its file.

    Raises:
        GridError: it is a grid of pictures.
    """
    if made := _from_chunks(texts):
        return made
    for name in ("UserComment", "ImageDescription", "Make", "Model", "comment"):
        if made := _from_text(texts.get(name, ""), texts):
            return made
    return None


def _from_chunks(texts: Texts) -> Made | None:
    """Read the chunks that only one program writes, and `parameters`, which many do."""
    if settings := read_invokeai(texts.get("invokeai_metadata")):
        return Made("invokeai", settings)
    if settings := read_invokeai_old(texts.get("sd-metadata")):
        return Made("invokeai", settings)
    if made := _from_text(texts.get("parameters", ""), texts):
        return made
    if settings := read_comfyui(parsed(texts.get("prompt", ""))):
        return Made("comfyui", settings)
    if settings := read_novelai(texts.get("Comment"), texts.get("Source")):
        return Made("novelai", settings)
    return None


def _from_text(text: str, texts: Texts) -> Made | None:
    """Read a text that may be of any program."""
    if not text:
        return None
    kind, colon, rest = text.partition(":")
    if colon and kind.lower() == "prompt" and rest.lstrip().startswith("{"):  # ComfyUI has no chunks in a WebP
        settings = read_comfyui(parsed(rest))
        return Made("comfyui", settings) if settings else None
    if text.lstrip().startswith("{"):
        return _from_json(text, texts)
    if is_grid(text):
        raise GridError
    settings = read_a1111(text)
    return Made("webui", settings) if settings else None


def _from_json(text: str, texts: Texts) -> Made | None:
    data = table(text)
    if settings := read_swarmui(data):
        return Made("swarmui", settings)
    if texts.get("fooocus_scheme") or texts.get("MakerNote") == "fooocus" or "base_model" in data:
        settings = read_fooocus(data)
        return Made("fooocus", settings) if settings else None
    if "Comment" in data or "uc" in data or "v4_prompt" in data:
        settings = read_novelai(data.get("Comment", data), str(data.get("Source") or texts.get("Source") or ""))
        return Made("novelai", settings) if settings else None
    settings = read_comfyui(table(data.get("prompt")) or data)
    return Made("comfyui", settings) if settings else None


def _hidden(text: str) -> Texts:
    """Return hidden text as the texts it stands for: JSON with the names of chunks, or one text."""
    found = table(text)
    if "Comment" in found or "parameters" in found:
        return {key: value for key, value in found.items() if isinstance(value, str)}
    return {"parameters": text}
