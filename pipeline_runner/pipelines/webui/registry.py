"""The variables of each stage, as data: plans are checked against them, and requests are built from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bus.contracts.fields import SEED_MAX
from bus.contracts.pipeline_specs import Kind, StageSpec, VariableSpec
from pipeline_runner.pipelines.init_image import INIT_IMAGE
from pipeline_runner.pipelines.time_limit import TIME_LIMIT
from pipeline_runner.pipelines.webui.lists import API, Lists, Names

LORA_MARK: Final = "prompt: <lora:NAME:STRENGTH>"
OVERRIDE: Final = "override_settings."
MODULES: Final = "override_settings.forge_additional_modules"
MAX_SIDE: Final = 8192
DEFAULT_FACTOR: Final = 2.0
DEFAULT_DENOISING: Final = 0.7  # of hires fix on the server's page


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One variable of some stages.

    Attributes:
        name: What people call it in a file.
        kind: Its type.
        target: Where its value goes in the request: a path of keys, or `LORA_MARK`.
        stages: Where it has an effect.
        minimum: The least that is allowed.
        maximum: The most that is allowed.
        names: The list of the server that the values come from; it is offered only where the server has some.
        needs: Variables without which it has no effect.
        unit: Of the number, for people.
        slow: To change it costs the server seconds.
        forge: Offered only by Forge (True), only by the others (False), or by all.
    """

    name: str
    kind: Kind
    target: str
    stages: tuple[str, ...]
    minimum: float | None = None
    maximum: float | None = None
    names: str = ""
    needs: tuple[str, ...] = ()
    unit: str = ""
    slow: bool = False
    forge: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage: the path that is asked, what every request has, further keys of its jobs, and what they must have."""

    path: str
    base: Mapping[str, Any]
    config: Mapping[str, VariableSpec] = field(default_factory=dict)
    required: tuple[str, ...] = ()


# One picture a job, and no value that the server would choose by chance.
_DIFFUSION: Final = {
    "batch_size": 1,
    "n_iter": 1,
    "seed": 0,
    "subseed": 0,
    "send_images": True,
    "save_images": False,
    "override_settings": {},
    "override_settings_restore_afterwards": True,
}
STAGES: Final[Mapping[str, Stage]] = {
    # the API's own default is null, with which hires fix fails; without hires fix nothing uses it
    "txt2img": Stage(
        path=f"{API}/txt2img", base={**_DIFFUSION, "denoising_strength": DEFAULT_DENOISING}, config=TIME_LIMIT
    ),
    "img2img": Stage(
        path=f"{API}/img2img", base=_DIFFUSION, config={**INIT_IMAGE, **TIME_LIMIT}, required=("init_image",)
    ),
    "upscale": Stage(
        path=f"{API}/extra-single-image",
        base={"resize_mode": 0, "upscaling_resize": DEFAULT_FACTOR},  # 0: by a factor
        config={**INIT_IMAGE, **TIME_LIMIT},
        required=("init_image", "upscaler"),
    ),
}

_ONE: Final = ("txt2img",)
_TWO: Final = ("img2img",)
_BOTH: Final = ("txt2img", "img2img")
_EXTRA: Final = ("upscale",)
_HIRES: Final = ("enable_hr",)
KNOBS: Final = (
    Knob(name="prompt", kind="str", target="prompt", stages=_BOTH),
    Knob(name="negative_prompt", kind="str", target="negative_prompt", stages=_BOTH),
    Knob(name="steps", kind="int", target="steps", stages=_BOTH, minimum=1, maximum=150),
    Knob(name="cfg_scale", kind="float", target="cfg_scale", stages=_BOTH, minimum=0, maximum=30),
    Knob(
        name="distilled_cfg_scale",
        kind="float",
        target="distilled_cfg_scale",
        stages=_BOTH,
        minimum=0,
        maximum=30,
        forge=True,
    ),
    Knob(name="sampler_name", kind="str", target="sampler_name", stages=_BOTH, names="samplers"),
    Knob(name="scheduler", kind="str", target="scheduler", stages=_BOTH, names="schedulers"),
    Knob(name="seed", kind="int", target="seed", stages=_BOTH, minimum=0, maximum=SEED_MAX),
    Knob(
        name="subseed",
        kind="int",
        target="subseed",
        stages=_BOTH,
        minimum=0,
        maximum=SEED_MAX,
        needs=("subseed_strength",),
    ),
    Knob(name="subseed_strength", kind="float", target="subseed_strength", stages=_BOTH, minimum=0, maximum=1),
    Knob(name="width", kind="int", target="width", stages=_BOTH, minimum=64, maximum=MAX_SIDE, unit="pixels"),
    Knob(name="height", kind="int", target="height", stages=_BOTH, minimum=64, maximum=MAX_SIDE, unit="pixels"),
    Knob(name="model", kind="str", target=f"{OVERRIDE}sd_model_checkpoint", stages=_BOTH, names="models", slow=True),
    Knob(name="vae", kind="str", target=f"{OVERRIDE}sd_vae", stages=_BOTH, names="vaes", slow=True, forge=False),
    Knob(name="vae", kind="str", target=MODULES, stages=_BOTH, names="vaes", slow=True, forge=True),
    Knob(
        name="clip_skip",
        kind="int",
        target=f"{OVERRIDE}CLIP_stop_at_last_layers",
        stages=_BOTH,
        minimum=1,
        maximum=12,
    ),
    Knob(name="lora", kind="str", target=LORA_MARK, stages=_BOTH, names="loras"),
    Knob(
        name="lora_strength",
        kind="float",
        target=LORA_MARK,
        stages=_BOTH,
        minimum=-5,
        maximum=5,
        names="loras",
        needs=("lora",),
    ),
    Knob(name="eta", kind="float", target="eta", stages=_BOTH, minimum=0, maximum=1),
    Knob(name="tiling", kind="bool", target="tiling", stages=_BOTH),
    Knob(name="restore_faces", kind="bool", target="restore_faces", stages=_BOTH),
    Knob(name="enable_hr", kind="bool", target="enable_hr", stages=_ONE),
    Knob(name="hr_scale", kind="float", target="hr_scale", stages=_ONE, minimum=1, maximum=4, needs=_HIRES),
    Knob(name="hr_upscaler", kind="str", target="hr_upscaler", stages=_ONE, names="hr_upscalers", needs=_HIRES),
    Knob(
        name="hr_second_pass_steps",
        kind="int",
        target="hr_second_pass_steps",
        stages=_ONE,
        minimum=0,
        maximum=150,
        needs=_HIRES,
    ),
    Knob(
        name="denoising_strength",
        kind="float",
        target="denoising_strength",
        stages=_ONE,
        minimum=0,
        maximum=1,
        needs=_HIRES,
    ),
    Knob(name="denoising_strength", kind="float", target="denoising_strength", stages=_TWO, minimum=0, maximum=1),
    Knob(name="resize_mode", kind="int", target="resize_mode", stages=_TWO, minimum=0, maximum=3),
    Knob(name="upscaler", kind="str", target="upscaler_1", stages=_EXTRA, names="upscalers"),
    Knob(name="upscaling_factor", kind="float", target="upscaling_resize", stages=_EXTRA, minimum=1, maximum=8),
    Knob(
        name="upscaler_2",
        kind="str",
        target="upscaler_2",
        stages=_EXTRA,
        names="upscalers",
        needs=("upscaler_2_visibility",),
    ),
    Knob(
        name="upscaler_2_visibility",
        kind="float",
        target="extras_upscaler_2_visibility",
        stages=_EXTRA,
        minimum=0,
        maximum=1,
        needs=("upscaler_2",),
    ),
    Knob(name="gfpgan_visibility", kind="float", target="gfpgan_visibility", stages=_EXTRA, minimum=0, maximum=1),
    Knob(
        name="codeformer_visibility", kind="float", target="codeformer_visibility", stages=_EXTRA, minimum=0, maximum=1
    ),
    Knob(
        name="codeformer_weight",
        kind="float",
        target="codeformer_weight",
        stages=_EXTRA,
        minimum=0,
        maximum=1,
        needs=("codeformer_visibility",),
    ),
)


def knobs_of(stage: str, lists: Lists) -> dict[str, Knob]:
    """Return the variables of a stage that a server supports."""
    return {knob.name: knob for knob in KNOBS if stage in knob.stages and _offered(knob, lists)}


def stages_of(lists: Lists) -> dict[str, StageSpec]:
    """Return what each stage takes on a server."""
    return {name: _spec(name, stage, lists) for name, stage in STAGES.items()}


def unavailable(reason: str) -> dict[str, StageSpec]:
    """Return the stages of a server that has not been read, with the reason."""
    return {name: StageSpec(unavailable=reason) for name in STAGES}


def _offered(knob: Knob, lists: Lists) -> bool:
    if knob.forge is not None and knob.forge != lists.forge:
        return False
    if knob.names and not (knob.names in lists.names and lists.names[knob.names].choices):
        return False
    # a setting that the server does not know would fail the whole job
    return not knob.target.startswith(OVERRIDE) or knob.target.removeprefix(OVERRIDE) in lists.options


def _spec(name: str, stage: Stage, lists: Lists) -> StageSpec:
    variables = {knob.name: _variable(knob, lists) for knob in knobs_of(name, lists).values()}
    return StageSpec(variables=variables, config=dict(stage.config), required=stage.required, metrics=())


def _variable(knob: Knob, lists: Lists) -> VariableSpec:
    loras = lists.names.get("loras") if knob.name == "prompt" else None
    names = lists.names[knob.names] if knob.names and knob.kind == "str" else None
    marked = names or loras
    return VariableSpec(
        kind=knob.kind,
        minimum=knob.minimum,
        maximum=knob.maximum,
        choices=names.choices if names else (),
        also=_also(knob, names),
        ambiguous=dict(marked.ambiguous) if marked else {},
        needs=knob.needs,
        unit=knob.unit,
        target=knob.target,
        slow=knob.slow,
        loras=None if loras is None else tuple(loras.spellings),
    )


def _also(knob: Knob, names: Names | None) -> tuple[str, ...]:
    """Return what is accepted though it is not listed; as a LoRA the empty text, which is none: with and without it."""
    also = names.also if names else ()
    return (*also, "") if names and knob.target == LORA_MARK else also
