"""The answer of an SD.Next: its picture, what it says was used, and how that differs from what was asked for."""

import base64
import json
from typing import Any

import pytest

from bus.contracts.fields import Config
from pipeline_runner.pipelines.http_client import Reply, ServerFault
from pipeline_runner.pipelines.init_image import InitImage
from pipeline_runner.pipelines.sdnext.answer import Answer, NoPictureError, effective_of, read_answer
from pipeline_runner.pipelines.sdnext.drift import differences, upscaled
from tests.support.sdnext_jobs import offer_of

SIZE = (64, 64)
OFFER = offer_of()
DATA = base64.b64encode(b"bytes").decode()
LINE = "Steps: 4, Size: 64x64, Seed: 7, App: SD.Next"


def reply(body: Any) -> Reply:
    """Return a successful answer."""
    return Reply(200, json.dumps(body).encode())


def test_the_picture_that_was_made() -> None:
    """Not the one that shows what the detailer has found, which may stand before it."""
    other = base64.b64encode(b"other").decode()
    info = {"infotexts": ["Detailer annotations", f"a star\n{LINE}"], "all_seeds": [7]}
    answer = read_answer("txt2img", reply({"images": [other, DATA], "info": json.dumps(info)}))

    assert (answer.image, answer.seed, answer.infotext) == (b"bytes", 7, f"a star\n{LINE}")
    assert answer.parameters["Steps"] == "4"


@pytest.mark.parametrize("info", ["", None, "no JSON", "[]", '{"infotexts": 3}', '{"infotexts": [3]}'])
def test_a_picture_of_which_nothing_is_told(info: Any) -> None:
    """It is the first one."""
    answer = read_answer("txt2img", reply({"images": [DATA], "info": info}))

    assert (answer.image, answer.parameters, answer.seed) == (b"bytes", {}, None)


def test_an_answer_without_a_picture() -> None:
    """Which has the status of a success; broken and other ones are told from it."""
    bodies: tuple[dict[str, Any], ...] = ({"images": []}, {"images": None}, {})
    for body in bodies:
        with pytest.raises(NoPictureError):
            read_answer("txt2img", reply(body))
    with pytest.raises(ServerFault, match="something else"):
        read_answer("txt2img", reply([]))
    for wrong in (None, "", "%%%", 3):
        with pytest.raises(ServerFault, match="no base64"):
            read_answer("upscale", reply({"image": wrong}))
    assert read_answer("upscale", reply({"image": DATA})).image == b"bytes"


def test_what_was_used_under_our_names() -> None:
    """From both places; what is not told is left out."""
    parameters = {"Model": "real", "VAE": "kl", "LoRA networks": "a, b", "Denoising strength": "0.5"}
    answer = Answer(image=b"", info={"steps": 4, "seed": 3, "cfg_scale": None, "prompt": ""}, parameters=parameters)

    assert effective_of(answer) == {
        "steps": 4,
        "seed": 3,
        "model": "real",
        "vae": "kl",
        "loras": "a, b",
        "denoising_strength": 0.5,
    }
    assert effective_of(Answer(image=b"", parameters={"Denoising strength": "much"})) == {}


def found(
    config: Config, info: dict[str, Any], parameters: dict[str, str] | None = None, size: tuple[int, int] = SIZE
) -> list[str]:
    """Return the names in which a job differs from what is told."""
    answer = Answer(image=b"", info=info, parameters=parameters or {})
    return [one.name for one in differences(config, OFFER, answer, size, None)]


@pytest.mark.parametrize(
    ("config", "info", "parameters"),
    [
        ({"steps": 4, "cfg_scale": 5, "seed": 7}, {"steps": 4, "cfg_scale": 5.0, "all_seeds": [7]}, {}),
        ({"steps": 4}, {}, {}),
        ({"sampler_name": "Euler"}, {"sampler_name": "Euler"}, {}),
        ({"sampler_name": "Euler"}, {"sampler_name": ""}, {}),
        ({"model": "real"}, {"sd_model_hash": "aaaaaaaaaa"}, {"Model": "other"}),
        ({"model": "new"}, {"sd_model_hash": "cccccccccc"}, {"Model": "new"}),
        ({"model": "sd15, old: fixed"}, {}, {"Model": "sd15 old fixed"}),
        ({"model": "real"}, {}, {}),
        ({"model": "gone"}, {}, {"Model": "real"}),
        ({"vae": "kl-f8.ckpt"}, {}, {"Model": "real", "VAE": "kl-f8"}),
        ({"vae": "Automatic"}, {}, {"Model": "real", "VAE": "kl-f8"}),
        ({"vae": "kl-f8.ckpt"}, {}, {"VAE": "other"}),
        ({"lora": "detail_v1"}, {}, {"LoRA networks": "Ink, detail"}),
        ({"prompt": "<lora:Ink:1>"}, {}, {"LoRA networks": "Ink"}),
        ({"lora": "Ink"}, {}, {}),
        ({"denoising_strength": 0.5}, {}, {"Denoising strength": "0.5"}),
        ({"denoising_strength": 0.5}, {}, {"Denoising strength": "?"}),
        ({"width": 64, "height": 64}, {}, {}),
    ],
)
def test_no_difference(config: Config, info: dict[str, Any], parameters: dict[str, str]) -> None:
    """What is the same in another spelling, and what is not told."""
    assert found(config, info, parameters) == []


@pytest.mark.parametrize(
    ("config", "info", "parameters", "name"),
    [
        ({"steps": 4}, {"steps": 8}, {}, "steps"),
        ({"seed": 7}, {"all_seeds": [8]}, {}, "seed"),
        ({"clip_skip": 2}, {"clip_skip": 1}, {}, "clip_skip"),
        ({"sampler_name": "Euler"}, {"sampler_name": "UniPC"}, {}, "sampler_name"),
        ({"model": "real"}, {"sd_model_hash": "bbbbbbbbbb"}, {}, "model"),
        ({"model": "new"}, {}, {"Model": "real"}, "model"),
        ({"vae": "kl-f8.ckpt"}, {}, {"Model": "real"}, "vae"),
        ({"vae": "kl-f8.ckpt"}, {}, {"Model": "real", "VAE": "sdxl_vae"}, "vae"),
        ({"lora": "Ink"}, {}, {"Steps": "4"}, "lora"),
        ({"prompt": "<lora:Ink:1>"}, {}, {"LoRA networks": "detail"}, "lora"),
        ({"detailer_strength": 0.5}, {}, {"Detailer strength": "0.3"}, "detailer_strength"),
        ({"width": 128}, {}, {}, "width"),
    ],
)
def test_a_difference(config: Config, info: dict[str, Any], parameters: dict[str, str], name: str) -> None:
    """Of another value, one that was left out, and of the sides of the picture itself."""
    assert found(config, info, parameters) == [name]


def test_a_picture_keeps_the_size_of_the_one_it_was_made_of() -> None:
    """On the grid; an upscaled one has that many more pixels."""
    init = InitImage(b"", 70, 100)
    odd = differences({}, OFFER, Answer(image=b""), (64, 64), init)

    assert [(one.name, one.asked, one.used) for one in odd] == [("height", 96, 64)]
    assert upscaled({}, (140, 200), init) == []
    assert upscaled({"upscaling_factor": 1.5}, (104, 144), init) == []
    (same,) = upscaled({}, (70, 100), init)
    assert str(same) == "upscaling_factor: asked for '140x200', the server used '70x100'"
