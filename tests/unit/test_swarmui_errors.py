"""What a refusal of SwarmUI means, most of which come with status 200."""

from typing import Any

import pytest

from pipeline_runner.pipelines.swarmui.errors import SessionGone, refusal_of

URL = "http://there"


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"error": "Generation session interrupted."}, "interrupted", "somebody interrupted the job"),
        ({"error": "No backends available!"}, "unreachable", "No backends available!"),
        ({"error": "Timeout! All backends are occupied with other tasks."}, "busy", "occupied"),
        ({"error": "Backend handler is shutting down."}, "unreachable", "shutting down"),
        ({"error": "Invalid value for parameter Steps: Invalid integer value"}, "invalid_request", "Steps"),
        ({"error": "No backends match the settings of the request given!\n- flag"}, "invalid_request", "given! - flag"),
        ({"error": "ComfyUI execution error: Allocation on device \nThis error"}, "oom", "Allocation on device This"),
        ({"error": "ComfyUI execution error: CUDA out of memory."}, "oom", "out of memory"),
        ({"error": "Something went wrong while generating images."}, "server_error", "Something went wrong"),
        ({"error_id": "internal_error"}, "server_error", "internal_error"),
        ({"error": "Invalid or unauthorized."}, "unreachable", "VARIANTBUS_SWARMUI_TOKEN_FILE"),
        ({"error": "no", "error_id": "invalid_user"}, "unreachable", "VARIANTBUS_SWARMUI_TOKEN_FILE"),
        ({"error": "You lack permissions for this route.", "error_id": "bad_permissions"}, "unreachable", "role"),
    ],
)
def test_a_refusal_has_a_kind_and_the_servers_words(body: dict[str, Any], kind: str, words: str) -> None:
    """In one line."""
    found = refusal_of(body, URL)

    assert found is not None
    assert found.kind == kind
    assert words in found.message


def test_a_session_that_is_not_known_is_told_from_all_else() -> None:
    """Another one is begun, and nobody hears of it."""
    gone = refusal_of({"error": "Invalid session ID. You may need to refresh.", "error_id": "invalid_session_id"}, URL)

    assert isinstance(gone, SessionGone)


@pytest.mark.parametrize("body", [{}, {"error": None}, {"error": 7, "error_id": []}, {"status": {}}])
def test_what_refuses_nothing(body: dict[str, Any]) -> None:
    """An answer as usual."""
    assert refusal_of(body, URL) is None
