"""What a file is, by its first bytes; its name only decides where no content says more, as between two kinds of text.

Nothing is decoded, and nothing raises, whatever the bytes are.
"""

import codecs
import mimetypes
from pathlib import PurePath
from typing import Final

from pipeline_runner.outputs.containers import format_of

HEAD_BYTES: Final = 64 << 10  # of a file: what it is, and the size of a picture, stand in them
BINARY: Final = "application/octet-stream"
TEXT: Final = "text/plain"
SVG: Final = "image/svg+xml"  # a text that may hold scripts
_PICTURES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
# by the first bytes
_SIGNATURES: Final = (
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"glTF", "model/gltf-binary"),
    (b".snd", "audio/basic"),
)
_MPEG_AUDIO: Final = frozenset(
    {b"\xfa", b"\xfb", b"\xf2", b"\xf3", b"\xe2", b"\xe3"}
)  # behind 0xFF: layer III of MPEG 1, 2 and 2.5
_AAC: Final = frozenset({b"\xf0", b"\xf1", b"\xf8", b"\xf9"})  # as above: ADTS
# by the first brand of an ISO file; any other is a video
_BRANDS: Final = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}
_BOXES: Final = frozenset({b"moov", b"mdat", b"wide"})  # with which an old QuickTime file begins
_RIFF: Final = {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_EBML: Final = b"\x1a\x45\xdf\xa3"
_TEXT_CONTROLS: Final = frozenset("\t\n\r\f\x1b")
# names that no content can prove, so that these claims of a name count for nothing
_CLAIMS: Final = ("image/", "video/", "audio/", "model/", "text/")
_TEXTS: Final = frozenset({"application/json", "application/toml", "application/yaml", "application/x-yaml"})


def media_type_of(head: bytes, name: str) -> str:
    """Return the media type of a file, by its first `HEAD_BYTES` bytes, all of it if it has no more; and its name."""
    if form := format_of(head):
        return _PICTURES[form]
    if found := _by_signature(head) or _iso(head) or _riff(head) or _other(head):
        return found
    guessed = _guess(name)
    if _is_text(head):
        return guessed if guessed.startswith("text/") or guessed in _TEXTS or guessed == SVG else TEXT
    return BINARY if guessed.startswith(_CLAIMS) or guessed in _TEXTS else guessed


def is_called_picture(name: str) -> bool:
    """Return whether a file has the name of a picture, whatever it is."""
    return _guess(name).startswith("image/")


def _guess(name: str) -> str:
    return mimetypes.guess_type(PurePath(name).name)[0] or BINARY


def _by_signature(head: bytes) -> str | None:
    return next((media_type for signature, media_type in _SIGNATURES if head.startswith(signature)), None)


def _iso(head: bytes) -> str | None:
    """Return what a file of boxes holds: MP4, QuickTime, AVIF and others."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    return "video/quicktime" if head[4:8] in _BOXES else None


def _riff(head: bytes) -> str | None:
    if head.startswith((b"RIFF", b"RF64")):
        return _RIFF.get(head[8:12])
    return "audio/aiff" if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC") else None


def _other(head: bytes) -> str | None:
    if head.startswith(_EBML):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"\x80theora" in head[:4096] else "audio/ogg"
    if head[:1] == b"\xff":
        return "audio/mpeg" if head[1:2] in _MPEG_AUDIO else "audio/aac" if head[1:2] in _AAC else None
    return None


def _is_text(head: bytes) -> bool:
    """Return whether a file begins as a text in UTF-8; an empty one does."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(char >= " " or char in _TEXT_CONTROLS for char in text)
