"""The drift guard: compares the requested settings with those that SD.Next reports.

It takes its present model for one that it has not found, leaves out a LoRA that it cannot load, and answers 200.
"""

from collections.abc import Iterator
from typing import Any, Final

from bus.contracts.fields import Config
from pipeline_runner.pipelines.difference import Difference, same_number
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.loras import LORA, LORA_STRENGTH, PART, loras_of
from pipeline_runner.pipelines.names import stem
from pipeline_runner.pipelines.sdnext.answer import Answer
from pipeline_runner.pipelines.sdnext.offer import AUTOMATIC, DEFAULT, DEFAULT_FACTOR, Offer
from pipeline_runner.pipelines.sdnext.request import GRID, sides_of
from pipeline_runner.pipelines.server_values import number, number_in

Size = tuple[int, int]
_NUMBERS: Final = ("steps", "cfg_scale", "cfg_end", "seed", "clip_skip", "subseed", "subseed_strength")
_LABELS: Final = {
    "denoising_strength": "Denoising strength",
    "detailer_strength": "Detailer strength",
    "detailer_steps": "Detailer steps",
}


def differences(config: Config, offer: Offer, answer: Answer, size: Size, init: InitImage | None) -> list[Difference]:
    """Compare a job of txt2img or img2img with its answer; `size` is that of the picture itself."""
    return [
        *_numbers(config, answer),
        *_sampler(config, offer, answer),
        *_model(config, offer, answer),
        *_vae(config, answer),
        *_loras(config, offer, answer),
        *_sizes(config, size, init),
    ]


def upscaled(config: Config, size: Size, init: InitImage) -> list[Difference]:
    """Compare the size of an upscaled picture with the one that it was made of; servers round down to a grid of 8."""
    factor = number(config.get("upscaling_factor")) or DEFAULT_FACTOR
    asked = (int(init.width * factor), int(init.height * factor))
    if all(abs(side - wanted) < GRID for side, wanted in zip(size, asked, strict=True)):
        return []
    first, second = (f"{width}x{height}" for width, height in (asked, size))
    return [Difference("upscaling_factor", first, second, ("upscaling_factor", "upscaler"))]


def _numbers(config: Config, answer: Answer) -> Iterator[Difference]:
    reported: dict[str, Any] = {**{name: answer.info.get(name) for name in _NUMBERS}, "seed": answer.seed}
    reported |= {name: number_in(answer.parameters.get(label)) for name, label in _LABELS.items()}
    for name, told in reported.items():
        asked, used = number(config.get(name)), number(told)
        if asked is not None and used is not None and not same_number(asked, used):
            yield Difference(name, asked, used, (name,))


def _sampler(config: Config, offer: Offer, answer: Answer) -> Iterator[Difference]:
    asked, used = config.get("sampler_name"), answer.info.get("sampler_name")
    if isinstance(asked, str) and used and offer.names["samplers"].spellings.get(asked, asked) != used:
        yield Difference("sampler_name", asked, used, ("sampler_name",))


def _model(config: Config, offer: Offer, answer: Answer) -> Iterator[Difference]:
    """Compare by hash where both are known, else by the name, which is told without some characters."""
    title = offer.names["models"].spellings.get(str(config.get("model")))
    if title is None:
        return
    asked = offer.checkpoints[title]
    used, used_hash = answer.parameters.get("Model"), answer.info.get("sd_model_hash")
    if asked.hash and used_hash:
        same = asked.hash.startswith(str(used_hash)) or str(used_hash).startswith(asked.hash)
    else:
        same = not used or _plain(used) == _plain(asked.name)
    if not same:
        yield Difference("model", config["model"], used or used_hash, ("model",))


def _vae(config: Config, answer: Answer) -> Iterator[Difference]:
    """Compare the VAE where models are told at all; none is told where the model's own one was used."""
    asked = config.get("vae")
    if not isinstance(asked, str) or asked in (AUTOMATIC, DEFAULT) or "Model" not in answer.parameters:
        return
    used = answer.parameters.get("VAE", DEFAULT)
    if stem(used) != stem(asked):
        yield Difference("vae", asked, used, ("vae",))


def _loras(config: Config, offer: Offer, answer: Answer) -> Iterator[Difference]:
    """Look for each LoRA among those that were loaded."""
    if not answer.parameters:
        return
    spellings = offer.names["loras"].spellings
    used = {name.strip() for name in answer.parameters.get("LoRA networks", "").split(",")} - {""}
    for name in loras_of(config):
        if spellings.get(name, name) not in used:
            spoils = (LORA, LORA_STRENGTH, "prompt", f"{PART}{name}")
            yield Difference(LORA, name, ", ".join(sorted(used)) or "none", spoils)


def _sizes(config: Config, size: Size, init: InitImage | None) -> Iterator[Difference]:
    base = sides_of(init)
    for name, real in zip(("width", "height"), size, strict=True):
        asked = config.get(name, base.get(name))
        if isinstance(asked, int) and asked != real:
            yield Difference(name, asked, real, (name,))


def _plain(name: str) -> str:
    return name.replace(",", "").replace(":", "")
