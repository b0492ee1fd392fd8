"""What a refusal of the web UI means: rules over status and body, in all their shapes."""

import json
from typing import Any, Final

from pipeline_runner.pipelines.http_client import Reply, ServerFault
from pipeline_runner.pipelines.refusals import one_line, refusal_kind

_NO_API: Final = "has no API; start the web UI with --api"
# what to do, where the server's words alone help nobody
_HINTS: Final = {
    "invalid image format": "; its API knows png, jpg and webp only: choose one in its settings as `samples_format`",
}
_AUTH: Final = (
    "asks for a user and a password, or refuses them; write user:password into a file, "
    "and its path into VARIANTBUS_WEBUI_AUTH_FILE"
)


def fault_of(reply: Reply, url: str) -> ServerFault:
    """Return kind and text of the error for an answer that is no success."""
    body = _parsed(reply.data)
    name, text = _name(body), _text(body)
    words = one_line(": ".join(filter(None, (name, text)))) or f"status {reply.status}"
    # no API at all: the server was started without it, and may be started with it again
    by_server = body is not None and text.lower() != "not found"
    kind = refusal_kind(reply.status, words, by_server=by_server)
    return ServerFault(kind, _told(reply, url, words, by_server=by_server))


def _told(reply: Reply, url: str, words: str, *, by_server: bool) -> str:
    if reply.status in (401, 403):
        return f"{url} {_AUTH}"
    if by_server:
        hint = next((hint for mark, hint in _HINTS.items() if mark in words.lower()), "")
        return f"the server says: {words}{hint}"
    if reply.status == 404:  # noqa: PLR2004 - as HTTP says
        return f"{url} {_NO_API}"
    return f"the server answered {reply.status} with no JSON: {reply.data[:80]!r}"


def _parsed(data: bytes) -> Any:
    """Return the body as JSON, None if it is none, such as the page of a proxy."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _name(body: Any) -> str:
    """Return the name of the server's exception, if it is in the answer."""
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, str) and found != "HTTPException" else ""


def _text(body: Any) -> str:
    """Return the message for people: of `errors`, `message` or `detail` (a text or a list) the first that is set."""
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
        place = found.get("loc")
        where = [str(part) for part in place if part != "body"] if isinstance(place, list) else []
        return f"{'.'.join(where)}: {found['msg']}" if where else str(found["msg"])
    return "" if found is None else str(found).strip()
