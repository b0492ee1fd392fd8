"""The text chunk `parameters` of a PNG, in the form that AUTOMATIC1111's "PNG info" reads and writes."""

import json
from typing import Final

from bus.contracts.fields import Config, ConfigValue

# our key → the name that the web UI writes; the order is the web UI's
_NAMES: Final = {
    "steps": "Steps",
    "sampler_name": "Sampler",
    "scheduler": "Schedule type",
    "cfg_scale": "CFG scale",
    "seed": "Seed",
    "size": "Size",
    "denoising_strength": "Denoising strength",
    "model": "Model",
}
LINE_LIMIT: Final = 65_536
_DECODER: Final = json.JSONDecoder()
# a last line of fewer than three pairs is a part of the prompt for the web UI
_FILLERS: Final = ("Software: variantbus", "Format: infotext")


def infotext(config: Config) -> str:
    """Write prompt, negative prompt, and one line of `Name: value` pairs."""
    lines = [str(config.get("prompt", ""))]
    if config.get("negative_prompt"):
        lines.append(f"Negative prompt: {config['negative_prompt']}")
    values = dict(config)
    if "width" in config and "height" in config:
        values["size"] = f"{config['width']}x{config['height']}"
    known = [f"{label}: {_quoted(values[key])}" for key, label in _NAMES.items() if values.get(key) is not None]
    lines.append(", ".join([*known, *_FILLERS[len(known) :], "Version: variantbus"]))
    return "\n".join(lines)


def _quoted(value: ConfigValue) -> str:
    """Quote what would break the line apart."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(char in text for char in ",\n:") else text


def read_infotext(text: str) -> dict[str, str]:
    """Read the `Name: value` pairs of the last line, whoever wrote it; a value in quotes or brackets may be JSON.

    A line that no generator writes, of over `LINE_LIMIT` characters, is read as none.
    """
    rest = text.strip().rpartition("\n")[2].strip()  # no other character ends a line there, though Python knows more
    found: dict[str, str] = {}
    if len(rest) > LINE_LIMIT:
        return found
    while rest:
        name, colon, rest = rest.partition(":")
        if not colon:
            break
        value, rest = _next_value(rest.lstrip())
        found[name.strip()] = value
    return found


def _next_value(text: str) -> tuple[str, str]:
    """Split off one value; return it and what stands behind its comma. A list or table in JSON stays as it is."""
    if text.startswith(('"', "[", "{")):
        try:
            value, end = _DECODER.raw_decode(text)
            behind = text[end:].lstrip(" ")
            if not behind or behind.startswith(","):
                return value if isinstance(value, str) else text[:end], behind.lstrip(" ,")
        except (ValueError, RecursionError):
            pass  # the quote or bracket belongs to the value
    value, _, rest = text.partition(",")
    return value.strip(), rest.lstrip()
