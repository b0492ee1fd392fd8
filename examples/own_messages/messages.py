"""What the rooms of a house say: the messages of this example, which publisher and subscriber share."""

import msgspec


class Reading(msgspec.Struct, frozen=True, kw_only=True, tag="room.reading"):
    """A thermometer was read."""

    room: str
    celsius: float


class Target(msgspec.Struct, frozen=True, kw_only=True, tag="room.target"):
    """How warm a room is to be: the newest one is the whole state."""

    room: str
    celsius: float


class SetTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the control method `target.set`."""

    room: str
    celsius: float


decode = msgspec.msgpack.Decoder(Reading | Target).decode
