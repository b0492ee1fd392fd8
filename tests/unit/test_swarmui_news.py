"""The messages of SwarmUI about one job."""

import base64
import json
from typing import Any

import pytest

from pipeline_runner.pipelines.http_client import ServerFault
from pipeline_runner.pipelines.swarmui.news import (
    HIGHEST,
    Ended,
    Moved,
    Painted,
    Told,
    Working,
    picture_in,
    read_message,
    read_told,
)

DATA = base64.b64encode(b"bytes").decode()


def heard(body: Any) -> Any:
    """Read a message."""
    return read_message(json.dumps(body), "http://there")


@pytest.mark.parametrize(
    ("body", "news"),
    [
        ({"gen_progress": {"overall_percent": 0.5}}, Moved(0.5, None)),
        ({"gen_progress": {"overall_percent": 0.5, "preview": f"data:image/jpeg;base64,{DATA}"}}, Moved(0.5, b"bytes")),
        ({"gen_progress": {"overall_percent": 7, "preview": "data:image/jpeg;base64,%"}}, Moved(HIGHEST, None)),
        ({"gen_progress": {"overall_percent": -1, "preview": 3}}, Moved(0.0, None)),
        ({"gen_progress": {}}, Moved(0.0, None)),
        ({"gen_progress": []}, None),
        ({"image": "View/a.png", "batch_index": "0", "metadata": None}, Painted(place="View/a.png")),
        ({"image": "View/a.png", "batch_index": 0}, Painted(place="View/a.png")),
        ({"image": "View/a.png", "batch_index": "-11"}, None),
        ({"image": "View/a.png", "batch_index": "1"}, None),
        ({"image": "View/a.png", "batch_index": "x"}, None),
        ({"image": 3, "batch_index": "0"}, None),
        ({"discard_indices": []}, Ended(discarded=False)),
        ({"discard_indices": [0]}, Ended(discarded=True)),
        ({"discard_indices": [3]}, Ended(discarded=False)),
        ({"status": {"live_gens": 1}}, Working()),
        ({"status": {"live_gens": 0}}, None),
        ({"status": 3}, None),
        ({"keep_alive": True}, None),
        ({"socket_intention": "close"}, None),
        ([], None),
    ],
)
def test_a_message_is_news_or_none(body: Any, news: object) -> None:
    """Of a picture on the way, a grid, and what an older or newer version says besides, nothing is."""
    assert heard(body) == news


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null"])
def test_what_is_no_message(text: str) -> None:
    """It is skipped."""
    assert read_message(text, "http://there") is None


def test_an_error_is_a_fault() -> None:
    """Whatever stands beside it."""
    fault = heard({"error": "No backends available!", "image": "x", "batch_index": "0"})

    assert isinstance(fault, ServerFault)


def test_the_metadata_of_a_picture() -> None:
    """Its parameters, what was not asked for, and the seconds."""
    text = json.dumps(
        {
            "sui_image_params": {"steps": 4},
            "sui_extra_data": {"unused_parameters": ["freeu", 3], "generation_time": "2,50 min"},
        }
    )

    assert read_told(text) == Told(params={"steps": 4}, unused=frozenset({"freeu"}), seconds=150.0)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, Told()),
        ("", Told()),
        ("no JSON", Told()),
        ("{}", Told()),
        ('{"sui_image_params": []}', Told()),
        ('{"sui_image_params": {}, "sui_extra_data": 3}', Told(params={})),
        ('{"sui_image_params": {}, "sui_extra_data": {"unused_parameters": 3}}', Told(params={})),
        ('{"sui_image_params": {}, "sui_extra_data": {"generation_time": "soon"}}', Told(params={})),
        ('{"sui_image_params": {}, "sui_extra_data": {"generation_time": "-1.00 sec"}}', Told(params={})),
        ('{"sui_image_params": {}, "sui_extra_data": {"generation_time": "4.84 sec"}}', Told(params={}, seconds=4.84)),
        ('{"sui_image_params": {}, "sui_extra_data": {"unused_parameters": ["prompt", "a"]}}', Told(params={})),
    ],
)
def test_odd_metadata_says_nothing(found: Any, told: Told) -> None:
    """A server that passes the work on to another one asks for none of its parameters itself."""
    assert read_told(found) == told


def test_a_picture_is_told_as_text_or_as_a_place() -> None:
    """What is no picture is refused, in words that help."""
    assert picture_in(f"data:image/png;base64,{DATA}") == b"bytes"
    assert picture_in("View/local/raw/a.png") is None
    with pytest.raises(ServerFault, match=r"the server made video/mp4, which is no picture") as video:
        picture_in(f"data:video/mp4;base64,{DATA}")
    with pytest.raises(ServerFault, match="no base64") as broken:
        picture_in("data:image/png;base64,%%%")
    with pytest.raises(ServerFault, match="made something"):
        picture_in("data:")
    assert (video.value.kind, broken.value.kind) == ("invalid_request", "server_error")
