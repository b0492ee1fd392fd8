"""Every variable of every stage, from the registry itself: what was planned arrives, and nothing else changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from bus.contracts.fields import Config, Scalar
from bus.contracts.pipeline_specs import VariableSpec
from learning_service.experiments.plan import PlannedJob, check_plan, job_request
from pipeline_runner.pipelines.webui.knobs import KNOBS, LORA_MARK, MODULES, STYLES, Knob
from pipeline_runner.pipelines.webui.registry import STAGES
from pipeline_runner.queue.jobs import new_record
from tests.servers.webui import FakeWebui
from tests.support.factories import Reports, definition
from tests.support.webui_jobs import picture, pipeline_of

CASES: Final = [
    pytest.param(stage, knob, id=f"{stage}-{knob.name}{'-forge' if knob.forge else ''}")
    for knob in KNOBS
    for stage in knob.stages
]
NEEDED: Final[Config] = {
    "enable_hr": True,
    "lora": "detail",
    "subseed_strength": 0.5,
    "upscaler_2": "Nearest",
    "upscaler_2_visibility": 0.5,
    "codeformer_visibility": 0.5,
    "refiner_checkpoint": "photo/real.safetensors",
}


def two_values(knob: Knob, spec: VariableSpec) -> list[Scalar]:
    """Return two values that are allowed."""
    if spec.choices:
        return list(spec.choices[-2:])
    if knob.kind == "bool":
        return [False, True]
    if knob.kind == "str":
        return ["a red circle", "a blue star"]
    assert spec.minimum is not None
    assert spec.maximum is not None
    if knob.name in ("width", "height"):
        return [64, 128]
    return [spec.minimum, min(spec.maximum, spec.minimum + 1)]


def config_of(stage: str, knob: Knob, folder: Path) -> Config:
    """Return what the stage and the variable cannot do without."""
    config: Config = {name: NEEDED[name] for name in knob.needs if name in NEEDED}
    if "init_image" in STAGES[stage].required:
        config["init_image"] = picture(folder)
    if "mask" in knob.needs:
        config["mask"] = picture(folder)
    if stage == "upscale" and knob.name != "upscaler":
        config["upscaler"] = "Lanczos"
    return config


def at(payload: dict[str, Any], target: str) -> Any:
    """Return what stands at a target."""
    found: Any = payload
    for key in target.split("."):
        found = found[key]
    return found


def without(payload: dict[str, Any], target: str) -> dict[str, Any]:
    """Return all but what stands at a target, and but for the id of the job."""
    *path, last = target.split(".")
    rest = {key: dict(value) if isinstance(value, dict) else value for key, value in payload.items()}
    rest.pop("force_task_id", None)
    place = rest
    for key in path:
        place = place[key]
    del place[last]
    return rest


@pytest.mark.parametrize(("stage", "knob"), CASES)
def test_a_variable_arrives_at_the_server_and_nothing_else_changes(
    stage: str, knob: Knob, tmp_path: Path, fake_webui: Callable[..., FakeWebui]
) -> None:
    """Two planned jobs that differ in one variable differ in one place of their requests."""
    server = fake_webui(forge=bool(knob.forge))
    pipeline = pipeline_of(tmp_path, server)
    spec = pipeline.stages()[stage].variables[knob.name]
    values = two_values(knob, spec)
    plan = replace(
        definition(values, name=knob.name, config=config_of(stage, knob, tmp_path)), pipeline="webui", stage=stage
    )

    for index, value in enumerate(check_plan(plan, {"webui": pipeline.stages()})):
        job = new_record(job_request("exp", plan, value, PlannedJob(index, 0)), 0.0)
        pipeline.check(stage, job.config)
        result = pipeline.run(job, Reports(), lambda: False)
        assert result.success, result

    one, other = server.taken  # a name that the server does not know, it drops without a word
    assert [one, other] == server.sent(STAGES[stage].path.rpartition("/")[2])
    target = "prompt" if knob.target == LORA_MARK else knob.target
    assert [at(one, target), at(other, target)] == [as_sent(knob, value) for value in values]
    assert without(one, target) == without(other, target)


def as_sent(knob: Knob, value: Scalar) -> object:
    """Return a value as it stands in a request."""
    if knob.name == "lora":
        return f"<lora:{value}:1>"
    if knob.name == "lora_strength":
        return f"<lora:detail:{value}>"
    return [value] if knob.target in (MODULES, STYLES) else value


def test_every_variable_is_offered_by_some_server(tmp_path: Path, fake_webui: Callable[..., FakeWebui]) -> None:
    """The registry and what is announced are the same."""
    announced = {
        (stage, name)
        for forge in (False, True)
        for stage, spec in pipeline_of(tmp_path, fake_webui(forge=forge)).stages().items()
        for name in spec.variables
    }

    assert announced == {(stage, knob.name) for knob in KNOBS for stage in knob.stages}
