"""Our fakes answer as real servers were recorded, and the contract tells a server that does not."""

from collections.abc import Iterator

import pytest

from tests.contract import comfyui_cases, webui_cases
from tests.contract.__main__ import fake_comfyui, fake_webui
from tests.contract.comfyui_server import ComfyuiServer
from tests.contract.frame import Case, Contract, NotPossibleError, ask, table
from tests.contract.webui_cases import WebuiServer


@pytest.fixture
def webui(no_leaks: None) -> Iterator[WebuiServer]:  # noqa: ARG001 - it looks after us
    """Yield a fake web UI."""
    with fake_webui() as url:
        yield WebuiServer(url)


@pytest.mark.parametrize("case", webui_cases.CONTRACT.cases, ids=lambda case: case.title.replace(" ", "-"))
def test_the_fake_web_ui_answers_as_recorded(case: Case[WebuiServer], webui: WebuiServer) -> None:
    """In every case, and none is left out."""
    assert case.ask(webui) == case.recorded


@pytest.fixture
def comfyui(no_leaks: None) -> Iterator[ComfyuiServer]:  # noqa: ARG001 - it looks after us
    """Yield a fake ComfyUI."""
    with fake_comfyui() as url:
        yield ComfyuiServer(url)


@pytest.mark.parametrize("case", comfyui_cases.CONTRACT.cases, ids=lambda case: case.title.replace(" ", "-"))
def test_the_fake_comfyui_answers_as_recorded(case: Case[ComfyuiServer], comfyui: ComfyuiServer) -> None:
    """In every case, and none is left out."""
    assert case.ask(comfyui) == case.recorded


def test_a_difference_stands_in_the_table() -> None:
    """With what was recorded and what was seen, and so does what could not be asked, or broke."""
    contract = Contract[str]()

    @contract.case(1)
    def one_is_one(_: str) -> object:
        return 1

    @contract.case("a|b")
    def a_difference(server: str) -> object:
        return server

    @contract.case(1)
    def no_model(_: str) -> object:
        raise NotPossibleError("it has one model")

    @contract.case(1)
    def a_crash(_: str) -> object:
        raise KeyError("x")

    outcomes = [ask(case, "c\nd") for case in contract.cases]

    assert table("fake", outcomes).splitlines() == [
        "fake: 4 cases, 1 as recorded, 2 different, 1 not possible",
        "",
        "| case | recorded | this server |",
        "|---|---|---|",
        "| a difference | a\\|b | c d |",
        "| no model | 1 | not possible: it has one model |",
        "| a crash | 1 | KeyError: 'x' |",
    ]
