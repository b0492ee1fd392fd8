"""The texts in Exif: a TIFF structure of tags, in either byte order, of which programs get much wrong."""

import struct
from collections.abc import Iterator
from typing import Final, Literal

Order = Literal["<", ">"]
_TAGS: Final = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x927C: "MakerNote",
    0x9286: "UserComment",
}
_EXIF_IFD: Final = 0x8769  # the tag that says where the tags of Exif itself are
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}  # bytes of one value of a type: BYTE, ASCII, SHORT, LONG, UNDEFINED
_LONG: Final = 4
_ENTRY: Final = 12  # bytes of a tag
_ENTRIES_MOST: Final = 200
_ORDERS: Final[dict[bytes, Order]] = {b"II": "<", b"MM": ">"}
_CODE: Final = 8  # bytes before the text of a `UserComment`, which say how it is encoded


def exif_texts(data: bytes) -> dict[str, str]:
    """Return the texts by the names of their tags; nothing of what cannot be read."""
    order = _ORDERS.get(data[:2])
    if order is None or len(data) < 8:  # noqa: PLR2004 - the header of a TIFF
        return {}
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    found: dict[str, str] = {}
    for tag, kind, value in _entries(data, first, order):
        if tag == _EXIF_IFD and kind == _LONG:
            (inner,) = struct.unpack_from(f"{order}I", value)
            for inner_tag, _, text in _entries(data, inner, order):
                _add(found, inner_tag, text, order)
        else:
            _add(found, tag, value, order)
    return found


def _entries(data: bytes, at: int, order: Order) -> Iterator[tuple[int, int, bytes]]:
    """Yield tag, type and bytes of what stands in one directory of tags, as far as it is whole."""
    if at + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for number in range(min(count, _ENTRIES_MOST)):
        start = at + 2 + number * _ENTRY
        if start + _ENTRY > len(data):
            return
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, start)
        size = length * _SIZES.get(kind, 0)
        place = start + 8
        if size > _LONG:
            (place,) = struct.unpack_from(f"{order}I", data, place)
        if 0 < size <= len(data) - place:
            yield tag, kind, data[place : place + size]


def _add(found: dict[str, str], tag: int, value: bytes, order: Order) -> None:
    name = _TAGS.get(tag)
    if name and name not in found:
        found[name] = user_comment(value, order) if name == "UserComment" else _text(value)


def user_comment(value: bytes, order: Order = ">") -> str:
    """Return the text of a `UserComment`: behind its code of 8 bytes, or whole where a program wrote none.

    The code `UNICODE` is UTF-16 in the byte order of the file by the standard. Programs write either order, with or
    without a mark at the beginning, and some UTF-8.
    """
    code, text = value[:_CODE], value[_CODE:]
    match code.rstrip(b"\0 ").upper():
        case b"UNICODE":
            return _unicode(text, order)
        case b"ASCII":
            return _text(text)
        case b"JIS":
            return text.decode("iso2022_jp", "replace").rstrip("\0 ")
        case b"":
            return _unicode(text, order) if text[:1] == b"\0" or text[1:2] == b"\0" else _text(text)
    return _text(value)


def _unicode(data: bytes, order: Order) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").rstrip("\0 ")
    even, odd = data[0::2].count(0), data[1::2].count(0)
    if not even and not odd and _is_utf8(data) and data.isascii():
        return _text(data)
    if even != odd:  # most characters of a text are Latin: their other byte is 0
        order = ">" if even > odd else "<"
    return data.decode("utf-16-be" if order == ">" else "utf-16-le", "replace").rstrip("\0 ")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(data: bytes) -> str:
    data = data.rstrip(b"\0 ")
    return data.decode() if _is_utf8(data) else data.decode("latin-1")
