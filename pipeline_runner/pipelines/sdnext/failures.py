"""What a refusal of SD.Next means, and why it has made no picture, which only its log tells."""

import json
import re
from typing import Any, Final

from pipeline_runner.pipelines.http_client import Reply, ServerFault
from pipeline_runner.pipelines.refusals import is_out_of_memory, one_line, refusal_kind

INTERRUPTED: Final = "somebody interrupted or skipped the job at the server; the half-finished picture is not kept"
NO_PICTURE: Final = "the server answered without a picture"
_AUTH: Final = (
    "asks for a user and a password, or refuses them; write user:password into a file, "
    "and its path into VARIANTBUS_SDNEXT_AUTH_FILE"
)
_UNAUTHORIZED: Final = (401, 403)
_NOT_FOUND: Final = "not found"
# a line of its log looks like JSON, and is none where the message has a backslash or a line end
_LINE: Final = re.compile(r'"created":\s*([0-9.]+).*?"level":\s*"(\w+)".*?"msg":\s*"(.*)"\s*}\s*\Z', re.DOTALL)


def fault_of(reply: Reply, url: str) -> ServerFault:
    """Return kind and text of the error for an answer that is no success."""
    body = _parsed(reply.data)
    words = one_line(_words(body)) or f"status {reply.status}"
    by_server = body is not None and words.lower() != _NOT_FOUND
    kind = refusal_kind(reply.status, words, by_server=by_server)
    if reply.status in _UNAUTHORIZED:
        return ServerFault(kind, f"{url} {_AUTH}")
    if not by_server:
        return ServerFault(kind, f"{url} is no SD.Next, or has not started yet: it answered {reply.status}")
    return ServerFault(kind, f"the server says: {words}")


def why_no_picture(log: Any, began: float | None, *, halted: bool) -> ServerFault:
    """Return why a job has no picture, or only half of one; `began` is by the clock that the log has, too.

    An error of the server marks the job as interrupted just as a person does.
    """
    errors = _errors(log, began)
    if any(is_out_of_memory(words) for words in errors):
        return ServerFault("oom", f"{NO_PICTURE}; its log says: {errors[-1]}")
    if errors:
        return ServerFault("server_error", f"{NO_PICTURE}; its log says: {errors[-1]}")
    if halted and began is not None and isinstance(log, list):
        return ServerFault("interrupted", INTERRUPTED)
    return ServerFault("server_error", f"{NO_PICTURE}, or with half of one; its log may say why")


def _errors(log: Any, began: float | None) -> list[str]:
    """Return the errors that the log has since the job began, none if nobody knows when that was."""
    if began is None or not isinstance(log, list):
        return []
    lines = [_LINE.search(line) for line in log if isinstance(line, str)]
    return [
        one_line(line[3]) for line in lines if line and line[2] in ("ERROR", "CRITICAL") and float(line[1]) >= began
    ]


def _parsed(data: bytes) -> Any:
    """Return the body as JSON, None if it is none, such as the page of a proxy."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _words(body: Any) -> str:
    """Return what a refusal says: a text, or of `error`, `detail` and `errors` what is set."""
    if not isinstance(body, dict):
        return "" if body is None else str(body)
    detail = body.get("detail")
    if isinstance(detail, list):
        detail = "; ".join(_place(one) for one in detail)
    name = body.get("error")
    parts = (name if name != "HTTPException" else "", detail, body.get("errors") if not detail else "")
    return ": ".join(str(part) for part in parts if part)


def _place(one: Any) -> str:
    """Write one finding of the server's own checks."""
    if not isinstance(one, dict):
        return str(one)
    place = one.get("loc")
    where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
    return f"{where}: {one.get('msg')}" if where else str(one.get("msg"))
