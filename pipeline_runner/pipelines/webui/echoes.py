"""The drift guard for what is passed on: compares it with what the text of a picture says of it.

| passed on | told as |
|---|---|
| refiner, and model, sampler and schedule of hires fix | `Refiner`, `Hires checkpoint`, … |
| masks | `Mask blur`, `Masked area padding` |
| settings and modules of the server | `RNG`, `Module 1`, … |
| the units of ControlNet that are on | `ControlNet 0`: `Module: canny, Weight: 0.5, …` |
| the detectors of ADetailer | `ADetailer model`, `ADetailer confidence 2nd`, … |

A script may fail while the server goes on; where its text is never there, that is a warning and spoils nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bus.contracts.fields import Config, ConfigValue
from pipeline_runner.outputs.infotext import read_infotext
from pipeline_runner.pipelines.difference import Difference, same_number
from pipeline_runner.pipelines.names import stem
from pipeline_runner.pipelines.server_values import number
from pipeline_runner.pipelines.webui.answer import Answer
from pipeline_runner.pipelines.webui.asked import MODULES, OVERRIDES, SCRIPTS, overrides_of
from pipeline_runner.pipelines.webui.lists import Lists, file_of
from pipeline_runner.pipelines.webui.scripts import units_of
from pipeline_runner.pipelines.webui.settings import TOLD

NOT_TOLD: Final = "nothing that the text of its picture tells"
_NEVER: Final = 1.0  # a refiner that begins at the end
_NUMBERS: Final = {"mask_blur": "Mask blur", "inpaint_full_res_padding": "Masked area padding"}
_UNIT: Final = {  # of ControlNet
    "module": "Module",
    "model": "Model",
    "weight": "Weight",
    "guidance_start": "Guidance Start",
    "guidance_end": "Guidance End",
    "processor_res": "Processor Res",
    "threshold_a": "Threshold A",
    "threshold_b": "Threshold B",
}
_DETECTOR: Final = {
    "ad_model": "ADetailer model",
    "ad_confidence": "ADetailer confidence",
    "ad_denoising_strength": "ADetailer denoising strength",
    "ad_dilate_erode": "ADetailer dilate erode",
    "ad_mask_blur": "ADetailer mask blur",
}
_ORDINALS: Final = ("", " 2nd", " 3rd", " 4th", " 5th", " 6th")


def further_differences(config: Config, lists: Lists, answer: Answer) -> list[Difference]:
    """Compare what a job passes on with its answer; `config` is what `asked_for` makes of it."""
    told = answer.parameters
    if not told:
        return []
    return [
        *_refiner(config, lists, told),
        *_hires(config, lists, told),
        *_compared("", config, _NUMBERS, told),
        *_settings(config, told),
        *_controlnet(config, told),
        *_adetailer(config, told),
    ]


def _refiner(config: Config, lists: Lists, told: Mapping[str, str]) -> Iterator[Difference]:
    """Look for the refiner, which the server tells whenever it has come to it."""
    asked, switch = config.get("refiner_checkpoint"), config.get("refiner_switch_at")
    if not asked or (number(switch) or 0.0) >= _NEVER:
        return
    used = told.get("Refiner")
    spoils = ("refiner_checkpoint", "refiner_switch_at")
    if used is None or not _is_model(str(asked), used, lists):
        yield Difference("refiner_checkpoint", asked, used or "none", spoils)
    yield from _compared("", config, {"refiner_switch_at": "Refiner switch at"}, told)


def _hires(config: Config, lists: Lists, told: Mapping[str, str]) -> Iterator[Difference]:
    if not config.get("enable_hr"):
        return
    model, used = config.get("hr_checkpoint_name"), told.get("Hires checkpoint")
    if model and (used is None or not _is_model(str(model), used, lists)):
        yield Difference("hr_checkpoint_name", model, used or "none", ("hr_checkpoint_name",))
    for name, label, kind in (
        ("hr_sampler_name", "Hires sampler", "samplers"),
        ("hr_scheduler", "Hires schedule type", "schedulers"),
    ):
        asked, found = (
            config.get(name),
            told.get(label),
        )  # told where it is another one
        spellings = lists.names[kind].spellings if asked and found else {}
        if asked and found and spellings.get(found, found) != spellings.get(str(asked), asked):
            yield Difference(name, asked, found, (name,))


def _settings(config: Config, told: Mapping[str, str]) -> Iterator[Difference]:
    overrides = overrides_of(config)
    for label, name in TOLD.items():
        if name in overrides and label in told and not _is_same(overrides[name], told[label]):
            where = f"{OVERRIDES}.{name}"
            yield Difference(where, overrides[name], told[label], (where,))
    used = {stem(text) for name, text in told.items() if name.startswith("Module ")}
    missing = [name for name in overrides.get(MODULES, ()) if stem(str(name)) not in used]
    if used and missing:
        where = f"{OVERRIDES}.{MODULES}"
        yield Difference(where, ", ".join(map(str, missing)), ", ".join(sorted(used)), (where,))


def _controlnet(config: Config, told: Mapping[str, str]) -> Iterator[Difference]:
    """Compare the units that are on, which the server counts; it has none where they are refused by ControlNet."""
    for name, script in _scripts(config).items():
        for count, (place, unit) in enumerate(units_of(name, script)):
            where = f"{SCRIPTS}.{name}.args.{place}"
            if f"ControlNet {count}" not in told:
                yield Difference(where, unit.get("module", "a unit"), NOT_TOLD, ())
                continue
            found = read_infotext(told[f"ControlNet {count}"])
            given = {key: value for key, value in unit.items() if value != -1}  # its own default
            yield from _compared(f"{where}.", given, _UNIT, found)


def _adetailer(config: Config, told: Mapping[str, str]) -> Iterator[Difference]:
    for name, script in _scripts(config).items():
        args = script.get("args", []) if name.lower() == "adetailer" else []
        tabs = [(place, arg) for place, arg in enumerate(args) if isinstance(arg, dict)]
        used = [(place, arg) for place, arg in tabs if arg.get("ad_model", "None") != "None"]
        if False in args[:1]:
            continue
        for (place, tab), ordinal in zip(used, _ORDINALS, strict=False):
            where, labels = f"{SCRIPTS}.{name}.args.{place}", {key: label + ordinal for key, label in _DETECTOR.items()}
            if labels["ad_model"] not in told:
                yield Difference(where, tab["ad_model"], NOT_TOLD, ())
            yield from _compared(f"{where}.", tab, labels, told)


def _scripts(config: Config) -> Mapping[str, Any]:
    found = config.get(SCRIPTS)
    return found if isinstance(found, dict) else {}


def _compared(
    prefix: str, asked: Mapping[str, ConfigValue], labels: Mapping[str, str], told: Mapping[str, str]
) -> Iterator[Difference]:
    """Compare single values with those that are told under their labels."""
    for name, label in labels.items():
        if name in asked and label in told and not _is_same(asked[name], told[label]):
            yield Difference(f"{prefix}{name}", asked[name], told[label], (f"{prefix}{name}",))


def _is_same(asked: ConfigValue, told: str) -> bool:
    """Compare a value with its text; of a name, the hash behind it counts only where both have one."""
    wanted = number(asked)
    if wanted is not None:
        try:
            return same_number(float(wanted), float(told))
        except ValueError:
            return False
    one, other = str(asked).lower(), told.lower()
    return one == other or file_of(one) == other or one == file_of(other)


def _is_model(asked: str, told: str, lists: Lists) -> bool:
    """Compare a model with the short title that is told of one: `name [hash]`."""
    checkpoint = lists.checkpoints.get(lists.names["models"].spellings.get(asked, ""))
    short = told[len(file_of(told)) :].strip(" []")
    if checkpoint and checkpoint.hash and short:
        return checkpoint.hash.startswith(short) or short.startswith(checkpoint.hash)
    return checkpoint is not None and stem(file_of(told)) == checkpoint.name
