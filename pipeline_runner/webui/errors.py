"""What a refusal of the web UI means: plain rules over status and body, for all the shapes that they have."""

import json
from typing import Any, Final

from pipeline_runner.http_client import Reply, ServerFault

TEXT_LIMIT: Final = 500  # characters of a server's own words
_OUT_OF_MEMORY: Final = ("outofmemory", "out of memory", "not enough memory", "can't allocate memory")
# exceptions of the server that the request brings about, whatever its state
_OF_THE_REQUEST: Final = ("KeyError", "AssertionError", "ValidationError", "ScriptNotFound")
_WORDS_OF_THE_REQUEST: Final = ("invalid encoded image", "could not find upscaler", "init image not found")
_NO_API: Final = "has no API; start the web UI with --api"
_AUTH: Final = (
    "asks for a user and a password, or refuses them; write user:password into a file, "
    "and its path into VARIANTBUS_WEBUI_AUTH_FILE"
)


def fault_of(reply: Reply, url: str) -> ServerFault:
    """Say what an answer means that is no success: kind and text."""
    body = _parsed(reply.data)
    name, text = _name(body), _text(body)
    if reply.status in (401, 403):
        # a password that was changed overnight must not cost the jobs that wait
        return ServerFault("unreachable", f"{url} {_AUTH}")
    if reply.status == 404 and (body is None or text.lower() == "not found"):  # noqa: PLR2004 - as HTTP says
        # nothing of the API is there: the server was started otherwise, and may be again as it was
        return ServerFault("unreachable", f"{url} {_NO_API}")
    if body is None:
        return ServerFault("server_error", f"the server answered {reply.status} with no JSON: {reply.data[:80]!r}")
    words = one_line(": ".join(filter(None, (name, text)))) or f"status {reply.status}"
    return ServerFault(_kind(reply.status, name, words.lower()), f"the server says: {words}")


def _kind(status: int, name: str, words: str) -> str:
    if any(mark in words for mark in _OUT_OF_MEMORY):
        return "oom"
    if status in (408, 425, 429):  # too busy, not wrong
        return "server_error"
    if 400 <= status < 500 or any(mark in name for mark in _OF_THE_REQUEST):  # noqa: PLR2004 - as HTTP says
        return "invalid_request"
    if any(mark in words for mark in _WORDS_OF_THE_REQUEST) or ("model '" in words and "not found" in words):
        return "invalid_request"
    return "server_error"


def one_line(text: str) -> str:
    """Put a server's words into one line of bounded length."""
    return " ".join(text.split())[:TEXT_LIMIT]


def _parsed(data: bytes) -> Any:
    """Give the JSON, None if it is none: a proxy's page."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _name(body: Any) -> str:
    """Give the name of the server's exception, if it tells."""
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, str) and found != "HTTPException" else ""


def _text(body: Any) -> str:
    """Give the first words for people that are there: `errors`, `message`, or `detail`, which is a text or a list."""
    if not isinstance(body, dict):
        return str(body)
    for key in ("errors", "message", "detail"):
        if words := _words(body.get(key)):
            return words
    return ""


def _words(found: Any) -> str:
    if isinstance(found, list):
        return "; ".join(filter(None, (_words(one) for one in found)))
    if isinstance(found, dict) and "msg" in found:
        where = [str(part) for part in found.get("loc") or () if part != "body"]
        return f"{'.'.join(where)}: {found['msg']}" if where else str(found["msg"])
    return "" if found is None else str(found).strip()
