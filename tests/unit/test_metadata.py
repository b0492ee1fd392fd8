"""What generators write into their pictures, read from files that a test makes as they do."""

import json
from typing import Final
from unittest.mock import Mock

import pytest

from pipeline_runner.metadata import texts as texts_module
from pipeline_runner.metadata.a1111 import read_a1111
from pipeline_runner.metadata.comfyui import read_comfyui
from pipeline_runner.metadata.exif import exif_texts, user_comment
from pipeline_runner.metadata.json_forms import (
    read_fooocus,
    read_invokeai,
    read_invokeai_old,
    read_novelai,
    read_swarmui,
)
from pipeline_runner.metadata.reading import GridError, made_by, read_texts
from pipeline_runner.metadata.stealth import _inflated, hidden_text
from pipeline_runner.metadata.texts import texts_of
from pipeline_runner.metadata.values import scalar, sized, value_of
from tests.support.generated_pictures import A1111, NODES, Sample, broken, png, samples, stealthy, text, ztxt

SAMPLES: Final = list(samples())
BROKEN: Final = list(broken())


@pytest.mark.parametrize("sample", SAMPLES, ids=[one.name for one in SAMPLES])
def test_the_settings_of_every_program_are_read(sample: Sample) -> None:
    """Whatever the container and the encoding, program and settings are found."""
    made = made_by(sample.data)

    assert made is not None
    assert made.pipeline == sample.pipeline
    assert {key: made.settings.get(key) for key in sample.settings} == sample.settings


@pytest.mark.fault(item="B71")
@pytest.mark.parametrize(("name", "data"), BROKEN, ids=[name for name, _ in BROKEN])
def test_what_cannot_be_read_is_no_error(name: str, data: bytes) -> None:
    """A photo, a page of HTML, a bomb: none of them was made by a program that says so."""
    assert made_by(data) is None, name


@pytest.mark.parametrize("sample", SAMPLES, ids=[one.name for one in SAMPLES])
def test_a_file_that_is_cut_off_anywhere_never_raises(sample: Sample) -> None:
    """Downloads break off; what is left is read or not, and that is all."""
    for end in range(0, len(sample.data), max(1, len(sample.data) // 25)):
        made_by(sample.data[:end])


def test_a_grid_of_the_web_ui_is_told_from_a_picture() -> None:
    """It shows many pictures, of which it has the settings of the first one."""
    grid = A1111.replace("Clip skip: 2", "Script: X/Y/Z plot, X Type: Steps, X Values: 10-20")

    with pytest.raises(GridError):
        made_by(png(text("parameters", grid)))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("fox\nSteps: 20, Sampler: Euler a, Seed: 1", {"prompt": "fox", "steps": 20, "sampler_name": "Euler a"}),
        # a prompt that has such a line of its own, and what an extension writes behind the line
        (
            "Steps: 1, Seed: 9, Size: 1x1\nfox\nSteps: 20, Seed: 1, Size: 8x9\nTemplate: {red|blue} fox",
            {"prompt": "Steps: 1, Seed: 9, Size: 1x1\nfox", "seed": 1, "width": 8, "height": 9},
        ),
        (
            'fox\r\nSteps: 20, Seed: 1, Note: "a, b: c", Hires upscale: 2, Mask: [1] x, ADetailer: [a, b]',
            {"note": "a, b: c", "hr_scale": 2, "adetailer": "[a", "mask": "[1] x"},
        ),
        (
            (
                "fox\nSteps: 20, Seed: 1, Created Date: 2024-05-01T12:34:56Z, Civitai resources: "
                '[{"type":"checkpoint","modelVersionId":1},{"type":"lora","weight":1}], Clip skip: 2'
            ),
            {"clip_skip": 2},
        ),
        ("Postprocess: no, Model: v1, Seed: 3, Size: 8x8", {"model": "v1", "seed": 3}),  # without steps
        ("fox\nNegative prompt: a\nb\nSteps: 20, Seed: 1, CFG scale: 7", {"negative_prompt": "a\nb"}),
        ("fox\nSteps: 20, Seed: 99999999999999999999999, CFG scale: 7", {"cfg_scale": 7}),
    ],
)
def test_the_text_of_the_web_ui_is_read_as_it_is_written(written: str, expected: dict[str, object]) -> None:
    """Quotes, lists, lines of extensions, and prompts that look like settings."""
    found = read_a1111(written)

    assert found is not None
    assert {key: found.get(key) for key in expected} == expected
    assert not {"version", "created_date", "civitai_resources", "lora_hashes", "model_hash"} & found.keys()


