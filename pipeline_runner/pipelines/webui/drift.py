"""The drift guard: compares the requested settings with those that the server reports.

The web UI takes something else for a name that it does not know, and answers 200. What it does not report is no
difference.
"""

from collections.abc import Iterator
from typing import Final

from bus.contracts.fields import Config
from pipeline_runner.pipelines.difference import Difference, same_number
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.loras import LORAS, loras_of
from pipeline_runner.pipelines.names import stem
from pipeline_runner.pipelines.server_values import number, whole
from pipeline_runner.pipelines.webui.answer import Answer
from pipeline_runner.pipelines.webui.lists import AUTOMATIC, NONE, Lists
from pipeline_runner.pipelines.webui.payload import GRID
from pipeline_runner.pipelines.webui.registry import DEFAULT_FACTOR

Size = tuple[int, int]
_NUMBERS: Final = ("steps", "cfg_scale", "seed", "clip_skip", "denoising_strength", "subseed", "subseed_strength")
_OF_LORA: Final = ("lora", "lora_strength", "prompt")


def differences(
    config: Config, lists: Lists, answer: Answer, size: Size, init: InitImage | None, *, loras_told: bool
) -> list[Difference]:
    """Compare a job of txt2img or img2img with its answer; `size` is that of the picture itself.

    `loras_told` says whether the server writes the hashes of the LoRAs that it has used.
    """
    return [
        *_numbers(config, answer),
        *_sampling(config, lists, answer),
        *_model(config, lists, answer),
        *_vae(config, lists, answer),
        *(_loras(config, lists, answer) if loras_told else ()),
        *_sizes(config, answer, size, init),
    ]


def upscaled(config: Config, size: Size, init: InitImage) -> list[Difference]:
    """Compare an upscaled picture with the one that it was made of: it may have come back as it was.

    Servers round the sides down to the grid, or not at all.
    """
    factor = number(config.get("upscaling_factor")) or DEFAULT_FACTOR
    asked = (int(init.width * factor), int(init.height * factor))
    if all(_near(side, wanted, 2) or side == wanted // GRID * GRID for side, wanted in zip(size, asked, strict=True)):
        return []
    return [Difference("upscaling_factor", _by(asked), _by(size), ("upscaling_factor", "upscaler"))]


def _numbers(config: Config, answer: Answer) -> Iterator[Difference]:
    reported = {**answer.info, "seed": answer.seed}
    for name in _NUMBERS:
        asked, used = number(config.get(name)), number(reported.get(name))
        if asked is not None and used is not None and not same_number(asked, used):
            yield Difference(name, asked, used, (name,))


def _sampling(config: Config, lists: Lists, answer: Answer) -> Iterator[Difference]:
    """Compare sampler and schedule; an old name stands for both."""
    name = config.get("sampler_name")
    if isinstance(name, str):
        asked, used = lists.names["samplers"].spellings.get(name, name), answer.info.get("sampler_name")
        if isinstance(used, str) and lists.names["samplers"].spellings.get(used, used) != asked:
            yield Difference("sampler_name", name, used, ("sampler_name",))
    known = lists.names.get("schedulers")
    schedule = lists.combined.get(str(name)) or config.get("scheduler")
    used = answer.parameters.get("Schedule type")
    if known is None or not isinstance(schedule, str) or used is None:
        return
    asked = known.spellings.get(schedule, schedule)
    # Automatic is the schedule of the sampler, and the report names that one
    if asked != AUTOMATIC and known.spellings.get(used, used) != asked:
        spoils = ("scheduler", "sampler_name") if name in lists.combined else ("scheduler",)
        yield Difference("scheduler", schedule, used, spoils)


def _model(config: Config, lists: Lists, answer: Answer) -> Iterator[Difference]:
    """Compare by hash where both are known, else by the name of the file."""
    title = lists.names["models"].spellings.get(str(config.get("model")))
    used, used_hash = answer.info.get("sd_model_name"), answer.info.get("sd_model_hash")
    if title is None:
        return
    asked = lists.checkpoints[title]
    if asked.hash and used_hash:
        same = asked.hash.startswith(str(used_hash)) or str(used_hash).startswith(asked.hash)
    else:
        same = not used or used in (asked.name, title)
    if not same:
        yield Difference("model", config["model"], used or used_hash, ("model",))


def _vae(config: Config, lists: Lists, answer: Answer) -> Iterator[Difference]:
    asked = config.get("vae")
    if not isinstance(asked, str) or asked == AUTOMATIC:
        return
    if lists.forge:
        used = [text for name, text in answer.parameters.items() if name.startswith("Module ")]
        if used and stem(asked) not in {stem(text) for text in used}:
            yield Difference("vae", asked, ", ".join(used), ("vae",))
    elif "sd_vae_name" in answer.info:
        found = answer.info["sd_vae_name"] or NONE
        if stem(str(found)) != stem(asked):
            yield Difference("vae", asked, found, ("vae",))


def _loras(config: Config, lists: Lists, answer: Answer) -> Iterator[Difference]:
    """Look for each LoRA among those whose hashes the server writes."""
    known = lists.names.get("loras")
    if known is None or not answer.parameters:
        return
    pairs = answer.parameters.get("Lora hashes", "").split(",")
    used = {pair.partition(":")[0].strip() for pair in pairs} - {""}
    for name in loras_of(config):
        spellings = {name, known.spellings.get(name, name)}
        if not used & {spelling.replace(":", "").replace(",", "") for spelling in spellings}:
            yield Difference("lora", name, ", ".join(sorted(used)) or "none", (*_OF_LORA, f"{LORAS}.{name}"))


def _sizes(config: Config, answer: Answer, size: Size, init: InitImage | None) -> Iterator[Difference]:
    """Compare what was asked for with what is reported, else with the picture itself; hires fix enlarges that."""
    base = {"width": init.width // GRID * GRID, "height": init.height // GRID * GRID} if init else {}
    scale = (number(config.get("hr_scale")) or DEFAULT_FACTOR) if config.get("enable_hr") else 1.0
    for name, real in zip(("width", "height"), size, strict=True):
        asked, reported = config.get(name, base.get(name)), whole(answer.info.get(name))
        if isinstance(asked, int) and isinstance(reported, int) and reported != asked:
            yield Difference(name, asked, reported, (name,))
        elif isinstance(side := asked or reported, int) and not _near(real, int(side * scale), GRID):
            enlarged = ("enable_hr", "hr_scale") if scale != 1 else ()
            yield Difference(name, int(side * scale), real, (name, *enlarged))


def _near(one: int, other: int, grid: int) -> bool:
    """Return whether two sides are equal, apart from rounding to the grid."""
    return abs(one - other) < max(grid, 2)


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
