"""What others see by a link: all of the experiment, and nothing of machines or of other people."""

import time
from typing import Any

import pytest

from variantbus.dashboard.others import (
    FAILED,
    event_for_others,
    snapshot_for_others,
    status_for_others,
    text_for_others,
    value_for_others,
)

SECRETS = ("/home", "jane", "10.0.0.5", "tcp:", "sh -c", "box", "my note")
CONTEXT = {"experiment_id": "exp", "variant_index": 0, "variant_value": "/home/jane/loras/a.safetensors"}
IMAGE = {"sha256": "a" * 64, "path": "2026/jane/x.png", "name": "/home/jane/x.png", "width": 8, "height": 8}
DEFINITION = {
    "name": "CFG",
    "pipeline": "command",
    "origin": "/home/jane/cfg.toml",
    "score": {"command": ["sh -c", "/home/jane/score"]},
    "variables": [{"name": "lora", "values": ["/home/jane/loras/a.safetensors", "b"]}],
    "config": {
        "prompt": "a cat and/or a dog, 1/2",
        "steps": 20,
        "command": ["sh -c", "x"],
        "init_image": "/home/jane/my cat.png",
    },
    "blocks": [{"name": "one", "config": {"workflow": "/home/jane/w.json", "cfg": 1.5}}],
}  # fmt: skip
STATUS = {
    "type": "experiment.status",
    "experiment_id": "exp",
    "definition": DEFINITION,
    "damage": ["jane"],
    "revision": 3,
}
VARIANT = {
    "type": "variant.status",
    "variant_index": 0,
    "variant_value": "/home/jane/loras/a.safetensors",
    "error": "tcp://10.0.0.5:5561 is away",
    "warning": "box is slow",
    "warned": 1,
    "images": [IMAGE],
    "rating": {"mean": 4.0, "count": 2},
}
COMPLETED = {
    "type": "job.completed",
    "job_id": "exp/0/0",
    "learning_context": CONTEXT,
    "config": {"command": ["sh -c"]},
    "started_at": 1.0,
    "finished_at": 2.5,
    "result": {
        "success": False,
        "cancelled": False,
        "images": [IMAGE],
        "metrics": {"match": 0.5},
        "seconds": 1.5,
        "error": {"kind": "command", "message": "no such file: /home/jane/x"},
        "warnings": ["box is slow"],
        "reused_from": "jane-exp/0/0",
        "effective": {"host": "10.0.0.5"},
    },
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat and/or a dog 1/2, (masterpiece:1.2)", "a cat and/or a dog 1/2, (masterpiece:1.2)"),
        ("made of /home/jane/pictures/cat.png now", "made of cat.png now"),
        ("image=~/cat.png", "image=cat.png"),
        (r"C:\Users\jane\cat.png", "cat.png"),
        (r"see \\box\share\cat.png", "see cat.png"),
        ("see /home/jane/", "see jane"),
        ("http://box:7860/sdapi is away", "(address) is away"),
        ("at 10.0.0.5:5561 and localhost:1", "at (address) and (address)"),
        ("from 2http://box/a, LOCALHOST", "from (address) (address)"),
        ("", ""),
    ],
)
def test_texts_have_no_paths_and_no_addresses(text: str, shown: str) -> None:
    """A slash inside a word is none of a path."""
    assert text_for_others(text) == shown


