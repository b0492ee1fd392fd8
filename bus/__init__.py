"""A brokerless message bus: every publisher keeps its log, and subscribers verify that they missed nothing.

From the inside out: `protocol` (frames, topics, predecessors, recovery: pure), `eventlog` (the log on disk),
`transport` (sockets, requests, keys), then `publisher` and `subscriber`. None of these knows the messages of
`contracts`, except that a `Delivery` can decode one. `config` and `telemetry` are for all of them; `console` is
`python -m bus`.

May import pyzmq and msgspec, and nothing of ours: `pipeline_runner`, `learning_service` and `variantbus` are above it.

What it offers is imported when it is first used: a command that needs one part does not wait for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bus.eventlog.log import Log
    from bus.protocol.addresses import Address
    from bus.protocol.control import ControlError
    from bus.publisher import Publisher
    from bus.subscriber.sync import Delivery, Position, Start, Subscriber
    from bus.transport.client import request
    from bus.transport.keys import Keys
    from bus.transport.loop import Loop

__all__ = [
    "Address",
    "ControlError",
    "Delivery",
    "Keys",
    "Log",
    "Loop",
    "Position",
    "Publisher",
    "Start",
    "Subscriber",
    "request",
]
__version__ = "0.1.0"

_HOMES: Final = {
    "Address": "bus.protocol.addresses",
    "ControlError": "bus.protocol.control",
    "Delivery": "bus.subscriber.sync",
    "Keys": "bus.transport.keys",
    "Log": "bus.eventlog.log",
    "Loop": "bus.transport.loop",
    "Position": "bus.subscriber.sync",
    "Publisher": "bus.publisher",
    "Start": "bus.subscriber.sync",
    "Subscriber": "bus.subscriber.sync",
    "request": "bus.transport.client",
}


def __getattr__(name: str) -> object:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return all names, imported or not."""
    return sorted({*globals(), *__all__})
