"""What one input of a node takes, from all the forms in which servers and custom nodes describe it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bus.contracts.pipeline_specs import VariableSpec
from pipeline_runner.pipelines.server_values import number

_NUMBERS: Final = frozenset({"INT", "FLOAT"})


def described_input(told: Any, name: str, inputs: Mapping[str, Any]) -> Any:
    """Find how an input is described among those of its node, None if it is not.

    A dotted name is an input within an input: `resize_type.multiplier` belongs to one choice of `resize_type`, and
    `images.image0` is one of a list that grows. `inputs` are the values that the node has in the workflow.
    """
    return _find(told, name, "", inputs)


def input_spec(described: Any) -> VariableSpec | None:
    """Return what an input takes, as far as it can be known; None for any scalar."""
    match described:
        case [kind, dict() as options, *_]:
            return _spec(kind, options)
        case [kind]:
            return _spec(kind, {})
        case _:
            return None


def is_empty_list(described: Any) -> bool:
    """Return whether an input takes one of a list in which there is nothing, as of a folder without any model."""
    match described:
        case [list() as choices, *_]:
            return not choices and not _grows(_options(described))
        case ["COMBO", *_]:
            options = _options(described)
            return not options.get("options") and not _grows(options)
        case _:
            return False


def types_of(told: Any) -> set[str]:
    """Return the types that the inputs of a node are said to have, whatever else is said of them."""
    found = set[str]()
    for _, described in _all(told):
        match described:
            case ["COMFY_MATCHTYPE_V3", dict() as options, *_]:
                found |= set(_allowed(options).split(","))
            case ["COMFY_AUTOGROW_V3", dict() as options, *_]:
                found |= types_of(_map(options.get("template")).get("input"))
            case [str() as kind, *_]:
                found |= set(kind.split(","))
    return found


def _all(told: Any) -> Iterator[tuple[str, Any]]:
    for part in ("required", "optional"):
        yield from _map(_map(told).get(part)).items()


def _find(told: Any, name: str, prefix: str, inputs: Mapping[str, Any]) -> Any:
    """Find an input by its name behind the prefix that the inputs around it make."""
    for known, described in _all(told):
        if name == known:
            return described
        if name.startswith(f"{known}."):
            rest, whole = name[len(known) + 1 :], f"{prefix}{known}"
            found = _find_within(described, rest, whole, inputs)
            if found is not None:
                return found
    return None


def _find_within(described: Any, name: str, whole: str, inputs: Mapping[str, Any]) -> Any:
    match described:
        case ["COMFY_DYNAMICCOMBO_V3", {"options": list() as choices}, *_]:
            # the choice that the workflow has comes first; where the choice itself varies, another may have the input
            ordered = sorted(map(_map, choices), key=lambda choice: choice.get("key") != inputs.get(whole))
            found = (_find(choice.get("inputs"), name, f"{whole}.", inputs) for choice in ordered)
            return next((one for one in found if one is not None), None)
        case ["COMFY_DYNAMICSLOT_V3", {"inputs": dict() as told}, *_]:
            return _find(told, name, f"{whole}.", inputs)
        case ["COMFY_AUTOGROW_V3", {"template": dict() as template}, *_]:
            return next((one for _, one in _all(template.get("input"))), None)
        case _:
            return None


def _spec(kind: object, options: dict[str, Any]) -> VariableSpec | None:
    """Read both forms of choices, `[[…], {…}]` and `["COMBO", {"options": […]}]`, and the types that we know."""
    choices = kind if isinstance(kind, list) else options.get("options")
    match _allowed(options) if kind == "COMFY_MATCHTYPE_V3" else kind:
        case "COMFY_DYNAMICCOMBO_V3" if isinstance(choices, list):
            return _choice([_map(choice).get("key") for choice in choices], options)
        case list() | "COMBO":
            return _choice(choices, options)
        case "STRING" | "BOOLEAN" as known:
            return VariableSpec(kind="str" if known == "STRING" else "bool")
        case str() as numbers if _NUMBERS.issuperset(numbers.split(",")):
            low, high = number(options.get("min")), number(options.get("max"))
            return VariableSpec(kind="int" if numbers == "INT" else "float", minimum=low, maximum=high)
        case _:
            return None


def _choice(choices: object, options: dict[str, Any]) -> VariableSpec | None:
    """Return the spec of a list of choices; None where the list is not all, or is of several types."""
    if not isinstance(choices, list) or not choices or _grows(options):
        return None
    if all(isinstance(choice, str) for choice in choices):
        return VariableSpec(kind="str", choices=tuple(choices))
    if all(isinstance(choice, bool) for choice in choices):
        return VariableSpec(kind="bool", choices=tuple(choices))
    if all(number(choice) is not None for choice in choices):
        return VariableSpec(kind="float", choices=tuple(choices))
    return None


def _grows(options: Mapping[str, Any]) -> bool:
    """Return whether a list of choices is not all of them: files can be uploaded to some, others are loaded later."""
    return bool(options.get("remote")) or any(key.endswith("_upload") and value for key, value in options.items())


def _allowed(options: Mapping[str, Any]) -> str:
    return str(_map(options.get("template")).get("allowed_types", ""))


def _options(described: list[Any]) -> dict[str, Any]:
    return _map(described[1]) if len(described) > 1 else {}


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
