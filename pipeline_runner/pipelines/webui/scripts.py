"""Scripts that run with every job, such as ControlNet and ADetailer: what a job passes to them.

The server refuses a script that it lacks. All else it takes without a word: values that are too many are dropped, a
list in place of `args` is not looked at, and what a script itself refuses stands on the console alone.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bus.contracts.fields import Config
from bus.protocol.validation import InvalidInputError, near_miss
from pipeline_runner.pipelines.init_image import read_picture
from pipeline_runner.pipelines.webui.asked import SCRIPTS
from pipeline_runner.pipelines.webui.lists import NONE, Lists

CONTROLNET: Final = "controlnet"
FILE: Final = "file"  # a table with this key alone is the picture in that file
# where a unit of ControlNet has its picture; without one it takes the picture that the job starts from
_INPUTS: Final = ("image", "input_image", "image_fg", "batch_images", "batch_image_dir", "ipadapter_input")
_NAMED: Final = {"model": "controlnets", "module": "preprocessors"}  # of a unit of ControlNet


def check_scripts(stage: str, config: Config, lists: Lists) -> None:
    """Refuse what the server would not pass on to its scripts, and files that are not there.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    encoded(stage, config, lists)


def encoded(stage: str, config: Config, lists: Lists) -> dict[str, Any]:
    """Return `alwayson_scripts` of a request, with the pictures in place of their files.

    Raises:
        InvalidInputError: the server has no such script, or would drop a part of what it gets.
    """
    table = config.get(SCRIPTS)
    scripts = table if isinstance(table, dict) else {}
    return {name: _script(f"config.{SCRIPTS}.{name}", stage, name, told, lists) for name, told in scripts.items()}


def units_of(name: str, told: Any) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the units of ControlNet that are on, each with its place among the values; none of another script."""
    args = told.get("args") if isinstance(told, dict) and name.lower() == CONTROLNET else None
    units = enumerate(args) if isinstance(args, list) else ()
    return [(place, unit) for place, unit in units if isinstance(unit, dict) and unit.get("enabled") is True]


def _script(where: str, stage: str, name: str, told: Any, lists: Lists) -> dict[str, Any]:
    args = told.get("args", []) if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(args, list):
        raise InvalidInputError(f"{where}: must be a table with args, the list of its values")
    if unknown := next((key for key in told if key != "args"), None):
        raise InvalidInputError(f"{where}.{unknown}: unknown key; its values are in args")
    if lists.scripts is not None:
        _check_known(where, name, args, lists.scripts[stage])
    if name.lower() == CONTROLNET:
        args = [_unit(f"{where}.args #{number}", stage, arg, lists) for number, arg in enumerate(args, 1)]
    return {"args": _with_pictures(f"{where}.args", args)}


def _check_known(where: str, name: str, args: list[Any], known: Mapping[str, Any]) -> None:
    script = known.get(name.lower())
    if script is None:
        raise InvalidInputError(f"{where}: the server has no such script; {near_miss(name.lower(), list(known))}")
    if not script.is_alwayson:
        raise InvalidInputError(f"{where}: the server runs this script alone and not with others; leave it out")
    if len(args) > script.values:
        raise InvalidInputError(
            f"{where}.args: {len(args)} are given; the server takes {script.values} and drops the others"
        )


def _unit(where: str, stage: str, unit: Any, lists: Lists) -> Any:
    """Check a unit of ControlNet, which goes on without what it does not know; return it with the server's names."""
    if not isinstance(unit, dict):
        raise InvalidInputError(f"{where}: must be a table, a unit of ControlNet")
    if not isinstance(unit.get("enabled"), bool):
        raise InvalidInputError(f"{where}.enabled: missing; write true or false, as servers differ without it")
    if stage == "txt2img" and unit["enabled"] and not any(unit.get(key) for key in _INPUTS):
        raise InvalidInputError(
            f"{where}.image: missing, so the unit would do nothing; write image.file = the path of one"
        )
    named = {
        key: _name(f"{where}.{key}", unit[key], lists, kind)
        for key, kind in _NAMED.items()
        if unit["enabled"] and isinstance(unit.get(key), str)
    }
    return {**unit, **named}


def _name(where: str, value: str, lists: Lists, kind: str) -> str:
    names = lists.names.get(kind)
    if names is None or value.lower() == NONE.lower():
        return value
    found = names.spellings.get(value) or names.spellings.get(value.lower())
    if found is None:
        raise InvalidInputError(f"{where}: {value!r} is not offered; {near_miss(value, list(names.choices))}")
    return found


def _with_pictures(where: str, value: Any) -> Any:
    """Put the pictures in place of the files that are named, each as base64."""
    match value:
        case {"file": str(path)} if len(value) == 1:
            return base64.b64encode(read_picture(f"{where}.{FILE}", Path(path)).data).decode()
        case dict():
            return {key: _with_pictures(f"{where}.{key}", part) for key, part in value.items()}
        case list():
            return [_with_pictures(f"{where} #{number}", part) for number, part in enumerate(value, 1)]
        case _:
            return value
