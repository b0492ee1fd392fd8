"""What an image server tells of the machine that it runs on."""

from msgspec import Struct


class DeviceView(Struct, frozen=True, kw_only=True):
    """The memory of one graphics card, in bytes: of all programs that use it."""

    name: str
    total: int
    free: int


class ServerView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server as its pipeline saw it last: some tell of their memory or version, others do not."""

    url: str
    version: str = ""
    devices: tuple[DeviceView, ...] = ()
