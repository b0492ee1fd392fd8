"""What a job takes at a ComfyUI server that executes only what has changed."""

from typing import Any, Final

import pytest

from pipeline_runner.pipelines.comfyui import times
from pipeline_runner.pipelines.comfyui.graph import Graph, Target
from pipeline_runner.pipelines.comfyui.history import Ended
from pipeline_runner.pipelines.comfyui.times import (
    NodeTimes,
    Stopwatch,
    dependents_of,
    ends_of,
    fitted,
    signatures_of,
    whole_time,
)

MODEL, SAMPLER, BLUR, SAVE, LONELY = "4", "3", "20", "9", "30"
TARGETS: Final = (Target(SAMPLER, "seed"), Target(BLUR, "radius"))
TOOK: Final = {MODEL: 10.0, SAMPLER: 3.0, BLUR: 0.5, SAVE: 0.25}


def graph_of(seed: int = 1, radius: int = 1) -> Graph:
    """Return a sampler and a blur, and a node that leads nowhere."""
    return {
        SAVE: {"class_type": "SaveImage", "inputs": {"images": [BLUR, 0]}},
        BLUR: {"class_type": "ImageBlur", "inputs": {"image": [SAMPLER, 0], "radius": radius}},
        SAMPLER: {"class_type": "KSampler", "inputs": {"model": [MODEL, 0], "seed": seed}},
        MODEL: {"class_type": "Loader", "inputs": {"name": "x"}},
        LONELY: {"class_type": "Note", "inputs": {"text": "x", "gone": ["99", 0]}},
    }


def ended(seconds: float | None, *cached: str) -> Ended:
    """Return the end of a prompt."""
    return Ended(state="success", error=None, outputs=(), graph={}, cached=frozenset(cached), seconds=seconds)


def measured(*told: tuple[str, str | None, float]) -> Any:
    """Let a stopwatch hear of what happened when."""
    watch = Stopwatch()
    for what, node, now in told:
        if what == "start":
            watch.start(now)
        elif what == "end":
            watch.end(now)
        else:
            watch.enter(str(node), now)
    return watch.seconds


def test_each_node_takes_from_its_message_to_the_next() -> None:
    """A node of which several messages come, as it makes others, takes all of it."""
    told = [("start", None, 1.0), ("enter", "4", 1.5), ("enter", "3", 2.0), ("enter", "4", 5.0), ("end", None, 5.5)]

    assert measured(*told) == {"4": 1.0, "3": 3.0}


@pytest.mark.parametrize(
    "told",
    [
        [("enter", "4", 1.5), ("end", None, 5.5)],
        [("start", None, 1.0), ("enter", "4", 1.5)],
        [("end", None, 5.5)],
        [],
    ],
)
def test_what_was_not_seen_as_a_whole_is_not_measured(told: list[tuple[str, str | None, float]]) -> None:
    """As of a prompt that runs when the websocket is connected."""
    assert measured(*told) is None


def test_a_prompt_that_begins_again_is_measured_anew() -> None:
    """The second beginning counts."""
    told = [("start", None, 0.0), ("enter", "4", 0.0), ("start", None, 5.0), ("enter", "3", 5.0), ("end", None, 6.0)]

    assert measured(*told) == {"3": 1.0}


def test_the_first_and_the_second_job_take_the_same() -> None:
    """The first one loads the model, and the second one has the sampler from the cache."""
    known = NodeTimes()
    first, second = graph_of(radius=1), graph_of(radius=2)

    assert whole_time(ended(13.75), first, TARGETS, TOOK, known) == (3.75, "")
    known.learn(signatures_of(first), TOOK)
    assert whole_time(ended(0.75, MODEL, SAMPLER), second, TARGETS, {BLUR: 0.5, SAVE: 0.25}, known) == (3.75, "")
    assert whole_time(ended(0.0, MODEL, SAMPLER, BLUR, SAVE), first, TARGETS, {}, known) == (3.75, "")


def test_what_somebody_else_had_executed_has_no_time() -> None:
    """The job says so, and by which nodes."""
    seconds, warning = whole_time(ended(0.75, MODEL, SAMPLER), graph_of(), TARGETS, None, NodeTimes())

    assert seconds is None
    assert warning.startswith("node 3 (KSampler) came from the server's cache, and what it takes was not measured, so")


@pytest.mark.parametrize(
    ("seen", "total", "expected"),
    [
        ({"a": 1.0, "b": 3.0}, 2.5, {"a": 1.0, "b": 1.5}),
        ({"a": 1.0, "b": 3.0}, 0.5, {"a": 1.0, "b": 0.0}),
        ({"a": 1.0, "b": 3.0}, 4.5, {"a": 1.0, "b": 3.0}),
        ({"a": 1.0}, None, {"a": 1.0}),
        ({}, 1.0, {}),
        (None, 1.0, None),
    ],
)
def test_a_last_message_that_comes_late_makes_no_node_longer(seen: Any, total: float | None, expected: Any) -> None:
    """A server that tidies up sends it seconds after it was written."""
    assert fitted(seen, total) == expected


def test_without_messages_the_time_is_the_servers() -> None:
    """As long as nothing on which a variable has an influence was skipped."""
    assert whole_time(ended(3.75, MODEL), graph_of(), TARGETS, None, NodeTimes()) == (3.75, "")
    assert whole_time(ended(None, MODEL), graph_of(), TARGETS, TOOK, NodeTimes()) == (None, "")


def test_without_variables_all_nodes_count() -> None:
    """A workflow may be run as it is."""
    assert whole_time(ended(13.75), graph_of(), (), TOOK, NodeTimes()) == (13.75, "")


def test_a_time_is_that_of_a_node_with_all_that_is_before_it() -> None:
    """Another seed changes the sampler and what follows, and no node before it."""
    one, other = signatures_of(graph_of(seed=1)), signatures_of(graph_of(seed=2))

    assert {node for node in one if one[node] != other[node]} == {SAMPLER, BLUR, SAVE}
    assert len(set(one.values())) == len(one)


def test_the_influence_of_a_variable_goes_along_the_links() -> None:
    """Never against them."""
    assert dependents_of(graph_of(), TARGETS) == {SAMPLER, BLUR, SAVE}
    assert dependents_of(graph_of(), [Target(BLUR, "radius")]) == {BLUR, SAVE}
    assert ends_of(graph_of()) == [SAVE, LONELY]


def test_nodes_in_a_circle_have_no_order() -> None:
    """The server refuses them; nothing is measured."""
    graph = {**graph_of(), MODEL: {"class_type": "Loader", "inputs": {"name": [SAVE, 0]}}}

    assert signatures_of(graph) == {}
    assert whole_time(ended(1.0), graph, TARGETS, {}, NodeTimes()) == (1.0, "")


def test_the_oldest_times_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that runs for years does not fill its memory; what is learned again is new."""
    monkeypatch.setattr(times, "MOST_NODES", 2)
    known = NodeTimes()
    for node, took in (("a", 1.0), ("b", 2.0), ("a", 3.0), ("c", 4.0)):
        known.learn({node: node}, {node: took, "made by another": 1.0})

    assert known.of({node: node for node in "abc"}, "abcd") == {"a": 3.0, "b": None, "c": 4.0, "d": None}
