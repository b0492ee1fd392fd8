"""Topics: tokens joined by `.` and ended by `.`, so that a prefix never matches half a token.

An id may hold any character: everything but ASCII letters, digits, `_` and `-` is percent-encoded, byte by byte.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_TOKENS: Final = 8
MAX_BYTES: Final = 255
CACHED: Final = 8192  # topics whose check, or whose prefixes, are remembered: up to 6 MiB in all
HEARTBEAT: Final = "~heartbeat."  # `~` is always encoded in a token, so no topic of an application can be this one

_STANDS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_TOPIC = re.compile(r"(?:(?:[A-Za-z0-9_-]|%[0-9A-F]{2})+\.)+")


class TopicError(ValueError):
    """A topic breaks the rules: token characters, at most 8 tokens, at most 255 bytes."""


def encode_token(token: str) -> str:
    """Percent-encode one token; an empty one is refused, since two dots in a row mean nothing."""
    if not token:
        raise TopicError("a topic token must not be empty")
    if _PLAIN.fullmatch(token):
        return token
    return "".join(chr(byte) if byte in _STANDS else f"%{byte:02X}" for byte in token.encode())


def decode_token(token: str) -> str:
    """Undo `encode_token`; what is no UTF-8 has not come from there."""
    try:
        return unquote_to_bytes(token).decode()
    except UnicodeDecodeError:
        raise TopicError(f"the topic token {token[:80]!r} is not UTF-8") from None


@lru_cache(maxsize=CACHED)
def build(base: str, *tokens: str | int) -> str:
    """Extend a topic by tokens: `build("job.completed.", "my exp", 3)` is `job.completed.my%20exp.3.`."""
    topic = base + "".join(encode_token(str(token)) + "." for token in tokens)
    check(topic)
    return topic


@lru_cache(maxsize=CACHED)
def check(topic: str) -> None:
    """Raise `TopicError` unless this is a whole topic (or a whole-token prefix, which looks the same)."""
    if len(topic) > MAX_BYTES or topic.count(".") > MAX_TOKENS or not _TOPIC.fullmatch(topic):
        raise TopicError(
            f"{topic[:80]!r} is no topic: at most {MAX_TOKENS} tokens of letters, digits, `_`, `-` and %XX, "
            f"each ended by a dot, {MAX_BYTES} bytes in all"
        )


def split(topic: str) -> tuple[str, ...]:
    """Return the decoded tokens of a topic."""
    return tuple(decode_token(token) for token in topic[:-1].split("."))


@lru_cache(maxsize=CACHED)
def prefixes(topic: str) -> tuple[str, ...]:
    """Return every whole-token prefix of a topic, shortest first; the last one is the topic itself."""
    found, end = [], topic.find(".") + 1
    while end:
        found.append(topic[:end])
        end = topic.find(".", end) + 1
    return tuple(found)


def as_prefix(text: str) -> str:
    """Return what a person types (`variant.status`, with or without the last dot, or nothing) into a prefix."""
    prefix = text if not text or text.endswith(".") else text + "."
    if prefix:
        check(prefix)
    return prefix


def after_prefix(prefix: str) -> str:
    """Return the first string that sorts behind every topic with this prefix: `/` is the ASCII neighbour of `.`."""
    return prefix[:-1] + "/" if prefix else "\x7f"


def disjoint(wanted: list[str]) -> list[str]:
    """Return the prefixes that no other one covers, so that each message belongs to exactly one of the rest."""
    kept: list[str] = []
    for one in sorted(set(wanted)):  # a prefix sorts right before all that it covers
        if not kept or not one.startswith(kept[-1]):
            kept.append(one)
    return kept
