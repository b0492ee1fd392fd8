"""The picture in an answer of SD.Next, and the settings that the answer reports."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bus.contracts.fields import Config
from pipeline_runner.outputs.infotext import read_infotext
from pipeline_runner.pipelines.http_client import Reply, ServerFault
from pipeline_runner.pipelines.server_values import number_in, scalar, whole

NO_INFO: Final = "info: the server does not say what it used"


class NoPictureError(Exception):
    """A successful answer without a picture: the server's log says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One picture as the server encoded it, what it says of the run, and the last line of the picture's infotext."""

    image: bytes
    infotext: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """The seed that was used."""
        seeds = self.info.get("all_seeds")
        return whole(seeds[0] if isinstance(seeds, list) and seeds else self.info.get("seed"))


def read_answer(stage: str, reply: Reply) -> Answer:
    """Take the one picture out of a successful answer.

    Raises:
        NoPictureError: it has none.
        ServerFault: it is something else (`server_error`).
    """
    body = reply.json()
    if not isinstance(body, dict):
        raise ServerFault("server_error", "the server answered with something else than a picture")
    if stage == "upscale":
        return Answer(image=_decoded(body.get("image")))
    images = body.get("images")
    if not isinstance(images, list) or not images:
        raise NoPictureError
    info = _info(body.get("info"))
    told = info.get("infotexts")
    texts = [text if isinstance(text, str) else "" for text in told] if isinstance(told, list) else []
    # pictures that only show what its detailer has found stand before the one that was made, and tell no steps
    read = [read_infotext(text) for text in texts[: len(images)]]
    index = next((place for place, found in enumerate(read) if "Steps" in found), 0)
    return Answer(
        image=_decoded(images[index]),
        infotext=texts[index] if texts else "",
        info=info,
        parameters=read[index] if read else {},
    )


def effective_of(answer: Answer) -> Config:
    """Return the settings that the server reports, under our names."""
    info, parameters = answer.info, answer.parameters
    found = {
        **{name: info.get(name) for name in ("prompt", "negative_prompt", "steps", "cfg_scale", "sampler_name")},
        **{name: info.get(name) for name in ("subseed_strength", "width", "height", "clip_skip")},
        "denoising_strength": number_in(parameters.get("Denoising strength")),
        "seed": answer.seed,
        "model": parameters.get("Model"),
        "model_hash": info.get("sd_model_hash"),
        "vae": parameters.get("VAE"),
        "loras": parameters.get("LoRA networks"),
        "scheduler": parameters.get("Scheduler"),
    }
    told = {name: scalar(value) for name, value in found.items()}
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _info(found: Any) -> dict[str, Any]:
    """Read `info`, which is JSON in a text within the JSON, or an empty text."""
    try:
        parsed = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _decoded(found: Any) -> bytes:
    try:
        data = base64.b64decode(found, validate=True) if isinstance(found, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise ServerFault("server_error", "the server answered with a picture that is no base64")
    return data
