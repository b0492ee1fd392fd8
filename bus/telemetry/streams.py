"""Standard streams that accept every text, whatever the encoding of the terminal is.

Texts come from everywhere: prompts in any language, names of files that are not UTF-8. A terminal of latin-1, GBK or
ASCII shows `?` for a character that it does not have, as wide as the character is, so that columns stay straight.
"""

import codecs
import io
import json
import re
import sys
import unicodedata
from typing import Final, TextIO

POLICY: Final = "variantbus.replace"
_ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)  # PEP 383: bytes of a file's name that are not UTF-8
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def accept_all_text() -> None:
    """Let stdout and stderr replace what their encoding does not have; called first of all in a process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=POLICY)


def encoding_of(stream: TextIO | None) -> str:
    """Return the encoding of a stream; UTF-8 where there is none."""
    return getattr(stream, "encoding", None) or "utf-8"


def json_on(stream: TextIO | None, text: str) -> str:
    r"""Return JSON that loses nothing on a stream: where that is not UTF-8, other characters become \u escapes."""
    if codecs.lookup(encoding_of(stream)).name == "utf-8":
        return text
    return _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for one character; the byte of a file's name is written as it was."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    if ord(char) in _ESCAPED_BYTES:
        return bytes([ord(char) & 0xFF]), error.start + 1
    if unicodedata.combining(char):
        return "", error.start + 1
    return "??" if unicodedata.east_asian_width(char) in "WF" else "?", error.start + 1


codecs.register_error(POLICY, _replaced)
