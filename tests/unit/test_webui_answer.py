"""The picture in an answer of the web UI, and what it says of itself."""

import base64
import json
import math
from typing import Any

import msgspec
import pytest

from pipeline_runner.pipelines.http_client import Reply, ServerFault
from pipeline_runner.pipelines.webui.answer import Answer, Further, count_of, effective_of, read_answer

TEXT = 'x\nSteps: 4, Schedule type: Karras, Distilled CFG Scale: 3.5, Lora hashes: "a: 11"'
INFO: dict[str, Any] = {
    "prompt": "x",
    "all_prompts": ["x y"],
    "negative_prompt": "",
    "all_seeds": [9],
    "seed": 8,
    "steps": 4,
    "sampler_name": "Euler",
    "sd_model_name": "sd15",
    "sd_model_hash": None,
    "infotexts": [TEXT],
    "index_of_first_image": 0,
    "job_timestamp": "20260101000001",
}


def read(body: Any, stage: str = "txt2img") -> Answer:
    """Read an answer as it comes."""
    return read_answer(stage, Reply(200, body if isinstance(body, bytes) else json.dumps(body).encode()))


def encoded(text: str) -> str:
    """Return a picture as it is sent."""
    return base64.b64encode(text.encode()).decode()


def test_the_first_picture_is_taken_and_no_grid_or_map() -> None:
    """A grid stands before it, and what extensions add behind it."""
    info = {**INFO, "index_of_first_image": 1, "infotexts": ["grid", TEXT]}
    answer = read({"images": [encoded("grid"), encoded("picture"), encoded("map")], "info": json.dumps(info)})

    assert (answer.image, answer.infotext, answer.seed) == (b"picture", TEXT, 9)
    assert (answer.job_timestamp, answer.parameters["Schedule type"]) == ("20260101000001", "Karras")


def test_each_picture_of_a_batch_has_its_seed_and_its_text() -> None:
    """Behind the grid, and before what extensions add; where the server tells less, nothing is made up."""
    info = {**INFO, "index_of_first_image": 1, "infotexts": ["grid", TEXT, "second", 3], "all_seeds": [9, 10]}
    names = ("grid", "picture", "two", "three", "map")
    reply = Reply(200, json.dumps({"images": [encoded(name) for name in names], "info": json.dumps(info)}).encode())

    answer = read_answer("txt2img", reply, 3)
    assert (answer.image, answer.seed) == (b"picture", 9)
    assert answer.further == (Further(b"two", "second", 10), Further(b"three", "", None))
    assert len(read_answer("txt2img", reply, 9).further) == 3
    assert read_answer("txt2img", reply).further == ()
    assert (count_of({}), count_of({"n_iter": 3}), count_of({"n_iter": 3, "batch_size": 2})) == (1, 3, 6)


def test_a_data_url_is_read_too() -> None:
    """Some forks answer with one."""
    assert read({"image": f"data:image/png;base64,{encoded('x')}"}, "upscale").image == b"x"


def test_effective_says_what_was_used() -> None:
    """What is not reported is left out."""
    assert effective_of(read({"images": [encoded("x")], "info": json.dumps(INFO)})) == {
        "prompt": "x y",
        "steps": 4,
        "distilled_cfg_scale": 3.5,
        "sampler_name": "Euler",
        "scheduler": "Karras",
        "seed": 9,
        "model": "sd15",
        "loras": "a: 11",
    }


@pytest.mark.parametrize("info", [None, "", "no json", "[1]", 5, {"seed": "x"}])
def test_a_picture_without_usable_info_is_a_picture(info: Any) -> None:
    """Nothing is known of how it was made."""
    answer = read({"images": [encoded("x")], "info": info})

    assert (answer.image, answer.infotext, answer.seed) == (b"x", "", None)


@pytest.mark.parametrize(
    "body",
    [
        {"images": []},
        {"images": None},
        {},
        [],
        b"<html>",
        b'{"images": ["AA',
        {"images": ["%%%"]},
        {"images": [""]},
        {"images": [7]},
        {"images": [encoded("x")], "info": '{"index_of_first_image": 3}'},
        {"images": [encoded("x")], "info": '{"index_of_first_image": "a"}'},
    ],
)
def test_an_answer_without_a_picture_is_a_fault_of_the_server(body: Any) -> None:
    """It may well succeed another time."""
    with pytest.raises(ServerFault) as fault:
        read(body)
    assert fault.value.kind == "server_error"


@pytest.mark.parametrize("value", [2**64, 10**400, math.inf, math.nan])
def test_a_number_that_no_message_can_hold_is_left_out(value: float) -> None:
    """The rest of what was used is told."""
    info = {**INFO, "all_seeds": [value], "steps": value, "cfg_scale": value}
    answer = read({"images": [encoded("picture")], "info": json.dumps(info)})

    assert answer.seed is None
    assert not {"seed", "steps", "cfg_scale"} & set(effective_of(answer))
    assert effective_of(answer)["sampler_name"] == "Euler"
    msgspec.msgpack.encode(effective_of(answer))


@pytest.mark.parametrize(("text", "number"), [("3.5", 3.5), ("3,5", None), ("many", None), ("inf", None)])
def test_a_setting_that_is_no_number_is_left_out(text: str, number: float | None) -> None:
    """A fork may write anything there."""
    info = {**INFO, "infotexts": [f'x\nSteps: 4, Distilled CFG Scale: "{text}", Schedule type: Karras']}
    found = effective_of(read({"images": [encoded("x")], "info": json.dumps(info)}))

    assert found.get("distilled_cfg_scale") == number
    assert found["scheduler"] == "Karras"
