"""The drift guard: compares the requested settings with those that SwarmUI writes into the picture's metadata.

SwarmUI leaves out a parameter that it does not know, takes the nearest name for one that it does not know, and tells
of every parameter whether any part of the work has asked for it at all. Texts are not compared, as it fills in
wildcards and takes its own marks out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bus.contracts.fields import Config, ConfigValue
from pipeline_runner.pipelines.difference import Difference, same_number
from pipeline_runner.pipelines.loras import LORA, LORA_STRENGTH, PART, loras_in
from pipeline_runner.pipelines.server_values import number, scalar
from pipeline_runner.pipelines.swarmui.news import Told
from pipeline_runner.pipelines.swarmui.offer import OUR_NAMES, Knob, Offer, clean

Size = tuple[int, int]
NO_INFO: Final = "metadata: the server does not say what it used"
NOTHING: Final = "nothing, as it left it out"
UNUSED: Final = "nothing, as no part of its work asked for it"
# left out of the metadata where it means nothing, as the server takes it for not given
_NEUTRAL: Final = frozenset({"", "0", "1", "false", "none", "automatic", "normal", "disabled"})
_OF_THE_REQUEST: Final = frozenset({"images", "donotsave"})  # as every request says
_UPSCALE: Final = "upscale"


def differences(config: Config, offer: Offer, told: Told, size: Size) -> list[Difference]:
    """Compare a job with what is told of its picture; `size` is that of the picture itself."""
    return [*_told(config, offer, told), *_loras(config, offer, told), *_sizes(config, size)]


def effective_of(told: Told) -> Config:
    """Return the settings that the server reports, under our names; lists as texts."""
    found: Config = {}
    for name, value in (told.params or {}).items():
        if name in _OF_THE_REQUEST:
            continue
        kept = ",".join(str(one) for one in value) if isinstance(value, list) else scalar(value)
        if kept is not None:
            found[OUR_NAMES.get(name, name)] = kept
    return found


def _told(config: Config, offer: Offer, told: Told) -> Iterator[Difference]:
    if told.params is None:
        return
    for name, knob in offer.knobs.items():
        if name not in config or name in (LORA, LORA_STRENGTH, "prompt", "negative_prompt"):
            continue
        asked = config[name]
        if knob.target in told.unused:
            yield Difference(name, asked, UNUSED, (name,))
        elif knob.target not in told.params:
            if not _is_neutral(asked, knob):
                yield Difference(name, asked, NOTHING, (name,))
        elif not _same(knob, asked, told.params[knob.target]):
            yield Difference(name, asked, told.params[knob.target], (name,))


def _is_neutral(asked: ConfigValue, knob: Knob) -> bool:
    text = _text(asked)
    return text in _NEUTRAL or text == knob.default.lower() or _numbers(asked, knob.default)


def _same(knob: Knob, asked: ConfigValue, used: Any) -> bool:
    """Compare a value with what was used, which the server may write as a text."""
    if knob.names:
        meant = knob.names.spellings.get(str(asked), str(asked))
        return _text(clean(str(used)) if knob.is_model else used) == _text(meant)
    if knob.kind in ("int", "float"):
        return _numbers(asked, used)
    return knob.kind != "bool" or _text(asked) == _text(used)


def _loras(config: Config, offer: Offer, told: Told) -> Iterator[Difference]:
    """Look for each LoRA and its strength in the two lists that tell them."""
    if told.params is None:
        return
    used, weights = _list(told.params, "loras"), _list(told.params, "loraweights")
    names = [clean(name).lower() for name in used]
    for one in (lora for lora in loras_in(config) if lora.strength):
        asked = offer.loras.spellings.get(one.name, one.name).lower()
        if asked not in names:
            yield Difference(LORA, one.name, ", ".join(used) or "none", (LORA, LORA_STRENGTH, f"{PART}{one.name}"))
        elif (place := names.index(asked)) < len(weights) and not _numbers(one.strength, weights[place]):
            spoils = (LORA_STRENGTH, f"{PART}{one.name}")
            yield Difference(LORA_STRENGTH, one.strength, weights[place], spoils)


def _list(params: Mapping[str, Any], name: str) -> list[str]:
    found = params.get(name)
    parts = found if isinstance(found, list) else found.split(",") if isinstance(found, str) else []
    return [str(one).strip() for one in parts if str(one).strip()]


def _sizes(config: Config, size: Size) -> Iterator[Difference]:
    """Compare the sides with the picture itself, unless the job enlarges it."""
    if any(_UPSCALE in name for name in config):
        return
    for name, real in zip(("width", "height"), size, strict=True):
        asked = config.get(name)
        if isinstance(asked, int) and asked != real:
            yield Difference(name, asked, real, (name,))


def _numbers(one: Any, other: Any) -> bool:
    """Return whether both are numbers and the same."""
    first, second = _number(one), _number(other)
    return first is not None and second is not None and same_number(first, second)


def _number(found: Any) -> int | float | None:
    if not isinstance(found, str):
        return number(found)
    try:
        return int(found)
    except ValueError:
        pass
    try:
        return number(float(found))
    except ValueError:
        return None


def _text(found: Any) -> str:
    return str(found).strip().lower()
