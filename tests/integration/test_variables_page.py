"""What docs/variables.md shows is planned as it says."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from learning_service.experiments.plan import check_plan
from learning_service.experiments.settings import job_config
from variantbus.files.reading import read_experiment

PAGE: Final = (Path(__file__).parents[2] / "docs" / "variables.md").read_text(encoding="utf-8")
FENCED: Final = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ZIPPED: Final = re.search(r"^    (zip = .*)$", PAGE, re.MULTILINE)
SKIPPED: Final = re.search(r"^    (skip = .*)$", PAGE, re.MULTILINE)
NUMBERS: Final = {name: VariableSpec(kind="float") for name in ("steps", "cfg_scale", "width", "height", "clip_skip")}
TEXTS: Final = {name: VariableSpec(kind="str") for name in ("prompt", "sampler_name", "model")}
PIPELINES: Final = {"embedded": {"txt2img": StageSpec(variables={**NUMBERS, **TEXTS})}}


@pytest.mark.parametrize(
    ("text", "count", "prompts"),
    [
        (FENCED[0], 2, set()),
        (
            FENCED[1] + '[config]\nprompt = "a cat <lora:ink:0.8>"',
            9,
            {f"a {beast} {lora}" for beast in ("cat", "dog", "") for lora in ("<lora:ink:0.4>", "<lora:ink:0.8>", "")},
        ),
        (FENCED[2], 3, {"a photo of a cat", "a watercolour of a cat", "a 3D render of a cat"}),
        (f"[variable]\n{ZIPPED[1] if ZIPPED else ''}", 2, set()),
        (
            f"{SKIPPED[1] if SKIPPED else ''}\n"
            + "".join(
                f"[[variables]]\nname = '{name}'\nvalues = {values}\n"
                for name, values in (
                    ("sampler_name", ["lcm", "heun"]),
                    ("cfg_scale", [2, 3]),
                    ("width", [768, 512]),
                    ("steps", [50, 8]),
                )
            ),
            9,
            set(),
        ),
    ],
)
def test_what_the_page_shows_is_planned(tmp_path: Path, text: str, count: int, prompts: set[str]) -> None:
    """As a file of an experiment, with so many combinations."""
    assert tomllib.loads(text)
    file = tmp_path / "experiment.toml"
    file.write_text(f'name = "x"\n{text}', encoding="utf-8")
    plan = read_experiment(file).definition
    values = check_plan(plan, PIPELINES)

    assert len(values) == count
    assert {job_config(plan, value, 0).get("prompt") for value in values} - {None} == prompts
