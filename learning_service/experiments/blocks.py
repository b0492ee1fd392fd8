"""Blocks: the settings, such as several prompts, under each of which all values are tried with the same seeds.

A repeat is a seed under a block: those of the first seed come first, so that more seeds are only more repeats.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config, ConfigValue
from bus.contracts.pipeline_specs import SEED, check_text
from bus.contracts.values import brief, identity, written
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import settings_set

MAX_REPEATS: Final = 1024  # of a value: its state names each of them
BLOCKS_BYTES: Final = 262_144  # of all blocks: they travel with every status of their experiment


def block_of(definition: ExperimentDefinition, repeat: int) -> int:
    """Return the place of the block of a repeat; 0 where there are no blocks."""
    return repeat % max(1, len(definition.blocks))


def seed_of(definition: ExperimentDefinition, repeat: int) -> int:
    """Return the seed of a repeat."""
    place = repeat // max(1, len(definition.blocks))
    return definition.seeds[place] if place < len(definition.seeds) else definition.seed + place


def shared_config(definition: ExperimentDefinition, repeat: int = 0) -> Config:
    """Return the settings that all values have in a repeat: those of the experiment, and of its block."""
    blocks = definition.blocks
    return {**definition.config, **blocks[repeat % len(blocks)].config} if blocks else definition.config


def block_word(definition: ExperimentDefinition) -> str:
    """Return what a block is called: the only setting in which they differ, such as `prompt`, else `block`."""
    keys = {key for block in definition.blocks for key in block.config}
    return next(iter(keys)) if len(keys) == 1 else "block"


def block_names(definition: ExperimentDefinition) -> list[str]:
    """Return the names of the blocks for people; without one, its settings: of prompts, the prompts themselves."""
    alone = block_word(definition) != "block"
    return [block.name or settings_text(block.config, alone=alone) for block in definition.blocks]


def settings_text(config: Config, *, alone: bool = False) -> str:
    """Return settings for people; a value that is alone needs no word before it."""
    texts = [part if alone else f"{name} {part}" for name, part in _written(config)]
    return ", ".join(texts) or "as configured"


def in_block(definition: ExperimentDefinition, repeat: int, refusal: str) -> str:
    """Return the refusal of a job's configuration as one of its block, if it is about what the block sets."""
    place = block_of(definition, repeat)
    keys = definition.blocks[place].config if definition.blocks else ()
    is_of_block = any(refusal.startswith((f"config.{key}:", f"config.{key}.")) for key in keys)
    return f"blocks #{place + 1}.{refusal}" if is_of_block else refusal


def check_repeats(definition: ExperimentDefinition) -> None:
    """Refuse more jobs of a value than its state can name.

    Raises:
        InvalidInputError: saying how many there may be.
    """
    if definition.repeats > MAX_REPEATS:
        count = f"{definition.jobs_per_variant} under each of {len(definition.blocks)} blocks"
        raise InvalidInputError(f"jobs_per_variant: {count} are more than {MAX_REPEATS} jobs of a value; take fewer")


def check_blocks(definition: ExperimentDefinition) -> None:
    """Refuse blocks that are no different conditions, or that set what is not theirs to set.

    Raises:
        InvalidInputError: naming the block, and what to do.
    """
    check_repeats(definition)
    varied = {name for knob in definition.knobs for name in settings_set(knob)}
    for number, block in enumerate(definition.blocks, 1):
        check_text(f"blocks #{number}.name", block.name)
        for key in block.config:
            where = f"blocks #{number}.config.{key}"
            if key in varied:
                raise InvalidInputError(f"{where}: is the variable already; remove it from the block")
            if key == SEED:
                raise InvalidInputError(f"{where}: write seed at the top level; every block gets the same seeds")
    for key in definition.config:
        if definition.blocks and all(key in block.config for block in definition.blocks):
            raise InvalidInputError(f"config.{key}: every block sets it; remove it from config")
    set_by_some = {key for block in definition.blocks for key in block.config}
    else_so = {key: value for key, value in definition.config.items() if key in set_by_some}
    _check_different("has the same settings", (_key({**else_so, **block.config}) for block in definition.blocks))
    _check_different("is called the same", block_names(definition))


def _check_different(said: str, keys: Iterable[object]) -> None:
    seen: dict[object, int] = {}
    for number, key in enumerate(keys, 1):
        if key in seen:
            raise InvalidInputError(f"blocks #{number}: {said} as #{seen[key]}; change or remove one")
        seen[key] = number


def _key(config: Config) -> object:
    """Return a key under which equal settings are equal, as `identity` does for values."""
    return tuple((name, _identity(value)) for name, value in sorted(config.items()))


def _identity(value: ConfigValue) -> object:
    match value:
        case dict():
            return _key({**value})
        case list():
            return tuple(map(_identity, value))
        case None:
            return None
        case _:
            return identity(value)


def _written(config: Config) -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        yield name, written(value) if isinstance(value, bool | int | float | str) else _json(value)


def _json(value: object) -> str:
    return brief(msgspec.json.encode(value).decode())
