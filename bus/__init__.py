"""A brokerless message bus: every publisher keeps its log, and subscribers verify that they missed nothing.

From the inside out: `protocol` (frames, topics, predecessors, recovery: pure), `eventlog` (the log on disk),
`transport` (sockets, requests, keys), then `publisher` and `subscriber`. None of these knows the messages of
`contracts`, except that a `Delivery` can decode one. `config` and `telemetry` are for all of them; `console` is
`python -m bus`.

May import pyzmq and msgspec, and nothing of ours: `pipeline_runner`, `learning_service` and `variantbus` are above it.
"""

from bus.eventlog.log import Log
from bus.publisher import Publisher
from bus.subscriber.sync import Delivery, Position, Start, Subscriber
from bus.transport.client import request
from bus.transport.keys import Keys
from bus.transport.loop import Loop

__all__ = ["Delivery", "Keys", "Log", "Loop", "Position", "Publisher", "Start", "Subscriber", "request"]
__version__ = "0.1.0"