@pytest.mark.parametrize("written", ["", "fox", "fox\nSteps: 20", "a: 1, b: 2, c: 3", "Steps: 20, Seed: 1"])
def test_a_text_without_a_line_of_settings_is_none(written: str) -> None:
    """A comment of a photo may have a colon, too."""
    assert read_a1111(written) is None


def test_inputs_with_the_same_name_are_told_apart_by_their_nodes() -> None:
    """Two samplers have two numbers of steps; of their seeds the first one counts."""
    second = {**NODES["3"]["inputs"], "steps": 9, "noise_seed": 7}
    nodes = {**NODES, "12": {"class_type": "KSampler", "inputs": second}}

    found = read_comfyui(nodes)

    assert found is not None
    assert (found["3.steps"], found["12.steps"], found["seed"]) == (20, 9, 42)
    assert "steps" not in found
    assert found["workflow"] != (read_comfyui(NODES) or {})["workflow"]


def test_prompts_are_found_through_the_nodes_between() -> None:
    """ControlNet, guiders and nodes that hold a text alone stand between sampler and prompt."""
    nodes = {
        "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"guider": ["2", 0], "noise": ["9", 0]}},
        "2": {"class_type": "BasicGuider", "inputs": {"conditioning": ["3", 0], "model": ["8", 0]}},
        "3": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["4", 0]}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": ["5", 0], "clip": ["8", 1]}},
        "5": {"class_type": "PrimitiveString", "inputs": {"value": "a red fox"}},
        "6": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["4", 0], "negative": ["7", 0]}},
        "7": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["6", 1], "conditioning_2": ["7", 0]}},
        "10": {"class_type": "BasicGuider", "inputs": {"conditioning": ["99", 0]}},
    }

    found = read_comfyui(nodes)

    assert found is not None
    assert (found["prompt"], found["guidance"]) == ("a red fox", 3.5)
    assert "negative_prompt" not in found


@pytest.mark.fault(item="B71")
def test_nodes_that_go_round_in_many_circles_are_looked_at_once() -> None:
    """Each node feeds each: as many ways as there are would take years."""
    names = [str(number) for number in range(40)]
    links = {f"conditioning_{name}": [name, 0] for name in names}
    nodes = {name: {"class_type": "Combine", "inputs": {**links, "positive": ["0", 0]}} for name in names}

    found = read_comfyui(nodes)

    assert found is not None
    assert "prompt" not in found


@pytest.mark.parametrize("found", [None, [], {}, {"1": 2}, {"1": {"inputs": {}}}, {"1": {"class_type": "A"}}])
def test_nodes_that_are_none_have_no_settings(found: object) -> None:
    """Any program may write a chunk `prompt`."""
    assert read_comfyui(found) is None


@pytest.mark.parametrize("found", ["", "[]", "{}", '{"prompt": "a"}', '{"sui_image_params": []}', 7, None])
def test_json_without_settings_is_none(found: object) -> None:
    """It takes a prompt and something more."""
    for read in (read_fooocus, read_invokeai, read_invokeai_old, read_novelai, read_swarmui):
        assert read(found) is None


def test_old_and_odd_json_is_read() -> None:
    """Names that programs have had, and parts of them that are missing."""
    found = read_invokeai({"positive_prompt": "fox", "steps": 1, "model": {"model_name": "m"}, "loras": [{"lora": {}}]})
    assert found == {"prompt": "fox", "steps": 1, "model": "m"}
    found = read_invokeai({"positive_prompt": "fox", "steps": 1, "model": {"key": 1}, "seed": 2})
    assert found == {"prompt": "fox", "steps": 1, "seed": 2}
    found = read_invokeai_old({"image": {"prompt": "fox [bad] red", "steps": 1}})
    assert found == {"prompt": "fox red", "negative_prompt": "bad", "steps": 1}
    found = read_novelai({"steps": 1, "seed": 2, "v4_prompt": {"caption": {"base_caption": "fox"}}})
    assert found == {"prompt": "fox", "steps": 1, "seed": 2}
    found = read_swarmui({"sui_image_params": {"prompt": "fox", "loras": "a,b", "loraweights": "x", "steps": 1}})
    assert found == {"prompt": "fox", "steps": 1, "lora b": 1}
    found = read_fooocus({"prompt": "fox", "steps": 1, "lora_combined_1": "odd", "seed": 1})
    assert found == {"prompt": "fox", "steps": 1, "seed": 1}


