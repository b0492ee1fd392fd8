"""Variants as rows: each has one as a whole, and perhaps one with what has changed since."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from bus.eventlog.row_checksums import Row, checked
from learning_service.experiments import pictures, saving
from learning_service.experiments.variants import Variant

Variants = Mapping[tuple[str, int], Variant]  # by experiment and index

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Variant).decode


def variant_rows(variants: Variants) -> list[Row]:
    """Return variants as they are written as a whole."""
    return checked("variants", [(*key, _encode(saving.whole(variant))) for key, variant in variants.items()])


def news_rows(variants: Variants) -> list[Row]:
    """Return what has changed of variants as it is written."""
    return checked("variant_news", [(*key, _encode(saving.news(variant))) for key, variant in variants.items()])


def loaded(state: bytes, news: bytes | None) -> Variant:
    """Return a stored variant; its pictures are not looked at, for which the rows have checksums.

    Raises:
        DecodeError, UnicodeDecodeError: it is none.
    """
    stored = _decode(state)
    if news is None and stored.packed is not pictures.NONE:
        stored = replace(stored, packed=stored.packed.copy())  # which would keep the whole state in memory
    return saving.joined(stored, None if news is None else _decode(news))


def is_readable(state: bytes, news: bytes | None) -> bool:
    """Return whether a stored variant can be decoded."""
    try:
        pictures.unpack(loaded(state, news).packed)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
