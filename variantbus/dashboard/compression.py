"""Which answers travel compressed."""

import gzip
from typing import Final

LEAST: Final = 1024  # bytes; fewer fit into one packet anyway
LEVEL: Final = 6


def takes_gzip(accepted: str) -> bool:
    """Return whether a header `Accept-Encoding` allows gzip."""
    weights = dict(_coding(one) for one in accepted.lower().split(","))
    return weights.get("gzip", weights.get("*", "0")).strip("0.") != ""


def packed(data: bytes, accepted: str, level: int = LEVEL) -> tuple[bytes, dict[str, str]]:
    """Return data for a client with this `Accept-Encoding`, and the headers that say how it is encoded."""
    if len(data) < LEAST:
        return data, {}
    vary = {"vary": "accept-encoding"}
    if not takes_gzip(accepted):
        return data, vary
    return gzip.compress(data, level, mtime=0), {"content-encoding": "gzip", **vary}


def _coding(text: str) -> tuple[str, str]:
    """Return the name of an encoding, and its weight."""
    name, _, rest = text.partition(";")
    key, _, weight = rest.partition("=")
    return name.strip(), weight.strip() if key.strip() == "q" else "1"
