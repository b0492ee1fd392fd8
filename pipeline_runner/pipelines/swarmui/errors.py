"""What a refusal of SwarmUI means: it answers most of them with status 200, and tells them apart by words alone."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline_runner.pipelines.http_client import ServerFault
from pipeline_runner.pipelines.refusals import is_out_of_memory, one_line

INTERRUPTED: Final = "somebody interrupted the job at the server"
_NEEDS_ACCOUNT: Final = (
    "asks for an account, or refuses the token; make a token on its page (User tab, Swarm Auth Tokens), write it into "
    "a file, and its path into VARIANTBUS_SWARMUI_TOKEN_FILE"
)
_NEEDS_RIGHTS: Final = "the account of its token may not do that; give its role the right on the server's page"
# by the beginning of its words, the first that fits
_KINDS: Final = (
    ("generation session interrupted", "interrupted"),
    ("no backends available", "unreachable"),
    ("timeout! all backends are occupied", "busy"),
    ("backend handler is shutting down", "unreachable"),
    ("session handler is shutting down", "unreachable"),
    ("invalid value for parameter", "invalid_request"),
    ("invalid resolution", "invalid_request"),
    ("you do not have permission to use", "invalid_request"),
    ("no model input given", "invalid_request"),
    ("no backends match the settings", "invalid_request"),
)
_OUT_OF_MEMORY: Final = "allocation on device"  # how ComfyUI behind it begins


class SessionGone(ServerFault):
    """The server does not know the session: it was started again, or has not heard of it for a month."""


def refusal_of(body: Mapping[str, Any], url: str) -> ServerFault | None:
    """Return what an answer or message refuses, None if it refuses nothing."""
    error_id, words = _text(body.get("error_id")), one_line(_text(body.get("error")))
    if not error_id and not words:
        return None
    if error_id == "invalid_session_id":
        return SessionGone("unreachable", f"{url} does not know the session any more")
    if error_id == "invalid_user" or words.lower().startswith("invalid or unauthorized"):
        return ServerFault("unreachable", f"{url} {_NEEDS_ACCOUNT}")
    if error_id == "bad_permissions":
        return ServerFault("unreachable", f"{url}: {_NEEDS_RIGHTS}")
    kind = _kind(words.lower())
    told = INTERRUPTED if kind == "interrupted" else f"the server says: {words or error_id}"
    return ServerFault(kind, told)


def _kind(words: str) -> str:
    for start, kind in _KINDS:
        if words.startswith(start):
            return kind
    return "oom" if _OUT_OF_MEMORY in words or is_out_of_memory(words) else "server_error"


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""
