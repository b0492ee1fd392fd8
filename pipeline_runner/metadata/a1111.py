"""The text that AUTOMATIC1111's web UI and its many relatives write: prompts, and a line of `Name: value` pairs."""

import re
from typing import Final

from pipeline_runner.metadata.values import Settings, sized, value_of
from pipeline_runner.outputs.infotext import read_infotext

NEGATIVE: Final = "Negative prompt:"
LEAST_PAIRS: Final = 3  # a last line of fewer is a part of the prompt, as for the web UI
_STEPS: Final = re.compile(r"\s*Steps: \d+(?:,|$)")
# label → our name, "" for what is no setting; any other label becomes a name in small letters
_NAMES: Final = {
    "Sampler": "sampler_name",
    "Schedule type": "scheduler",
    "CFG scale": "cfg_scale",
    "Size": "",
    "Model hash": "",
    "VAE": "sd_vae",
    "VAE hash": "",
    "Hashes": "",
    "Lora hashes": "",
    "TI hashes": "",
    "TI": "",
    "Version": "",
    "App": "",
    "Software": "",
    "Format": "",
    "Time taken": "",
    "Date": "",
    "Created Date": "",
    "Civitai resources": "",
    "Civitai metadata": "",
    "Variation seed": "subseed",
    "Variation seed strength": "subseed_strength",
    "Hires upscale": "hr_scale",
    "Hires upscaler": "hr_upscaler",
    "Hires steps": "hr_second_pass_steps",
    "Hires resize": "hr_resize",
    "Refiner": "refiner_checkpoint",
}
# Size-1 and the like: values of an X/Y/Z plot of the web UI, of a picture that is a whole grid
GRID_LABELS: Final = ("Script", "X Type", "X Values")


def read_a1111(text: str) -> Settings | None:
    """Return the settings, None if the text has no line of them."""
    lines = text.replace("\r\n", "\n").strip().split("\n")
    at, pairs = _settings_line(lines)
    if not pairs:
        return None
    prompt, negative = _prompts(lines[:at])
    settings: Settings = {"prompt": prompt, "negative_prompt": negative}
    for label, value in pairs.items():
        name = _NAMES.get(label, label.lower().replace(" ", "_"))
        if name:
            settings.setdefault(name, value_of(value))
    return sized(settings, pairs.get("Size"))


def is_grid(text: str) -> bool:
    """Return whether the text is that of a grid of the X/Y/Z plot: many pictures in one."""
    return "Script: X/Y/Z plot" in text or "Script: X/Y plot" in text


def _settings_line(lines: list[str]) -> tuple[int, dict[str, str]]:
    """Find the line of pairs: the last one that begins with the steps, as a prompt may have such a line, too.

    Extensions write lines of their own behind it. Without steps, as of an upscaled picture, it is the last line.
    """
    for at in range(len(lines) - 1, -1, -1):
        if _STEPS.match(lines[at]):
            pairs = read_infotext(lines[at])
            if len(pairs) >= LEAST_PAIRS:
                return at, pairs
    last = read_infotext(lines[-1])
    known = sum(label in _NAMES or label in ("Steps", "Seed", "Model", "Clip skip") for label in last)
    return (len(lines) - 1, last) if known >= LEAST_PAIRS else (len(lines), {})


def _prompts(lines: list[str]) -> tuple[str, str]:
    for at, line in enumerate(lines):
        if line.lstrip().startswith(NEGATIVE):
            first = line.lstrip()[len(NEGATIVE) :]
            return "\n".join(lines[:at]).strip(), "\n".join([first, *lines[at + 1 :]]).strip()
    return "\n".join(lines).strip(), ""
