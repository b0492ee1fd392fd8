"""LoRAs in the tables of a node, at a fake ComfyUI server: each strength and each switch is a variable."""

import pytest

from bus.contracts.fields import Scalar
from bus.protocol.validation import InvalidInputError
from tests.support.comfyui_jobs import ComfyuiJobs, inputs, with_loras


def test_loras_in_tables_are_varied_each_by_its_own_strength_and_switch(comfy: ComfyuiJobs) -> None:
    """The rest of the table stays, each combination makes a picture of its own, and what is off changes nothing."""
    parts: dict[str, Scalar | list[Scalar]] = {
        "detail": "18.lora_1.strength",
        "film": "18.lora_2.strength",
        "film_on": "18.lora_2.on",
    }
    made = []
    for number, (detail, film, film_on) in enumerate(
        ((1, 0.5, False), (0.5, 0.5, False), (1, 0.5, True), (0, 2, False))
    ):
        config = comfy.config(with_loras(), inputs={**inputs(), **parts}, detail=detail, film=film, film_on=film_on)
        comfy.check(config)
        result = comfy.run(config, name=f"job-{number}")
        assert result.effective == {"seed": 7, "detail": detail, "film": film, "film_on": film_on}
        assert result.warnings == ()
        made.append(result.images[0].sha256)

    sent = [prompt["prompt"]["18"]["inputs"] for prompt in comfy.fake.prompts]
    assert sent[2]["lora_2"] == {"on": True, "lora": "film.safetensors", "strength": 0.5}
    assert sent[0] == with_loras()["18"]["inputs"] | {"lora_1": {**sent[0]["lora_1"], "strength": 1}}
    assert len(set(made)) == 4


def test_a_lora_in_a_table_that_the_server_lacks_is_refused(comfy: ComfyuiJobs) -> None:
    """Its node would go on without it: no difference would show in the pictures or be told."""
    config = comfy.config(with_loras(), inputs={**inputs(), "which": "18.lora_1.lora"}, which="ad_detail.safetensors")

    with pytest.raises(InvalidInputError, match=r"^config\.which: 'ad_detail.* not offered; did you mean 'add_detail"):
        comfy.check(config)
