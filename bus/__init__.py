"""A brokerless message bus: every publisher keeps its log, and subscribers verify that they missed nothing.

The parts, from the inside out: `messages` and `topics` (what is said), `wire` (how it looks in frames), `log` (the
truth, on disk), `catchup` (the decisions of a subscriber, without I/O), `publisher` and `subscriber` (the sockets).
"""

from bus.eventlog.log import Log
from bus.publisher import Publisher
from bus.subscriber.sync import Delivery, Position, Start, Subscriber
from bus.transport.client import request
from bus.transport.keys import Keys
from bus.transport.loop import Loop

__all__ = ["Delivery", "Keys", "Log", "Loop", "Position", "Publisher", "Start", "Subscriber", "request"]
__version__ = "0.1.0"
