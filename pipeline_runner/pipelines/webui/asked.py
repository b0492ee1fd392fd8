"""What a job asks for, in one form: each part in its table, and settings of the server as our variables."""

from collections.abc import Mapping
from typing import Any, Final

from bus.contracts import paths
from bus.contracts.fields import Config, ConfigValue
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.loras import LORAS, strength_of

OVERRIDES: Final = "override_settings"
SCRIPTS: Final = "alwayson"
TABLES: Final = (LORAS, "styles", OVERRIDES, SCRIPTS)
# the server's own name → our variable
SETTINGS: Final = {"sd_model_checkpoint": "model", "sd_vae": "vae", "CLIP_stop_at_last_layers": "clip_skip"}
UNCERTAIN: Final = frozenset({SCRIPTS, "styles", "style"})  # what is behind them, nobody tells
MODULES: Final = "forge_additional_modules"


def asked_for(config: Config) -> Config:
    """Return a configuration with the parts that stand beside their tables put into them.

    Raises:
        InvalidInputError: one setting is said twice, or a part is none of its table.
    """
    tables = {name: _table(config, name) for name in (LORAS, OVERRIDES, SCRIPTS)}
    found = {name: value for name, value in config.items() if not _is_part(name) and name not in tables}
    for name, value in config.items():
        if _is_part(name):
            table, _, rest = name.partition(".")
            tables[table] = _with(table, tables[table], rest, value)
    tables[LORAS] = {name: strength_of(value, 1) for name, value in tables[LORAS].items()}
    for setting, variable in SETTINGS.items():
        if setting in tables[OVERRIDES]:
            _refuse_twice(found, variable, setting)
            found[variable] = tables[OVERRIDES].pop(setting)
    if MODULES in tables[OVERRIDES]:
        _refuse_twice(found, "vae", MODULES)
    return {**found, **{name: table for name, table in tables.items() if table}}


def overrides_of(config: Config) -> Mapping[str, Any]:
    """Return the settings of the server that a job sets beside those that are variables."""
    found = config.get(OVERRIDES)
    return found if isinstance(found, dict) else {}


def other_names(variable: str) -> tuple[str, ...]:
    """Return a variable with the names under which a person may vary it as well."""
    return (variable, *(f"{OVERRIDES}.{setting}" for setting, ours in SETTINGS.items() if ours == variable))


def _is_part(name: str) -> bool:
    return name.startswith((f"{LORAS}.", f"{OVERRIDES}.", f"{SCRIPTS}."))


def _table(config: Config, name: str) -> dict[str, Any]:
    found = config.get(name)
    return dict(found) if isinstance(found, dict) else {}


def _with(table: str, values: dict[str, Any], part: str, value: ConfigValue) -> dict[str, Any]:
    if table == LORAS:
        return {**values, part: strength_of(value, values.get(part, 1))}
    if table == OVERRIDES:
        return {**values, part: value}
    path = paths.find(values, part)
    if path is None:
        raise InvalidInputError(f"config.{table}: has no {part}; {paths.missing(values, part)}")
    changed: dict[str, Any] = paths.put(values, path, value)
    return changed


def _refuse_twice(found: Config, variable: str, setting: str) -> None:
    if variable in found:
        raise InvalidInputError(f"config.{variable}: {OVERRIDES}.{setting} says the same; remove one of them")
