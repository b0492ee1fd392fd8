"""The binary messages of ComfyUI's websocket: previews of our prompt, and whatever else comes."""

import json
import struct

import pytest

from pipeline_runner.pipelines.comfyui.previews import FRAME_BYTES, Shown, read_frame

JPEG = b"\xff\xd8\xff\xe0 picture"
# as ComfyUI 0.33.0 sends it
METADATA = (
    b'{"node_id": "3", "prompt_id": "929313cc-acad-44a1-bdcd-fd818e38576c", "display_node_id": "3", '
    b'"parent_node_id": null, "real_node_id": "3", "image_type": "image/jpeg"}'
)
OURS = "929313cc-acad-44a1-bdcd-fd818e38576c"


def with_metadata(metadata: bytes, picture: bytes = JPEG) -> bytes:
    """Return a message of type 4."""
    return struct.pack(">II", 4, len(metadata)) + metadata + picture


def test_a_preview_with_metadata_is_of_the_prompt_that_it_names() -> None:
    """And of no other one."""
    assert read_frame(with_metadata(METADATA), OURS) == Shown(JPEG, is_ours=True)
    assert read_frame(with_metadata(METADATA), "another") is None


@pytest.mark.parametrize("form", [1, 2, 77])
def test_a_preview_without_metadata_may_be_of_any_prompt(form: int) -> None:
    """Its format is seen from its bytes."""
    assert read_frame(struct.pack(">II", 1, form) + JPEG, OURS) == Shown(JPEG, is_ours=False)


@pytest.mark.parametrize("end", range(len(METADATA) + 8))
def test_a_cut_message_is_no_preview(end: int) -> None:
    """Wherever it ends before the picture."""
    assert read_frame(with_metadata(METADATA)[:end], OURS) is None


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">II", 2, 1) + JPEG,  # an unencoded picture never travels
        struct.pack(">II", 3, 1) + b"3text of a node",
        struct.pack(">II", 5, 1) + JPEG,
        struct.pack(">II", 1, 1) + bytes(FRAME_BYTES),
        struct.pack(">II", 4, 2**32 - 1) + METADATA,
        with_metadata(b""),
        with_metadata(b"null"),
        with_metadata(b"\xff"),
        with_metadata(b"[" * 100_000),
        with_metadata(json.dumps({"prompt_id": [OURS]}).encode()),
        with_metadata(json.dumps({"node_id": "3"}).encode()),
    ],
)
def test_what_is_no_preview_of_ours_is_passed_over(frame: bytes) -> None:
    """Other types, too much, metadata that cannot be read or that names nothing."""
    assert read_frame(frame, OURS) is None
