"""What it means for a job that a server did not do what it was asked for: one table for all servers.

| status | kind | as |
|---|---|---|
| 401, 403, 407 | `unreachable` | a password that was changed overnight must not cost the jobs that wait |
| 404, 502, 503, 504 that the server itself did not say | `unreachable` | a proxy speaks whose server is away |
| 408, 425, 429, 503 | `busy` | it takes no more for now, and the request is not wrong |
| another 4xx | `invalid_request` | it would be refused again |
| another one, with words of memory | `oom` | |
| another one | `server_error` | |
"""

from typing import Final

TEXT_LIMIT: Final = 2000  # characters of a server's own words; a list of models in a refusal may be longer
_LOCKED: Final = (401, 403, 407)
_OF_A_PROXY: Final = (404, 502, 503, 504)
_BUSY: Final = (408, 425, 429, 503)
_CLIENT_ERRORS: Final = range(400, 500)
# also "OutOfMemoryError" and "MemoryError", which may come without a text
_OUT_OF_MEMORY: Final = ("outofmemory", "out of memory", "memoryerror", "not enough memory", "can't allocate memory")


def refusal_kind(status: int, words: str, *, by_server: bool) -> str:
    """Return the kind of error of an answer that is no success; `by_server` is False where a proxy answered."""
    if status in _LOCKED or (status in _OF_A_PROXY and not by_server):
        return "unreachable"
    if status in _BUSY:
        return "busy"
    if status in _CLIENT_ERRORS:
        return "invalid_request"
    return "oom" if is_out_of_memory(words) else "server_error"


def is_out_of_memory(words: str) -> bool:
    """Return whether name and text of an exception mean that memory ran out."""
    return any(mark in words.lower() for mark in _OUT_OF_MEMORY)


def one_line(text: str) -> str:
    """Put a server's words into one line of bounded length."""
    return " ".join(text.split())[:TEXT_LIMIT]
