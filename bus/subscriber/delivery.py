"""The events that a subscriber delivers, and where it begins."""

from enum import Enum
from typing import NamedTuple

from msgspec import Raw, Struct

from bus.contracts.messages import Message, decode_body


class Position(NamedTuple):
    """The position of a consumer in one prefix of one publisher; store it with the effect of the event."""

    epoch: int | None
    offset: int


class Start(Enum):
    """Where a subscriber without a stored position begins."""

    BEGINNING = "beginning"  # everything that is kept
    LATEST = "latest"  # the newest event of each topic, then what follows
    NOW = "now"  # what is published from now on


class Delivery(Struct, frozen=True, gc=False):
    """One event, once and in order within its prefix. `offset` 0: it was ephemeral, and has no position."""

    source: str
    prefix: str
    epoch: int
    offset: int
    topic: str
    time_ns: int
    body: Raw

    @property
    def message(self) -> Message | None:
        """The decoded body; None for a type that this version does not know.

        Raises:
            InvalidInputError: the body is no message.
        """
        return decode_body(self.body)
