"""docs/webui.md says of the variables what the registry says."""

from pathlib import Path
from typing import Final

import pytest

from bus.contracts.pipeline_specs import bounds_text
from pipeline_runner.pipelines.webui.knobs import KNOBS, Knob
from pipeline_runner.queue.retries import __doc__ as rules

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "webui.md"
LISTS: Final = {
    "samplers": "a sampler",
    "schedulers": "a schedule",
    "models": "a model",
    "vaes": "a VAE",
    "loras": "a LoRA",
    "upscalers": "an upscaler",
    "styles": "a style",
    "hr_upscalers": "an upscaler, or a latent one",
}
KINDS: Final = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false"}


def row(knob: Knob) -> str:
    """Write the row of a variable."""
    if knob.kind == "str":
        values = LISTS.get(knob.names, "text")
    else:
        bounded = knob.minimum is not None or knob.maximum is not None
        bounds = f" {bounds_text(knob.minimum, knob.maximum)}" if bounded else ""
        values = f"{KINDS[knob.kind]}{bounds}{f' {knob.unit}' if knob.unit else ''}"
    notes = [f"with {' and '.join(f'`{name}`' for name in knob.needs)}"] if knob.needs else []
    notes += ["slow to change"] if knob.slow else []
    notes += [] if knob.forge is None else ["Forge" if knob.forge else "not Forge"]
    return f"| `{knob.name}` | {', '.join(knob.stages)} | {values} | `{knob.target}` | {', '.join(notes)} |"


def test_the_page_has_a_row_for_each_variable_and_no_other() -> None:
    """What stands there is what happens."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index("| variable | stages | values | where it goes | note |") + 2
    table = lines[start : lines.index("", start)]

    assert table == [row(knob) for knob in KNOBS]


@pytest.mark.parametrize("page", ["webui.md", "sdnext.md", "swarmui.md"])
def test_the_page_names_every_kind_of_error(page: str) -> None:
    """With what follows from it."""
    kinds = [line.split("`")[1] for line in (rules or "").splitlines() if line.startswith("| `")]

    assert kinds
    for kind in kinds:
        assert f"| `{kind}` |" in (DOCS / page).read_text(encoding="utf-8"), kind
