"""What servers tell of their cards: read where it is there, and nothing made of what is odd."""

from typing import Any

import pytest

from bus.contracts.servers import DeviceView
from pipeline_runner.pipelines.server_memory import comfyui_memory, comfyui_version, cuda_memory
from tests.servers.comfyui_http import SYSTEM_STATS
from tests.servers.webui_site import MEMORY


def test_the_card_of_a_web_ui() -> None:
    """The memory of all programs, not that of its own tensors."""
    assert cuda_memory(MEMORY) == (DeviceView(name="", total=8 << 30, free=5 << 30),)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"cuda": {"error": "unavailable"}},
        {"cuda": {"system": {"free": "much", "total": 5}}},
        {"cuda": {"system": {"free": True, "total": 5}}},
        {"cuda": {"system": {"free": -1, "total": 5}}},
        {"cuda": {"system": {"free": float("nan"), "total": 5}}},
        {"cuda": {"system": {"free": 1, "total": float("inf")}}},
        {"cuda": {"system": {"free": 0, "total": 0}}},
    ],
)
def test_without_a_card_there_is_none(told: Any) -> None:
    """Nor where the answer has another form."""
    assert cuda_memory(told) == ()
    assert comfyui_memory(told) == ()
    assert comfyui_version(told) == ""


def test_the_cards_of_comfyui() -> None:
    """One that is no card is left out; more free than there is cannot be."""
    odd = {"devices": [5, {"type": "cpu", "vram_total": 9, "vram_free": 9}, {"vram_total": 9, "vram_free": 10.5}]}
    (card,) = comfyui_memory(SYSTEM_STATS)
    assert (card.name, card.total, card.free) == (
        "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync",
        25296044032,
        20126367744,
    )
    assert comfyui_memory(odd) == (DeviceView(name="", total=9, free=9),)
    assert comfyui_version(SYSTEM_STATS) == "0.3.40"
