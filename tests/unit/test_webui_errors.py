"""Refusals of the web UI in all their shapes: what kind they are, and what people read."""

import json
from typing import Any

import pytest

from pipeline_runner.pipelines.http_client import Reply
from pipeline_runner.pipelines.refusals import TEXT_LIMIT
from pipeline_runner.pipelines.webui.errors import fault_of

URL = "http://host:7860"


def four(error: str, errors: str = "", detail: str = "") -> dict[str, str]:
    """Write an error as AUTOMATIC1111 does."""
    return {"error": error, "detail": detail, "body": "", "errors": errors}


def forge(error: str, message: str) -> dict[str, str]:
    """Write an error as Forge does."""
    return {"error": error, "detail": "", "body": "", "message": message}


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (
            422,
            {"detail": [{"loc": ["body", "steps"], "msg": "value is not a valid integer", "type": "type_error"}]},
            "invalid_request",
            "steps: value is not a valid integer",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "a", 0], "msg": "one"}, {"loc": ["body"], "msg": "two"}]},
            "invalid_request",
            "a.0: one; two",
        ),
        (422, four("HTTPException", detail="Script 'x' not found"), "invalid_request", "Script 'x' not found"),
        (422, {"detail": "Script 'x' not found"}, "invalid_request", "Script 'x' not found"),
        (404, four("HTTPException", detail="Sampler not found"), "invalid_request", "Sampler not found"),
        (404, {"detail": "Init image not found"}, "invalid_request", "Init image not found"),
        (500, four("HTTPException", detail="Invalid encoded image"), "server_error", "Invalid encoded image"),
        (500, {"detail": "Invalid encoded image"}, "server_error", "Invalid encoded image"),
        (500, four("KeyError", "'filter_nsfw'"), "server_error", "KeyError: 'filter_nsfw'"),
        (500, forge("KeyError", "'filter_nsfw'"), "server_error", "KeyError: 'filter_nsfw'"),
        (
            500,
            four("AssertionError", "could not find upscaler named X"),
            "server_error",
            "AssertionError: could not find upscaler named X",
        ),
        (
            500,
            forge("RuntimeError", "model 'x' not found"),
            "server_error",
            "RuntimeError: model 'x' not found",
        ),
        (
            500,
            four("OutOfMemoryError", "CUDA out of memory. Tried to allocate 1.11 GiB\n(GPU 0)"),
            "oom",
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 1.11 GiB (GPU 0)",
        ),
        (500, forge("RuntimeError", "CUDA out of memory."), "oom", "RuntimeError: CUDA out of memory."),
        (
            500,
            forge("RuntimeError", "not enough memory: you tried to allocate 9 bytes."),
            "oom",
            "RuntimeError: not enough memory: you tried to allocate 9 bytes.",
        ),
        (
            500,
            four("RuntimeError", "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            "oom",
            "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
        ),
        (
            500,
            four("NansException", "A tensor with NaNs was produced in Unet."),
            "server_error",
            "NansException: A tensor with NaNs was produced in Unet.",
        ),
        (500, four("RuntimeError"), "server_error", "RuntimeError"),
        (500, {}, "server_error", "status 500"),
        (500, [1], "server_error", "[1]"),
        (422, {"detail": [{"loc": 7, "msg": "one"}]}, "invalid_request", "one"),
        (503, {"detail": None}, "busy", "status 503"),
        (429, {"detail": "slow down"}, "busy", "slow down"),
    ],
)
def test_a_refusal_has_a_kind_and_one_line(status: int, body: Any, kind: str, text: str) -> None:
    """The words are the first that are there of errors, message and detail."""
    fault = fault_of(Reply(status, json.dumps(body).encode()), URL)

    assert (fault.kind, fault.message) == (kind, f"the server says: {text}")


@pytest.mark.parametrize("data", [b'{"detail":"Not Found"}', b"<html>404</html>"])
def test_a_server_without_its_api_is_waited_for(data: bytes) -> None:
    """It was started without --api, and may be again with it."""
    fault = fault_of(Reply(404, data), URL)

    assert (fault.kind, fault.message) == ("unreachable", f"{URL} has no API; start the web UI with --api")


@pytest.mark.parametrize("body", [four("HTTPException", detail="Incorrect username"), {"detail": "x"}])
def test_a_missing_password_is_told_with_the_setting(body: Any) -> None:
    """The jobs wait: a password that was changed overnight costs none of them."""
    fault = fault_of(Reply(401, json.dumps(body).encode()), URL)

    assert fault.kind == "unreachable"
    assert "VARIANTBUS_WEBUI_AUTH_FILE" in fault.message


def test_behind_a_page_of_a_proxy_the_server_is_away() -> None:
    """Jobs wait for it, and none is spent meanwhile."""
    fault = fault_of(Reply(502, b"<html>Bad Gateway</html>"), URL)

    assert (fault.kind, "502" in fault.message) == ("unreachable", True)


def test_a_long_text_of_the_server_is_cut() -> None:
    """It travels in every message of its variant."""
    assert len(fault_of(Reply(500, json.dumps(four("X", "y" * 9000)).encode()), URL).message) < TEXT_LIMIT + 100
