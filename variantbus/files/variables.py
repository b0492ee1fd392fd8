"""The variables of an experiment file in the forms that people write, as those of a definition."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bus.contracts.definition import OF_THE_WHOLE, Variable
from bus.contracts.pipeline_specs import PLACEHOLDER
from bus.contracts.values import cited, identity, key_text, written
from bus.protocol.validation import InvalidInputError

ZIP: Final = "zip"
_VALUES: Final = {"values", "start", "stop", "step", "replace"}
Table = dict[str, Any]


def with_variables(path: Path, table: Table) -> Table:
    """Return the table of an experiment file in which each variable is as a definition has it.

    `zip` and tables as `values` become named values with their settings, a variable that stands in braces in a text
    fills it, and of several that replace parts of one text each is called as what it replaces.

    Raises:
        InvalidInputError: a value has no name, or what goes together has not as many values.
    """
    made = {**table}
    if isinstance(table.get("variable"), dict):
        made["variable"] = _variable(f"{path}: variable", table["variable"])
    listed = table.get("variables")
    if isinstance(listed, list):
        made["variables"] = [
            _variable(f"{path}: variables #{number}", one) if isinstance(one, dict) else one
            for number, one in enumerate(listed, 1)
        ]
    found = made["variables"] if isinstance(listed, list) else []
    knobs = [one for one in [made.get("variable"), *found] if isinstance(one, dict)]
    _name_replaced(knobs)
    texts = list(_texts_of(made, knobs))
    in_braces = {match["name"] for text in texts for match in PLACEHOLDER.finditer(text)}
    for knob in knobs:
        if knob.get("name") in in_braces and not {"replace", "settings", "fills"} & knob.keys():
            knob["fills"] = True
    return made


def _variable(where: str, knob: Table) -> Table:
    if other := sorted(knob.keys() & OF_THE_WHOLE - set(Variable.__struct_fields__)):
        text = "is no key of a variable; write it above the first table of the file"
        raise InvalidInputError(f"{where}.{other[0]}: {text}")
    if ZIP in knob:
        return _zipped(where, knob)
    values = knob.get("values")
    if isinstance(values, list) and any(isinstance(one, dict) for one in values):
        return {**knob, **_named(where, values)}
    return {**knob}


def _named(where: str, values: list[Any]) -> Table:
    """Return named values and their settings, from tables with a name each."""
    settings: dict[str, Any] = {}
    for number, one in enumerate(values, 1):
        if not isinstance(one, dict):
            raise InvalidInputError(f"{where}.values #{number}: must be a table, as the others are, not {cited(one)}")
        name = one.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"{where}.values #{number}.name: missing; give what it sets a name")
        if key_text(name) in settings:
            raise InvalidInputError(f"{where}.values #{number}.name: {cited(name)} is there twice; give another name")
        settings[key_text(name)] = {key: value for key, value in one.items() if key != "name"}
    return {"values": [one["name"] for one in values], "settings": settings}


def _zipped(where: str, knob: Table) -> Table:
    """Return named values that set several settings together, named by the first one of them if its values differ."""
    lists = knob[ZIP]
    if other := sorted(_VALUES & knob.keys()):
        raise InvalidInputError(f"{where}.{other[0]}: there is zip already; a variable has one of them")
    if not isinstance(lists, dict) or len(lists) < 2:  # noqa: PLR2004 - what goes together is two or more
        text = "must be a table of two lists or more, such as {width = [512, 768], height = [768, 512]}"
        raise InvalidInputError(f"{where}.zip: {text}")
    names = list(lists)
    for name in names:
        if not isinstance(lists[name], list) or not lists[name]:
            raise InvalidInputError(f"{where}.zip.{name}: must be a list of values")
        if len(lists[name]) != len(lists[names[0]]):
            count = f"{len(lists[name])} values, and {names[0]} has {len(lists[names[0]])}"
            raise InvalidInputError(f"{where}.zip.{name}: {count}; each goes with one of the others")
    rows = list(zip(*lists.values(), strict=True))
    values = [row[0] for row in rows]
    if not all(map(_is_scalar, values)) or len({identity(one) for one in values}) < len(values):
        values = [" x ".join(written(part) if _is_scalar(part) else cited(part) for part in row) for row in rows]
    settings = {key_text(value): dict(zip(names, row, strict=True)) for value, row in zip(values, rows, strict=True)}
    rest = {key: value for key, value in knob.items() if key != ZIP}
    return {"name": names[0], **rest, "values": values, "settings": settings}


def _is_scalar(value: object) -> bool:
    return isinstance(value, bool | int | float | str)


def _name_replaced(knobs: list[Table]) -> None:
    """Call variables that replace parts of the same text as what they replace, as they could not be told apart."""
    names = [knob.get("name") for knob in knobs]
    for knob in knobs:
        name, text = knob.get("name"), knob.get("replace")
        if isinstance(text, str) and text and names.count(name) > 1 and "setting" not in knob:
            knob |= {"name": text, "setting": name}


def _texts_of(table: Table, knobs: list[Table]) -> Iterator[str]:
    """Yield the texts of settings, in which a variable may stand."""
    blocks = table.get("blocks")
    tables = [table.get("config"), *(one.get("config") for one in blocks or () if isinstance(one, dict))]
    tables += [config for knob in knobs for config in _configs(knob)]
    for config in tables:
        yield from (one for one in config.values() if isinstance(one, str)) if isinstance(config, dict) else ()
    for knob in knobs:
        values = knob.get("values")
        if not knob.keys() & {"replace", "settings"} and isinstance(values, list):
            yield from (one for one in values if isinstance(one, str))


def _configs(knob: Mapping[str, Any]) -> list[Any]:
    settings = knob.get("settings")
    return list(settings.values()) if isinstance(settings, dict) else []
