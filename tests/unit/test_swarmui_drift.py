"""The drift guard: what is a difference between a job and what SwarmUI says of its picture, and what is none."""

from typing import Any

import pytest

from bus.contracts.fields import Config
from pipeline_runner.pipelines.swarmui.drift import differences, effective_of
from pipeline_runner.pipelines.swarmui.news import Told
from tests.support.swarmui_jobs import offer_of

SIZE = (64, 64)
OFFER = offer_of()


def found(config: Config, told: dict[str, Any] | None, *unused: str, size: tuple[int, int] = SIZE) -> list[str]:
    """Return the names in which a job differs from what is told."""
    say = Told(params=told, unused=frozenset(unused))
    return [one.name for one in differences(config, OFFER, say, size)]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"steps": 4}, {"steps": 4}),
        ({"steps": 4}, {"steps": "4"}),
        ({"cfg_scale": 5}, {"cfgscale": "5.0"}),
        ({"cfg_scale": 4.1}, {"cfgscale": 4.099999904632568}),
        ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
        ({"model": "XL base 1.0"}, {"model": "sd/XL base 1.0.safetensors"}),
        ({"model": "real"}, {"model": "Real"}),
        ({"sampler_name": "euler"}, {"sampler": "euler"}),
        ({"removebackground": True}, {"removebackground": "True"}),
        ({"removebackground": False}, {}),
        ({"vae": "None"}, {}),
        ({"refinerupscale": 1}, {}),
        ({"refinerupscale": 1.0}, {}),
        ({"cfg_scale": 7.0}, {}),
        ({"prompt": "a"}, {"prompt": "b"}),
        ({"negative_prompt": "a"}, {}),
        ({"lora": "Ink"}, {"loras": ["style/Ink.safetensors"], "loraweights": ["1"]}),
        ({"lora": "Ink"}, {"loras": "detail,style/Ink", "loraweights": "0.5,1.0"}),
        ({"lora": "Ink", "lora_strength": 0.5}, {"loras": ["style/Ink"]}),
        ({"lora": ""}, {}),
        ({"lora": "Ink", "steps": 4}, None),
        ({"timeout_seconds": 5}, {}),
        ({"width": 64, "height": 64}, {"width": 64, "height": 64}),
        ({"width": 64, "refinerupscale": 2.0}, {"width": 64, "refinerupscale": 2.0}),
    ],
)
def test_no_difference(config: Config, told: dict[str, Any] | None) -> None:
    """In another spelling it is the same; what means nothing is left out; and what is not told is not compared."""
    size = (128, 128) if "refinerupscale" in config else SIZE
    assert found(config, told, size=size) == []


@pytest.mark.parametrize(
    ("config", "told", "name"),
    [
        ({"steps": 4}, {"steps": 8}, "steps"),
        ({"steps": 4}, {"steps": "many"}, "steps"),
        ({"steps": 4}, {}, "steps"),
        ({"seed": 2**62}, {"seed": 2**62 + 1}, "seed"),
        ({"model": "real"}, {"model": "sd/base"}, "model"),
        ({"sampler_name": "euler"}, {"sampler": "euler_ancestral"}, "sampler_name"),
        ({"removebackground": True}, {"removebackground": False}, "removebackground"),
        ({"removebackground": True}, {}, "removebackground"),
        ({"lora": "Ink"}, {"loras": ["detail"]}, "lora"),
        ({"lora": "Ink"}, {}, "lora"),
        ({"lora": "gone"}, {"loras": 3}, "lora"),
        ({"lora": "Ink", "lora_strength": 0.5}, {"loras": ["style/Ink"], "loraweights": ["1"]}, "lora_strength"),
        ({"width": 72}, {"width": 72}, "width"),
        ({"height": 128}, {"height": 128}, "height"),
    ],
)
def test_a_difference(config: Config, told: dict[str, Any], name: str) -> None:
    """Of another value, one that was left out, and of the sides of the picture itself."""
    assert found(config, told) == [name]


def test_a_parameter_that_no_part_of_the_work_asked_for() -> None:
    """Every picture would be the same, whatever its value."""
    assert found({"steps": 4, "vaetilesize": 256}, {"steps": 4}, "vaetilesize") == ["vaetilesize"]


def test_a_lora_that_is_missing_spoils_an_experiment_on_its_strength() -> None:
    """A wrong strength does not spoil one on the LoRA."""
    (missing,) = differences({"lora": "Ink"}, OFFER, Told(params={"loras": []}), SIZE)
    weak = Told(params={"loras": ["style/Ink"], "loraweights": ["2"]})
    (strength,) = differences({"lora": "Ink"}, OFFER, weak, SIZE)

    assert missing.spoils == ("lora", "lora_strength", "loras.Ink")
    assert strength.spoils == ("lora_strength", "loras.Ink")


def test_what_was_used_under_our_names() -> None:
    """Lists as texts; what no message can hold is left out."""
    told = Told(params={"cfgscale": 7.0, "loras": ["a", "b"], "odd": {"x": 1}, "donotsave": True, "swarm_version": "1"})

    assert effective_of(told) == {"cfg_scale": 7.0, "loras": "a,b", "swarm_version": "1"}
    assert effective_of(Told()) == {}
