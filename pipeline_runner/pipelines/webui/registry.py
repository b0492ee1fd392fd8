"""The stages, and what each takes on a server: plans are checked against it, and requests are built from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from bus.contracts.pipeline_specs import ANY, Kind, StageSpec, VariableSpec, alike
from pipeline_runner.pipelines.init_image import INIT_IMAGE
from pipeline_runner.pipelines.names import Names
from pipeline_runner.pipelines.time_limit import TIME_LIMIT
from pipeline_runner.pipelines.webui.asked import SETTINGS, TABLES
from pipeline_runner.pipelines.webui.knobs import KNOBS, LORA_MARK, OVERRIDE, STYLES, Knob
from pipeline_runner.pipelines.webui.lists import API, Lists

MARKED: Final = ("prompt", "hr_prompt")  # texts in which the server reads marks of LoRAs
DEFAULT_FACTOR: Final = 2.0
DEFAULT_DENOISING: Final = 0.7  # of hires fix on the server's page


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage: the path that is asked, what every request has, further keys of its jobs, and what they must have.

    `passes` says whether it takes the tables that are passed on to the server.
    """

    path: str
    base: Mapping[str, Any]
    config: Mapping[str, VariableSpec] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    passes: bool = True


_MASK: Final = {"mask": VariableSpec(kind="str", target="the mask in this file on the runner's machine")}
# One picture a job unless it says more, and no value that the server would choose by chance.
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
        path=f"{API}/img2img", base=_DIFFUSION, config={**INIT_IMAGE, **_MASK, **TIME_LIMIT}, required=("init_image",)
    ),
    "upscale": Stage(
        path=f"{API}/extra-single-image",
        base={"resize_mode": 0, "upscaling_resize": DEFAULT_FACTOR},  # 0: by a factor
        config={**INIT_IMAGE, **TIME_LIMIT},
        required=("init_image", "upscaler"),
        passes=False,
    ),
}


def knobs_of(stage: str, lists: Lists) -> dict[str, Knob]:
    """Return the variables of a stage that a server supports."""
    return {knob.name: knob for knob in KNOBS if stage in knob.stages and _offered(knob, lists)}


def config_of(stage: str, lists: Lists) -> dict[str, VariableSpec]:
    """Return the further keys of the jobs of a stage."""
    return {**STAGES[stage].config, **(_tables(lists) if STAGES[stage].passes else {})}


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
    return StageSpec(variables=variables, config=config_of(name, lists), required=stage.required, metrics=())


def _tables(lists: Lists) -> dict[str, VariableSpec]:
    """Return what the tables take: LoRAs with strengths, settings of the server, and scripts with their values."""
    settings = {name: _setting(name, value, lists) for name, value in lists.options.items()}
    scripts = VariableSpec(kind="map", open=True, target="alwayson_scripts")
    found = {"override_settings": VariableSpec(kind="map", inside=settings, target="override_settings")}
    if lists.scripts is None or any(lists.scripts.values()):
        found["alwayson"] = scripts
    if loras := lists.names.get("loras"):
        strength = VariableSpec(kind="strength", minimum=-5, maximum=5)
        found["loras"] = _listed(loras, VariableSpec(kind="map", inside={ANY: strength}, target=LORA_MARK))
    if "styles" in lists.names:
        found["styles"] = VariableSpec(kind="list", target=STYLES)
    return {name: found[name] for name in TABLES if name in found}


def _setting(name: str, value: object, lists: Lists) -> VariableSpec:
    """Return what a setting of the server takes: what its variable does, else a value like the present one."""
    knob = next((one for one in KNOBS if one.name == SETTINGS.get(name) and _offered(one, lists)), None)
    if knob and knob.target == f"{OVERRIDE}{name}":
        return _variable(knob, lists)
    of_others: Kind = "list" if isinstance(value, list) else "map" if isinstance(value, dict) else "any"
    return alike(value) or VariableSpec(kind=of_others)  # of one that has no value yet, nobody knows


def _listed(names: Names, spec: VariableSpec) -> VariableSpec:
    return replace(spec, choices=names.choices, also=names.also, ambiguous=dict(names.ambiguous))


def _variable(knob: Knob, lists: Lists) -> VariableSpec:
    loras = lists.names.get("loras") if knob.name in MARKED else None
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
    """Return what is accepted though it is not listed; of some the empty text, which is none: with and without it."""
    also = names.also if names else ()
    return (*also, "") if names and knob.none else also
