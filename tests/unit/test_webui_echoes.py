"""The drift guard for what is passed on: what the text of a picture says of it, and nothing that it does not say."""

from typing import Any

import pytest

from bus.contracts.fields import Config
from pipeline_runner.pipelines.webui.answer import Answer
from pipeline_runner.pipelines.webui.asked import asked_for
from pipeline_runner.pipelines.webui.echoes import NOT_TOLD, further_differences
from tests.support.webui_jobs import lists_of

UNIT = {"enabled": True, "module": "canny", "model": "control_v11p_sd15_canny [d14c016b]", "weight": 0.5}
NET: Config = {"alwayson": {"ControlNet": {"args": [{"enabled": False}, UNIT]}}}
TOLD = "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.5, Guidance Start: 0.0, Threshold A: 100.0"
FACE = {"ad_model": "face_yolov8n.pt", "ad_confidence": 0.3}
HAND = {"ad_model": "hand_yolov8n.pt", "ad_confidence": 0.5}
ADETAILER: Config = {"alwayson": {"ADetailer": {"args": [True, False, FACE, {"ad_model": "None"}, HAND]}}}
TOLD_OF_BOTH = {
    "ADetailer model": "face_yolov8n.pt",
    "ADetailer confidence": "0.3",
    "ADetailer model 2nd": "hand_yolov8n.pt",
    "ADetailer confidence 2nd": "0.5",
}
HIRES: Config = {
    "enable_hr": True,
    "hr_checkpoint_name": "real",
    "hr_sampler_name": "k_euler",
    "hr_scheduler": "karras",
}
REFINED: Config = {"refiner_checkpoint": "real", "refiner_switch_at": 0.8}
SETTINGS: Config = {"override_settings": {"randn_source": "CPU", "eta_noise_seed_delta": 31337}}
MASK: Config = {"mask_blur": 8, "inpaint_full_res_padding": 32}
MODULES: Config = {"override_settings": {"forge_additional_modules": ["ae.safetensors", "clip_l.safetensors"]}}


def found(config: Config, told: dict[str, str]) -> list[str]:
    """Return the differences as people read them."""
    answer = Answer(image=b"", parameters={"Steps": "4", **told})
    return [str(one) for one in further_differences(asked_for(config), lists_of(), answer)]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (REFINED, {"Refiner": "real [ab12cd34ef]", "Refiner switch at": "0.8"}),
        ({**REFINED, "refiner_switch_at": 1}, {}),
        ({"refiner_checkpoint": ""}, {}),
        (HIRES, {"Hires checkpoint": "real [ab12cd34ef]", "Hires sampler": "Euler", "Hires schedule type": "Karras"}),
        ({**HIRES, "hr_checkpoint_name": ""}, {}),
        ({**HIRES, "enable_hr": False}, {}),
        (MASK, {"Mask blur": "8", "Masked area padding": "32"}),
        (MASK, {}),
        (SETTINGS, {"RNG": "CPU", "ENSD": "31337"}),
        (SETTINGS, {}),
        (MODULES, {"Module 1": "ae", "Module 2": "clip_l"}),
        (MODULES, {}),
        (NET, {"ControlNet 0": TOLD}),
        ({"alwayson": {"controlnet": {"args": [{**UNIT, "threshold_a": -1}]}}}, {"ControlNet 0": TOLD}),
        ({"alwayson": {"controlnet": {"args": [{"enabled": False}]}}}, {}),
        (ADETAILER, TOLD_OF_BOTH),
        ({"alwayson": {"adetailer": {"args": [False, FACE]}}}, {}),
        ({"alwayson": {"adetailer": {}, "other": {"args": [FACE]}}}, {}),
        ({"refiner_checkpoint": "new"}, {"Refiner": "new"}),
    ],
)
def test_what_was_used_as_asked_or_is_not_told_is_no_difference(config: Config, told: dict[str, str]) -> None:
    """A text may be shorter than what was asked for."""
    assert found(config, told) == []


@pytest.mark.parametrize(
    ("config", "told", "differences"),
    [
        (REFINED, {}, ["refiner_checkpoint: asked for 'real', the server used 'none'"]),
        (
            REFINED,
            {"Refiner": "sd15 [6ce0161689]", "Refiner switch at": "0.5"},
            [
                "refiner_checkpoint: asked for 'real', the server used 'sd15 [6ce0161689]'",
                "refiner_switch_at: asked for 0.8, the server used '0.5'",
            ],
        ),
        (
            HIRES,
            {"Hires sampler": "DPM++ 2M", "Hires schedule type": "Simple"},
            [
                "hr_checkpoint_name: asked for 'real', the server used 'none'",
                "hr_sampler_name: asked for 'k_euler', the server used 'DPM++ 2M'",
                "hr_scheduler: asked for 'karras', the server used 'Simple'",
            ],
        ),
        (MASK, {"Mask blur": "4"}, ["mask_blur: asked for 8, the server used '4'"]),
        (MASK, {"Mask blur": "none"}, ["mask_blur: asked for 8, the server used 'none'"]),
        (SETTINGS, {"RNG": "NV"}, ["override_settings.randn_source: asked for 'CPU', the server used 'NV'"]),
        (
            MODULES,
            {"Module 1": "ae"},
            ["override_settings.forge_additional_modules: asked for 'clip_l.safetensors', the server used 'ae'"],
        ),
        (NET, {}, [f"alwayson.ControlNet.args.1: asked for 'canny', the server used {NOT_TOLD!r}"]),
        (
            NET,
            {"ControlNet 0": "Module: none, Weight: 1.0"},
            [
                "alwayson.ControlNet.args.1.module: asked for 'canny', the server used 'none'",
                "alwayson.ControlNet.args.1.weight: asked for 0.5, the server used '1.0'",
            ],
        ),
        (
            ADETAILER,
            {**TOLD_OF_BOTH, "ADetailer confidence 2nd": "0.3"},
            ["alwayson.ADetailer.args.4.ad_confidence: asked for 0.5, the server used '0.3'"],
        ),
        (
            {"alwayson": {"adetailer": {"args": [FACE]}}},
            {},
            [f"alwayson.adetailer.args.0: asked for 'face_yolov8n.pt', the server used {NOT_TOLD!r}"],
        ),
        (
            {"refiner_checkpoint": "new"},
            {"Refiner": "old"},
            ["refiner_checkpoint: asked for 'new', the server used 'old'"],
        ),
    ],
)
def test_what_was_used_otherwise_is_told(config: Config, told: dict[str, str], differences: list[str]) -> None:
    """Each with the path under which an experiment may vary it."""
    assert found(config, told) == differences


def test_without_a_text_nothing_is_claimed() -> None:
    """As of a server that writes none into its pictures."""
    assert further_differences(asked_for({**NET, **REFINED}), lists_of(), Answer(image=b"")) == []


def test_what_is_not_mentioned_spoils_nothing() -> None:
    """That a script failed is a guess; that another value was used is none."""
    answer: Any = Answer(image=b"", parameters={"Steps": "4", "Mask blur": "4"})
    told = further_differences(asked_for({**NET, **MASK}), lists_of(), answer)

    assert [one.spoils for one in told] == [("mask_blur",), ()]
