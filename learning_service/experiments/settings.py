"""From a value to the settings of a job: what it sets, and the texts that it takes part in."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config, Scalar, VariantValue
from bus.contracts.pipeline_specs import SEED
from bus.contracts.values import key_text
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import settings_set
from learning_service.experiments.blocks import seed_of, shared_config

LONGEST_TEXT: Final = 98_304  # characters, with all parts in it: a configuration has no more bytes


class Mark(NamedTuple):
    """What a variable takes the place of, in one setting, or where that is empty in the texts of all."""

    name: str  # of the variable
    token: str
    setting: str


def parts_of(definition: ExperimentDefinition, value: VariantValue) -> dict[str, Scalar]:
    """Return the value of each variable."""
    return value if isinstance(value, dict) else {definition.variable_name: value}


def job_config(definition: ExperimentDefinition, value: VariantValue, repeat_index: int) -> Config:
    """Return the whole configuration of a job: the same repeats under every variant, and only the variables differ."""
    return {
        **shared_config(definition, repeat_index),
        SEED: seed_of(definition, repeat_index),
        **value_settings(definition, value, repeat_index),
    }


def value_settings(definition: ExperimentDefinition, value: VariantValue, repeat_index: int = 0) -> Config:
    """Return the settings that a value decides in a repeat, texts of which it is a part as a whole."""
    parts = parts_of(definition, value)
    own, marks = set_by(definition, parts), marks_of(definition)
    texts = _filled(marks, parts, {**shared_config(definition, repeat_index), **own}) if marks else {}
    return {**own, **texts}


def varied_settings(definition: ExperimentDefinition) -> frozenset[str]:
    """Return all settings that are not the same under each value."""
    marks = marks_of(definition)
    found = {name for knob in definition.knobs for name in settings_set(knob)}
    for name, text in _texts_of(definition):
        found |= {name for mark in marks if mark.setting in ("", name) and mark.token in text}
    return frozenset(found)


def marks_of(definition: ExperimentDefinition) -> list[Mark]:
    """Return what variables take the place of, none where all of them are settings."""
    return [
        Mark(knob.name, knob.replace or f"{{{knob.name}}}", (knob.setting or knob.name) if knob.replace else "")
        for knob in definition.knobs
        if knob.replace or knob.fills
    ]


def missing_marks(definition: ExperimentDefinition, value: VariantValue, repeat_index: int) -> list[Mark]:
    """Return what occurs in no text of a job, so that its variable changes nothing."""
    parts = parts_of(definition, value)
    config = {**shared_config(definition, repeat_index), **set_by(definition, parts)}
    marks = marks_of(definition)
    found = {token for name, text in _strings(config) for token in _tokens_in(_here(marks, name), text)}
    return [mark for mark in marks if mark.token not in found]


def check_text_sizes(definition: ExperimentDefinition, values: Iterable[VariantValue]) -> None:
    """Refuse parts of texts that would make one of them endless.

    Raises:
        InvalidInputError: naming the setting.
    """
    if not (marks := marks_of(definition)):
        return
    longest: dict[str, int] = {}
    for value in values:
        for name, part in parts_of(definition, value).items():
            longest[name] = max(longest.get(name, 0), len(text_of(part)))
    for name, text in _texts_of(definition):
        grown = (text.count(one.token) * max(0, longest.get(one.name, 0) - len(one.token)) for one in marks)
        length = len(text) + sum(grown)
        if length > LONGEST_TEXT:
            raise InvalidInputError(f"{name}: may become {length} characters long, more than {LONGEST_TEXT}; shorten")


def set_by(definition: ExperimentDefinition, parts: Mapping[str, Scalar]) -> Config:
    """Return the settings that the values of variables set as a whole."""
    if all(knob.is_plain for knob in definition.knobs):
        return {**parts}
    found: Config = {}
    for knob in definition.knobs:
        if knob.settings:
            found |= knob.settings.get(key_text(parts[knob.name]), {})
        elif knob.is_plain:
            found[knob.name] = parts[knob.name]
    return found


def text_of(value: Scalar) -> str:
    """Return a value as a part of a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filled(marks: list[Mark], parts: Mapping[str, Scalar], config: Config) -> dict[str, str]:
    """Return the texts that have marks, with the parts in their places, all at once: no part is looked into."""
    found = {}
    for name, text in _strings(config):
        here = _here(marks, name)
        texts = {mark.token: text_of(parts[mark.name]) for mark in here}
        texts |= {f"{{{mark.token}}}": mark.token for mark in here if not mark.setting}  # {{style}} is {style} itself
        if any(token in text for token in texts):
            pieces = _pattern(texts).split(text)
            found[name] = "".join(texts[piece] if at % 2 else piece for at, piece in enumerate(pieces))
    return found


def _tokens_in(marks: list[Mark], text: str) -> list[str]:
    literal = {f"{{{mark.token}}}" for mark in marks if not mark.setting}
    pattern = _pattern({*literal, *(mark.token for mark in marks)})
    return [token for token in pattern.findall(text) if token not in literal] if marks else []


def _here(marks: list[Mark], name: str) -> list[Mark]:
    return [mark for mark in marks if mark.setting in ("", name)]


def _pattern(tokens: Iterable[str]) -> re.Pattern[str]:
    """Return what finds texts, the longest first: where one begins with another, it is the longer one."""
    longest_first = sorted(tokens, key=lambda one: (-len(one), one))
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def _strings(config: Config) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in config.items() if isinstance(value, str))


def _texts_of(definition: ExperimentDefinition) -> Iterator[tuple[str, str]]:
    """Yield all texts of a definition in which a part may stand, each with its setting."""
    yield from _strings(definition.config)
    for block in definition.blocks:
        yield from _strings(block.config)
    for knob in definition.knobs:
        for config in knob.settings.values():
            yield from _strings(config)
        if knob.is_plain and isinstance(knob.values, list):
            yield from ((knob.name, value) for value in knob.values if isinstance(value, str))
