"""The picture in an answer of the web UI, and the settings that the answer reports."""

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bus.contracts.fields import Config
from pipeline_runner.outputs.infotext import read_infotext
from pipeline_runner.pipelines.http_client import Reply, ServerFault
from pipeline_runner.pipelines.server_values import number, scalar, whole

NO_INFO = "info: the server does not say what it used"


class Further(NamedTuple):
    """A further picture of a batch."""

    image: bytes
    infotext: str
    seed: int | None  # the one that was used


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server made: one picture as it encoded it, or several.

    Attributes:
        image: The file of the first one.
        infotext: What stands in the picture's text chunk `parameters`.
        info: What the server says of the run.
        parameters: The last line of the infotext, by the names that it has there.
        further: The other pictures.
    """

    image: bytes
    infotext: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    further: tuple[Further, ...] = ()

    @property
    def seed(self) -> int | None:
        """The seed that was used."""
        seeds = self.info.get("all_seeds")
        return whole(seeds[0] if isinstance(seeds, list) and seeds else self.info.get("seed"))

    @property
    def job_timestamp(self) -> str:
        """When the server started the job; the same value as in its progress."""
        return str(self.info.get("job_timestamp") or "")


def read_answer(stage: str, reply: Reply, count: int = 1) -> Answer:
    """Take so many pictures out of a successful answer, or as many as there are.

    Raises:
        ServerFault: it has none (`server_error`).
    """
    body = reply.json()
    if not isinstance(body, dict):
        raise ServerFault("server_error", "the server answered with something else than a picture")
    if stage == "upscale":
        return Answer(image=_decoded(body.get("image")))
    info = _info(body.get("info"))
    # a grid may stand before the pictures, and what extensions add stands behind them
    index = info.get("index_of_first_image") or 0
    images = body.get("images")
    if not isinstance(images, list) or not isinstance(index, int) or not 0 <= index < len(images):
        raise ServerFault("server_error", "the server answered without a picture")
    text = _text(info, index)
    return Answer(
        image=_decoded(images[index]),
        infotext=text,
        info=info,
        parameters=read_infotext(text),
        further=tuple(
            Further(_decoded(image), _text(info, index + at), _seed(info, at))
            for at, image in enumerate(images[index + 1 : index + count], 1)
        ),
    )


def _text(info: Mapping[str, Any], at: int) -> str:
    """Return the text of a picture, which has the place of the picture itself."""
    texts = info.get("infotexts")
    return texts[at] if isinstance(texts, list) and at < len(texts) and isinstance(texts[at], str) else ""


def _seed(info: Mapping[str, Any], at: int) -> int | None:
    """Return the seed of a picture; grids have none."""
    seeds = info.get("all_seeds")
    return whole(seeds[at]) if isinstance(seeds, list) and at < len(seeds) else None


def count_of(config: Config) -> int:
    """Return how many pictures a configuration asks for."""
    return math.prod(size for name in ("batch_size", "n_iter") if isinstance(size := config.get(name, 1), int))


def effective_of(answer: Answer) -> Config:
    """Return the settings that the server reports, under our names."""
    info, parameters = answer.info, answer.parameters
    found = {
        "prompt": _first(info, "all_prompts") or info.get("prompt"),
        "negative_prompt": _first(info, "all_negative_prompts") or info.get("negative_prompt"),
        "steps": info.get("steps"),
        "cfg_scale": info.get("cfg_scale"),
        "distilled_cfg_scale": _number(parameters.get("Distilled CFG Scale")),
        "sampler_name": info.get("sampler_name"),
        "scheduler": parameters.get("Schedule type"),
        "seed": answer.seed,
        "subseed_strength": info.get("subseed_strength"),
        "width": info.get("width"),
        "height": info.get("height"),
        "denoising_strength": info.get("denoising_strength"),
        "model": info.get("sd_model_name"),
        "model_hash": info.get("sd_model_hash"),
        "vae": info.get("sd_vae_name"),
        "loras": parameters.get("Lora hashes"),
        "clip_skip": info.get("clip_skip"),
        "refiner_checkpoint": parameters.get("Refiner"),
        "refiner_switch_at": _number(parameters.get("Refiner switch at")),
        "hr_checkpoint_name": parameters.get("Hires checkpoint"),
        "hr_sampler_name": parameters.get("Hires sampler"),
        "hr_scheduler": parameters.get("Hires schedule type"),
        "mask_blur": _number(parameters.get("Mask blur")),
    }
    told = {name: scalar(value) for name, value in found.items()}
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _info(found: Any) -> dict[str, Any]:
    """Read `info`, which is JSON in a text within the JSON."""
    try:
        parsed = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _decoded(found: Any) -> bytes:
    text = found.partition(";base64,")[2] or found if isinstance(found, str) else ""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise ServerFault("server_error", "the server answered with a picture that is no base64")
    return data


def _first(info: Mapping[str, Any], key: str) -> Any:
    found = info.get(key)
    return found[0] if isinstance(found, list) and found else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else number(float(text))
    except ValueError:
        return None