@pytest.mark.parametrize("part", ["a.", "a-", "1.1.", "/a ", "a://b ", "C:\\ ", "~", "localhost:"])
def test_long_texts_take_no_time(part: str) -> None:
    """They are looked at on the loop of all pages: with each beginning tried anew this took minutes."""
    began = time.process_time()
    text_for_others(part * (200_000 // len(part)))
    assert time.process_time() - began < 5


def test_values_keep_their_form() -> None:
    """A text that is a path as a whole may have spaces in it; a prompt is none."""
    value = {"a": [1, True, None, 2.5, ("/x/y z/c d.png",)], "negative_prompt": "/imagine a cat/dog", "note": "mine"}
    assert value_for_others(value) == {"a": [1, True, None, 2.5, ["c d.png"]], "negative_prompt": "imagine a cat/dog"}


def test_an_experiment_is_shown_with_its_settings() -> None:
    """But not what runs on which machine."""
    shown = status_for_others(STATUS)
    assert shown["definition"] == {
        "name": "CFG",
        "pipeline": "command",
        "variables": [{"name": "lora", "values": ["a.safetensors", "b"]}],
        "config": {"prompt": "a cat and/or a dog, 1/2", "steps": 20, "init_image": "my cat.png"},
        "blocks": [{"name": "one", "config": {"cfg": 1.5}}],
    }
    assert "damage" not in shown
    assert shown["revision"] == 3


def test_a_snapshot_tells_nothing_of_machines_or_people() -> None:
    """Ratings have no notes, failures no words of programs."""
    cell = {"variant_index": 0, "repeat_index": 0, "state": "failed", "job_id": "exp/0/0"}
    snapshot = {
        "experiment": {**STATUS, "variants": [VARIANT, {"variant_index": 1, "error": None}], "recommendation": None},
        "cells": [{**cell, "error": "10.0.0.5 box", "warnings": ["box"]}, {**cell, "images": [IMAGE]}],
        "ratings": [{"sha256": "a" * 64, "stars": 4, "note": "my note"}],
        "comparisons": [{"left": "a", "right": "b"}],
    }
    shown = snapshot_for_others(snapshot)
    first, second = shown["experiment"]["variants"]
    assert (first["error"], first["variant_value"], first["rating"]) == (
        FAILED,
        "a.safetensors",
        {"mean": 4.0, "count": 2},
    )
    assert (second["error"], second["images"]) == (None, [])
    assert shown["cells"][1]["images"] == [{"sha256": "a" * 64, "name": "x.png", "width": 8, "height": 8}]
    assert shown["ratings"] == [{"sha256": "a" * 64, "stars": 4}]
    assert shown["comparisons"] == []
    assert not [secret for secret in SECRETS if secret in str(shown)]


@pytest.mark.parametrize("body", [STATUS, VARIANT, COMPLETED, {**COMPLETED, "type": "job.started"}])
def test_events_tell_nothing_of_machines(body: dict[str, Any]) -> None:
    """Whatever a later version adds to a job's event stays here, too."""
    shown = event_for_others({**body, "experiment_id": "exp"})
    assert shown is not None
    assert shown["type"] == body["type"]
    assert not [secret for secret in SECRETS if secret in str(shown)]


@pytest.mark.parametrize(
    "body",
    [
        None,
        ["experiment.status"],
        {"type": "experiment.status"},
        {"type": "experiment.status", "definition": None},
        {"type": "experiment.status", "definition": {}, "variants": [None]},
        {"type": "experiment.deleted"},
        {"type": "job.completed", "result": "well"},
        {"type": "job.completed", "result": {"error": "bad"}},
    ],
)
def test_an_event_of_another_form_is_left_out(body: Any) -> None:
    """It would end the loop that feeds all pages, and with it the dashboard."""
    assert event_for_others(body) is None


def test_the_end_of_a_job_has_its_pictures() -> None:
    """And that it was made before, but not by which job of what."""
    shown = event_for_others(COMPLETED)
    assert shown is not None
    assert shown["result"] == {
        "success": False,
        "cancelled": False,
        "images": [{"sha256": "a" * 64, "name": "x.png", "width": 8, "height": 8}],
        "metrics": {"match": 0.5},
        "seconds": 1.5,
        "error": {"kind": "command", "message": FAILED},
        "warnings": [],
        "reused_from": True,
    }
    assert (shown["started_at"], shown["finished_at"]) == (1.0, 2.5)
    well = {**COMPLETED, "result": {"success": True, "cancelled": False, "images": None, "metrics": {}}}
    assert event_for_others(well) == {
        "type": "job.completed",
        "job_id": "exp/0/0",
        "learning_context": {**CONTEXT, "variant_value": "a.safetensors"},
        "started_at": 1.0,
        "finished_at": 2.5,
        "result": {
            "success": True,
            "cancelled": False,
            "images": [],
            "metrics": {},
            "warnings": [],
            "reused_from": False,
        },
    }


def test_other_events_are_not_for_others() -> None:
    """Nor are those of a type that is not known; a deletion says only that."""
    assert event_for_others({"type": "event.rejected", "detail": "x"}) is None
    assert event_for_others({"type": "images.compared", "left": "x"}) is None
    assert event_for_others({}) is None
    gone = {"type": "experiment.deleted", "experiment_id": "exp", "experiment_name": "CFG"}
    assert event_for_others(gone) == {"type": "experiment.deleted", "experiment_id": "exp"}
