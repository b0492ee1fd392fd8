"""Workflows of the kinds that people share, in their structure: what of them can be mapped, and what is refused.

Classes and the names of their inputs are those of ComfyUI and of the custom nodes; a server describes them as it does.
"""

import json
from typing import Any, Final, NamedTuple

import pytest

from bus.contracts.fields import Config, Scalar
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.comfyui.nodes import Nodes, check_against
from pipeline_runner.pipelines.comfyui.workflow import patched, read_workflow, values_of

Json = dict[str, Any]
LORAS: Final = ["detail.safetensors", "film.safetensors", "lcm.safetensors"]
WITH_NONE: Final = [["None", *LORAS]]
STRENGTH: Final = ["FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}]
WHOLE: Final = ["INT", {"min": 0, "max": 2**64 - 1}]
PART: Final = ["FLOAT", {"min": 0.0, "max": 1.0}]
TOLD: Final[Json] = {
    "CheckpointLoaderSimple": {"ckpt_name": [["sd15.safetensors", "sdxl.safetensors", "refiner.safetensors"]]},
    "UNETLoader": {"unet_name": [["flux1-dev.safetensors"]], "weight_dtype": [["default", "fp8_e4m3fn"]]},
    "LoraLoader": {"lora_name": [LORAS], "strength_model": STRENGTH, "strength_clip": STRENGTH},
    "LoraLoaderModelOnly": {"lora_name": [LORAS], "strength_model": STRENGTH},
    "Power Lora Loader (rgthree)": {},
    "Lora Loader Stack (rgthree)": {"lora_01": WITH_NONE, "strength_01": STRENGTH, "lora_02": WITH_NONE},
    "CR LoRA Stack": {"switch_1": [["Off", "On"]], "lora_name_1": WITH_NONE, "model_weight_1": STRENGTH},
    "LoRA Stacker": {"lora_count": ["INT", {"min": 0, "max": 50}], "lora_name_1": WITH_NONE, "lora_wt_1": STRENGTH},
    "KSampler": {"seed": WHOLE, "cfg": ["FLOAT", {"min": 0.0, "max": 100.0}], "steps": ["INT", {"min": 1}]},
    "KSamplerAdvanced": {"noise_seed": WHOLE, "start_at_step": ["INT", {"min": 0, "max": 10000}]},
    "SamplerCustomAdvanced": {},
    "RandomNoise": {"noise_seed": WHOLE},
    "FluxGuidance": {"guidance": ["FLOAT", {"min": 0.0, "max": 100.0}]},
    "BasicScheduler": {"scheduler": [["simple", "beta"]], "steps": ["INT", {"min": 1}], "denoise": PART},
    "ControlNetApplyAdvanced": {"strength": ["FLOAT", {"min": 0.0, "max": 10.0}], "end_percent": PART},
    "IPAdapterAdvanced": {"weight": ["FLOAT", {"min": -1.0, "max": 5.0}], "weight_type": [["linear", "ease in"]]},
    "LoadImage": {"image": [["example.png"], {"image_upload": True}]},
    "ModelSamplingSD3": {"shift": ["FLOAT", {"min": 0.0, "max": 100.0}]},
    "SaveImage": {"images": ["IMAGE"]},
}
OBJECT_INFO: Final = {
    name: {"input": {"required": told}, "output_node": name == "SaveImage", "python_module": "nodes"}
    for name, told in TOLD.items()
}
SAVE: Final[Json] = {"9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}}}


def node(kind: str, **inputs: Any) -> Json:
    """Write a node."""
    return {"class_type": kind, "inputs": inputs}


def sampled(**nodes: Json) -> Json:
    """Return a workflow with a KSampler and a node that saves, and these before them."""
    return {"3": node("KSampler", seed=1, cfg=7.0, steps=20, model=["10", 0]), **nodes, **SAVE}


class Case(NamedTuple):
    """A workflow with a variable, a value that its server takes, and one that is refused with these words."""

    graph: Json
    seed: str
    target: str
    good: Scalar
    bad: Scalar
    said: str


CHAIN: Final = {
    "10": node("LoraLoader", lora_name=LORAS[0], strength_model=1.0, strength_clip=1.0, model=["11", 0]),
    "11": node("LoraLoader", lora_name=LORAS[1], strength_model=0.5, strength_clip=0.5, model=["4", 0]),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd15.safetensors"),
}
FLUX: Final = {
    "12": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
    "10": node("LoraLoaderModelOnly", lora_name=LORAS[0], strength_model=1, model=["12", 0]),
    "25": node("RandomNoise", noise_seed=7),
    "26": node("FluxGuidance", guidance=3.5),
    "17": node("BasicScheduler", scheduler="simple", steps=20, denoise=1, model=["10", 0]),
    "3": node("SamplerCustomAdvanced", noise=["25", 0], sigmas=["17", 0], guider=["26", 0]),
    **SAVE,
}
POWER: Final = node(
    "Power Lora Loader (rgthree)",
    PowerLoraLoaderHeaderWidget={"type": "PowerLoraLoaderHeaderWidget"},
    lora_1={"on": True, "lora": LORAS[0], "strength": 1},
    lora_2={"on": False, "lora": LORAS[1], "strength": 0.8, "strengthTwo": 0.4},
    model=["4", 0],
)
REFINED: Final = {
    "3": node("KSamplerAdvanced", noise_seed=5, start_at_step=20, model=["4", 0], latent_image=["10", 0]),
    "10": node("KSamplerAdvanced", noise_seed=5, start_at_step=0, model=["4", 0]),
    "4": node("CheckpointLoaderSimple", ckpt_name="sdxl.safetensors"),
    **SAVE,
}
STACK: Final = node("Lora Loader Stack (rgthree)", lora_01=LORAS[0], strength_01=1, lora_02="None", model=["4", 0])
COMFYROLL: Final = node("CR LoRA Stack", switch_1="On", lora_name_1=LORAS[0], model_weight_1=1)
STACKER: Final = node("LoRA Stacker", lora_count=1, lora_name_1=LORAS[0], lora_wt_1=1)
CONTROL: Final = node("ControlNetApplyAdvanced", strength=1, end_percent=1, image=["30", 0])
LOADED: Final = node("LoadImage", image="example.png")
ADAPTER: Final = node("IPAdapterAdvanced", weight=1, weight_type="linear", image=["30", 0])
LISTED: Final = node("ModelSamplingSD3", shift={"__value__": [1.0, 2.0]}, model=["4", 0])
CASES: Final = {
    "a chain of LoraLoaders": Case(
        sampled(**CHAIN), "3.seed", "11.strength_model", 0, 11, "11 is out of bounds; allowed: -10 to 10"
    ),
    "which LoRA in a chain": Case(sampled(**CHAIN), "3.seed", "10.lora_name", LORAS[2], "x", "'x' is not offered"),
    "Flux with a LoRA for the model alone": Case(
        FLUX, "25.noise_seed", "10.strength_model", 0.25, "1", "must be a num"
    ),
    "Flux and its guidance": Case(FLUX, "25.noise_seed", "26.guidance", 2, -1, "-1 is out of bounds"),
    "a Power Lora Loader": Case(sampled(**{"10": POWER}), "3.seed", "10.lora_2.strength", 1.2, "a", "must be a number"),
    "a switch of a Power Lora Loader": Case(
        sampled(**{"10": POWER}), "3.seed", "10.lora_2.on", True, 1, "must be true or false, not 1"
    ),
    "two strengths of a Power Lora Loader": Case(
        sampled(**{"10": POWER}), "3.seed", "10.lora_2.strengthTwo", 0, True, "must be a number, not true"
    ),
    "a stack of rgthree": Case(
        sampled(**{"10": STACK}), "3.seed", "10.lora_02", "film.safetensors", "", "'' is not off"
    ),
    "a stack of Comfyroll": Case(sampled(**{"10": COMFYROLL}), "3.seed", "10.switch_1", "Off", "no", "'no' is not off"),
    "a stacker": Case(sampled(**{"10": STACKER}), "3.seed", "10.lora_wt_1", -0.5, 10.5, "10.5 is out of bounds"),
    "ControlNet": Case(
        sampled(**{"10": CONTROL, "30": LOADED}), "3.seed", "10.end_percent", 0.5, 1.5, "1.5 is out of bounds"
    ),
    "an IP adapter": Case(
        sampled(**{"10": ADAPTER, "30": LOADED}), "3.seed", "10.weight_type", "ease in", "easy", "'easy' is not offered"
    ),
    "SDXL with a refiner": Case(REFINED, "10.noise_seed", "3.start_at_step", 25, 2.5, "must be a whole number"),
    "a value in a list": Case(
        sampled(**{"10": LISTED}), "3.seed", "10.shift.__value__.1", 3, "3", "must be a number, not '3'"
    ),
}


def planned(case: Case, value: Scalar) -> Json:
    """Check a workflow as a plan does, and return its nodes with the value."""
    config: Config = {"inputs": {"seed": case.seed, "knob": case.target}, "knob": value}
    workflow = read_workflow(json.dumps(case.graph).encode(), config)
    check_against(Nodes(json.dumps(OBJECT_INFO).encode()), workflow, config)
    found: Json = patched(workflow.graph, values_of(workflow, config))
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_workflow_is_planned_right(name: str) -> None:
    """The value arrives at its place and nowhere else, and what the server would not take is refused."""
    case = CASES[name]
    changed = planned(case, case.good)

    key, _, rest = case.target.partition(".")
    place: Any = changed[key]["inputs"]
    parts = rest.split(".")
    for part in parts[:-1]:
        place = place[part]
    last: Any = int(parts[-1]) if isinstance(place, list) else parts[-1]
    assert place[last] == case.good
    place[last] = None
    original: Any = json.loads(json.dumps(case.graph))
    place = original[key]["inputs"]
    for part in parts[:-1]:
        place = place[part]
    place[last] = None
    assert changed == original
    with pytest.raises(InvalidInputError) as refused:
        planned(case, case.bad)
    assert str(refused.value).startswith(f"config.knob: {case.said}")