def test_json_in_one_text_is_told_by_what_it_has() -> None:
    """NovelAI's WebP and some tools put everything into one text."""
    made = read_texts({"UserComment": json.dumps({"Comment": json.dumps({"prompt": "fox", "steps": 1, "uc": "b"})})})
    assert made is not None
    assert made.pipeline == "novelai"
    made = read_texts({"comment": json.dumps({"prompt": NODES})})
    assert made is not None
    assert made.pipeline == "comfyui"
    for nothing in ('{"uc": 1}', '{"base_model": 1}', '{"a": 1}', "prompt:{}", "prompt: a fox"):
        assert read_texts({"comment": nothing}) is None


def test_a_hidden_text_that_is_cut_off_is_none() -> None:
    """The number of bits may say anything, and the compressed text may end too early."""
    whole = stealthy(A1111)
    assert made_by(whole) is not None
    assert made_by(stealthy("nothing")) is None
    assert made_by(png(image=None)) is None
    assert hidden_text(png()) == ""  # without alpha
    assert hidden_text(whole[: len(whole) // 2]) == ""
    assert _inflated(b"no gzip") == b""
    plain = stealthy(A1111, packed=False)
    assert hidden_text(plain) == A1111


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", ""),
        (b"UNICODE\0\0f\0o\0x", "fox"),
        (b"UNICODE\0f\0o\0x\0", "fox"),
        (b"UNICODE\0\xff\xfef\0o\0", "fo"),
        (b"UNICODE\0fox", "fox"),
        (b"UNICODE\0\x72\xd0", "\u72d0"),
        (b"ascii\0\0\0fox\0\0", "fox"),
        (b"\0\0\0\0\0\0\0\0\0f\0o", "fo"),
        (b"\0\0\0\0\0\0\0\0fox", "fox"),
        (b"f\xf6x", "f\xf6x"),
    ],
)
def test_a_user_comment_is_decoded_as_it_was_written(value: bytes, expected: str) -> None:
    """With and without a code, in either byte order."""
    assert user_comment(value) == expected


def test_exif_that_is_no_exif_has_no_texts() -> None:
    """Another beginning, a type without a size, a directory behind the end."""
    assert exif_texts(b"XX*\0\x08\0\0\0") == {}
    assert exif_texts(b"II*") == {}
    assert exif_texts(b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x02\0\0\0\x08\0\0\0") == {}  # two places of one directory
    assert exif_texts(b"II*\0\x08\0\0\0\x01\0\x0e\x01\x63\0\x01\0\0\0\0\0\0\0") == {}
    assert exif_texts(b"II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\x04\0\0\0abc\0") == {"ImageDescription": "abc"}
    assert exif_texts(b"II*\0\x08\0\0\0\x02\0\x0e\x01\x02\0\x04\0\0\0abc\0\x0e\x01\x02\0\x04\0\0\0xyz\0") == {
        "ImageDescription": "abc"
    }


def test_values_are_what_a_message_can_hold() -> None:
    """No infinity, no 65 bits, no half of a character."""
    values: list[object] = [True, 1, 2**64, 1.5, float("inf"), None, [], "a\0\ud800 "]
    assert [scalar(one) for one in values] == [
        True, 1, None, 1.5, None, None, None, "a",
    ]  # fmt: skip
    assert [value_of(one) for one in ("7", "7.0", "7.5 ", "1e5", "12345678901234567890123", "v1.5", "-3")] == [
        7, 7.0, 7.5, "1e5", "12345678901234567890123", "v1.5", -3,
    ]  # fmt: skip
    assert value_of("1.5e999") == "1.5e999"
    assert value_of("99999999999999999999") == "99999999999999999999"
    assert value_of("1.5e999") == "1.5e999"
    assert sized({}, "64 x 48") == {"width": 64, "height": 48}
    assert sized({}, "large") == sized({}, None) == {}


def test_of_two_texts_with_one_name_the_first_counts_and_there_is_a_most() -> None:
    """A file of ten thousand chunks costs no more than its bytes."""
    data = png(text("parameters", A1111), text("parameters", "other"), *(text(f"k{n}", "v") for n in range(100)))

    texts = texts_of(data)

    assert texts["parameters"] == A1111
    assert len(texts) == 63


def test_chunks_that_do_not_count_are_not_unpacked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 64 MiB has room for ten thousand that each become 4 MiB, all with one name."""
    unpack = Mock(return_value=b"v")
    monkeypatch.setattr(texts_module, "_inflated", unpack)

    assert texts_of(png(*(ztxt("k", b"v") for _ in range(100)))) == {"k": "v"}
    assert unpack.call_count == 64
