"""Each variable of each pipeline without a server: the planned value arrives, and nothing else differs.

Those of `webui` and `comfyui` are tested against servers of our own, in test_pipeline_webui_variables.py and
test_pipeline_comfyui.py.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from bus.contracts.fields import Config, ConfigValue, Scalar
from bus.contracts.pipeline_specs import Kind, VariableSpec, check_config
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.command.pipeline import CommandPipeline, fill_in
from pipeline_runner.pipelines.embedded import Picture, Settings
from pipeline_runner.pipelines.embedded.pipeline import EmbeddedPipeline
from pipeline_runner.pipelines.noop import NoopPipeline
from pipeline_runner.pipelines.registry import load_pipelines
from tests.support.factories import Reports, record_of

SETUP: Final = Setup(outputs=Outputs(Path("nowhere")))
EMBEDDED: Final = EmbeddedPipeline(SETUP).stages()
SAMPLES: Final[dict[Kind, tuple[Scalar, Scalar]]] = {"str": ("a red circle", "a blue star")}


def two_values(spec: VariableSpec) -> tuple[Scalar, Scalar]:
    """Return two values that a variable takes."""
    if spec.choices:
        return spec.choices[0], spec.choices[-1]
    if spec.kind in SAMPLES:
        return SAMPLES[spec.kind]
    low = spec.minimum or 0
    high = low + 1 if spec.maximum is None else min(spec.maximum, low + 1)
    return (int(low), int(high)) if spec.kind == "int" else (float(low), float(high))


@pytest.mark.parametrize(
    ("stage", "name"), [(stage, name) for stage, spec in EMBEDDED.items() for name in spec.variables]
)
def test_a_variable_of_the_embedded_pipeline_arrives_alone(
    stage: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the sampler, in the setting of its name; all other settings are the same."""
    used: list[Settings] = []

    def generate(settings: Settings, *_: Any) -> Picture:
        used.append(settings)
        return Picture(np.zeros((settings.height, settings.width, 3), np.uint8), 0.0)

    monkeypatch.setattr("pipeline_runner.pipelines.embedded.pipeline.generate", generate)
    pipeline = EmbeddedPipeline(Setup(outputs=Outputs(tmp_path / "outputs")))
    base: Config = {"seed": 5}
    if stage == "img2img":
        Image.new("RGB", (16, 16), "red").save(tmp_path / "start.png")
        base["init_image"] = str(tmp_path / "start.png")
    values = two_values(EMBEDDED[stage].variables[name])
    for value in values:
        config = {**base, name: value}
        check_config(EMBEDDED[stage], config)
        assert pipeline.run(record_of(stage=stage, config=config), Reports(), lambda: False).success

    one, other = (asdict(settings) for settings in used)
    assert (one.pop(name), other.pop(name)) == values
    pictures = one.pop("init_image"), other.pop("init_image")
    assert np.array_equal(*pictures) if stage == "img2img" else pictures == (None, None)
    assert one == other


@pytest.mark.parametrize(("one", "other"), [(1, 2.5), ("a b", "$(c)"), (True, False)])
def test_a_variable_of_the_command_pipeline_arrives_alone(one: ConfigValue, other: ConfigValue, tmp_path: Path) -> None:
    """As one argument, wherever its placeholder stands; all other arguments are the same."""
    command: ConfigValue = ["tool", "--level={level}", "{seed}", "{level}", "{output_dir}/x.png"]
    spec = CommandPipeline(Setup(outputs=Outputs(tmp_path))).stages()["run"]
    arguments = []
    for value in (one, other):
        config: Config = {"command": command, "seed": 5, "level": value}
        check_config(spec, config)
        arguments.append(fill_in(config, {"output_dir": "/o", "job_id": "j"}))

    words = [str(value).lower() if isinstance(value, bool) else str(value) for value in (one, other)]
    assert arguments == [["tool", f"--level={word}", "5", word, "/o/x.png"] for word in words]


def test_the_noop_pipeline_has_a_variable_that_changes_nothing() -> None:
    """It takes any number, as a plan needs one, and ends well whatever that is."""
    pipeline = NoopPipeline(SETUP)
    spec = pipeline.stages()["run"]
    for value in two_values(spec.variables["level"]):
        check_config(spec, {"level": value})
        assert pipeline.run(record_of(pipeline="noop", config={"level": value}), Reports(), lambda: False).success


def test_every_pipeline_is_tested_for_its_variables(tmp_path: Path) -> None:
    """A new one has to be added here, or to have such tests of its own."""
    installed = set(load_pipelines(Setup(outputs=Outputs(tmp_path))))

    assert installed == {"embedded", "command", "noop", "webui", "comfyui", "sdnext", "swarmui"}


@pytest.mark.parametrize("name", ["embedded", "command", "noop"])
def test_every_variable_says_where_its_value_goes(name: str, tmp_path: Path) -> None:
    """For whoever asks `variantbus pipelines`."""
    for spec in load_pipelines(Setup(outputs=Outputs(tmp_path)))[name].stages().values():
        for variable in (*spec.variables.values(), *spec.config.values()):
            assert variable.target
