"""The variables of the web UI, as data: where each goes in a request, and what it takes."""

from dataclasses import dataclass
from typing import Final

from bus.contracts.fields import SEED_MAX
from bus.contracts.pipeline_specs import Kind

LORA_MARK: Final = "prompt: <lora:NAME:STRENGTH>"
STYLES: Final = "styles"
OVERRIDE: Final = "override_settings."
MODULES: Final = "override_settings.forge_additional_modules"
MAX_SIDE: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One variable of some stages.

    Attributes:
        name: What people call it in a file.
        kind: Its type.
        target: Where its value goes in the request: a path of keys, `LORA_MARK` or `STYLES`.
        stages: Where it has an effect.
        minimum: The least that is allowed.
        maximum: The most that is allowed.
        names: The list of the server that the values come from; it is offered only where the server has some.
        needs: Variables without which it has no effect.
        unit: Of the number, for people.
        slow: To change it costs the server seconds.
        forge: Offered only by Forge (True), only by the others (False), or by all.
        none: The empty text is none of the list: with and without it is what an experiment asks.
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
    none: bool = False


_ONE: Final = ("txt2img",)
_TWO: Final = ("img2img",)
_BOTH: Final = ("txt2img", "img2img")
_EXTRA: Final = ("upscale",)
BATCHES: Final = 64  # pictures at once, and batches one after the other, at most
_HIRES: Final = ("enable_hr",)
_MASK: Final = ("mask",)
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
    Knob(name="batch_size", kind="int", target="batch_size", stages=_BOTH, minimum=1, maximum=BATCHES),
    Knob(name="n_iter", kind="int", target="n_iter", stages=_BOTH, minimum=1, maximum=BATCHES),
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
    Knob(name="lora", kind="str", target=LORA_MARK, stages=_BOTH, names="loras", none=True),
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
    Knob(name="style", kind="str", target=STYLES, stages=_BOTH, names="styles", none=True),
    Knob(
        name="refiner_checkpoint",
        kind="str",
        target="refiner_checkpoint",
        stages=_BOTH,
        names="models",
        slow=True,
        none=True,
    ),
    Knob(
        name="refiner_switch_at",
        kind="float",
        target="refiner_switch_at",
        stages=_BOTH,
        minimum=0,
        maximum=1,
        needs=("refiner_checkpoint",),
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
    Knob(name="hr_prompt", kind="str", target="hr_prompt", stages=_ONE, needs=_HIRES),
    Knob(name="hr_negative_prompt", kind="str", target="hr_negative_prompt", stages=_ONE, needs=_HIRES),
    Knob(
        name="hr_checkpoint_name",
        kind="str",
        target="hr_checkpoint_name",
        stages=_ONE,
        names="models",
        needs=_HIRES,
        slow=True,
        none=True,
    ),
    Knob(name="hr_sampler_name", kind="str", target="hr_sampler_name", stages=_ONE, names="samplers", needs=_HIRES),
    Knob(name="hr_scheduler", kind="str", target="hr_scheduler", stages=_ONE, names="schedulers", needs=_HIRES),
    Knob(name="hr_cfg", kind="float", target="hr_cfg", stages=_ONE, minimum=0, maximum=30, needs=_HIRES, forge=True),
    Knob(
        name="hr_distilled_cfg",
        kind="float",
        target="hr_distilled_cfg",
        stages=_ONE,
        minimum=0,
        maximum=30,
        needs=_HIRES,
        forge=True,
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
    Knob(
        name="mask_blur", kind="int", target="mask_blur", stages=_TWO, minimum=0, maximum=64, unit="pixels", needs=_MASK
    ),
    Knob(name="inpainting_fill", kind="int", target="inpainting_fill", stages=_TWO, minimum=0, maximum=3, needs=_MASK),
    Knob(name="inpaint_full_res", kind="bool", target="inpaint_full_res", stages=_TWO, needs=_MASK),
    Knob(
        name="inpaint_full_res_padding",
        kind="int",
        target="inpaint_full_res_padding",
        stages=_TWO,
        minimum=0,
        maximum=256,
        unit="pixels",
        needs=_MASK,
    ),
    Knob(
        name="inpainting_mask_invert",
        kind="int",
        target="inpainting_mask_invert",
        stages=_TWO,
        minimum=0,
        maximum=1,
        needs=_MASK,
    ),
    Knob(
        name="initial_noise_multiplier",
        kind="float",
        target="initial_noise_multiplier",
        stages=_TWO,
        minimum=0,
        maximum=1.5,
    ),
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
