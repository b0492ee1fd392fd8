"""Which settings vary among pictures, which of them vary together, and what two values of one are. Pure."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from bus.contracts.fields import Scalar
from bus.contracts.values import identity
from pipeline_runner.metadata.values import Settings

PROMPT: Final = "prompt"
SEEDS: Final = ("seed", "subseed")
SIZE: Final = "size"
# what a setting is where a program does not write it
_DEFAULTS: Final[dict[str, Scalar]] = {
    "negative_prompt": "",
    "clip_skip": 1,
    "scheduler": "Automatic",
    "refiner_checkpoint": "none",
    "sd_vae": "Automatic",
    "lora": "none",
    "lora_strength": 0,
}
ABSENT: Final = "none"
# the order in which people think of settings: of those that vary together, the first one gives the name
_ORDER: Final = (
    "model", "lora", "lora_strength", "sampler_name", "scheduler", "steps", "cfg_scale", "denoising_strength", SIZE,
    "width", "height", "clip_skip", "sd_vae", "negative_prompt",
)  # fmt: skip
_NO_SETTING: Final = re.compile(r"(?:.*[ _])?(?:hash|hashes|date|time|version|filename|user|id|uuid|path)")
_LORA: Final = re.compile(r"<(?:lora|lyco):([^:<>]++)(?::([^:<>]*+))?[^<>]*+>")


class Varying(NamedTuple):
    """A setting with several values.

    Attributes:
        name: What it is called.
        values: Its values, in order, each with the number of pictures that have it.
        also: Settings that vary only together with it.
    """

    name: str
    values: list[tuple[Scalar, int]]
    also: tuple[str, ...] = ()


def value_in(settings: Settings, name: str) -> Scalar:
    """Return the value of a setting, also where the program has not written it."""
    if name in settings:
        return settings[name]
    return 0 if name.startswith("lora ") else _DEFAULTS.get(name, ABSENT)


def comparable(found: Sequence[Settings]) -> list[Settings]:
    """Return settings as they are compared: LoRAs apart from the prompt where they differ, and sizes as one text."""
    tagged = [_without_loras(one) for one in found]
    loras = {frozenset((name, value) for name, value in one.items() if name.startswith("lora ")) for one in tagged}
    compared = tagged if len(loras) > 1 else [dict(one) for one in found]
    names = {name for one in compared for name in one if name.startswith("lora ")}
    if len(names) == 1:
        (only,) = names
        compared = [_renamed(one, only) for one in compared]
    sizes = {(one.get("width"), one.get("height")) for one in compared}
    if len({width for width, _ in sizes}) > 1 and len({height for _, height in sizes}) > 1:
        compared = [
            {**{name: value for name, value in one.items() if name not in ("width", "height")}, SIZE: _size_of(one)}
            for one in compared
        ]
    return compared


def _size_of(settings: Settings) -> str:
    return f"{settings.get('width', '?')}x{settings.get('height', '?')}"


def _without_loras(settings: Settings) -> Settings:
    """Take the marks of LoRAs out of the prompt, and put their strengths beside it."""
    prompt = settings.get(PROMPT)
    if not isinstance(prompt, str) or not (marks := _LORA.findall(prompt)):
        return dict(settings)
    strengths: Settings = {}
    for name, strength in marks:
        try:
            strengths[f"lora {name}"] = float(strength or 1)
        except ValueError:
            strengths[f"lora {name}"] = strength
    rest = re.sub(r"\s+", " ", _LORA.sub("", prompt)).strip(" ,")
    return {**settings, PROMPT: rest, **strengths}


def _renamed(settings: Settings, name: str) -> Settings:
    """Give the only LoRA the names that the `webui` pipeline has for one."""
    others = {key: value for key, value in settings.items() if key != name}
    return {**others, "lora": name.removeprefix("lora "), "lora_strength": settings.get(name, 0)}


def varying(found: Sequence[Settings], most: int = 1000) -> list[Varying]:
    """Return the settings with several values but for the seed, those that vary together as one.

    Those that are no settings, such as hashes and dates, and those with over `most` values are left out.
    """
    names = sorted({name for one in found for name in one}, key=_rank)
    kept: dict[str, list[Hashable]] = {}
    also: dict[str, list[str]] = {}
    for name in names:
        if name in SEEDS or _NO_SETTING.fullmatch(name):
            continue
        column = [identity(value_in(one, name)) for one in found]
        if not 1 < len(set(column)) <= most:
            continue
        leader = _leader(column, kept) if name != PROMPT else None
        if leader is None:
            kept[name] = column
        else:
            also.setdefault(leader, []).append(name)
    return [Varying(name, counted(found, name), tuple(also.get(name, ()))) for name in kept]


def _leader(column: Sequence[Hashable], kept: Mapping[str, Sequence[Hashable]]) -> str | None:
    """Return a setting that a column follows from, so that it says nothing more; None if there is none."""
    for name, other in kept.items():
        # where each picture has a prompt of its own, everything would follow from that
        if name == PROMPT and len(set(other)) * 2 > len(other):
            continue
        if follows(column, other):
            return name
    return None


def follows(column: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    """Return whether each value of the other column always stands beside the same one of this one."""
    return len(set(zip(other, column, strict=True))) == len(set(other))


def counted(found: Iterable[Settings], name: str) -> list[tuple[Scalar, int]]:
    """Return the values of a setting with their numbers: numbers by size, texts as they come."""
    values: dict[object, Scalar] = {}
    counts: Counter[object] = Counter()
    for one in found:
        value = value_in(one, name)
        values.setdefault(identity(value), value)
        counts[identity(value)] += 1
    listed = list(values.values())
    numbers = [value for value in listed if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(listed):
        listed = sorted(numbers)
    return [(value, counts[identity(value)]) for value in listed]


def constant(found: Sequence[Settings]) -> Settings:
    """Return the settings that all pictures have with the same value, but for what is no setting."""
    first = found[0]
    return {
        name: value
        for name, value in first.items()
        if name not in SEEDS
        and not _NO_SETTING.fullmatch(name)
        and all(identity(value_in(one, name)) == identity(value) for one in found)
    }


def _rank(name: str) -> tuple[int, str]:
    if name == PROMPT:
        return -1, name
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER)), name
