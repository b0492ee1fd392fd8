"""Addresses of sockets: `tcp://HOST:PORT` and nothing else."""

import re
from typing import Final, NamedTuple, Self

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"  # libzmq raises for a name that is only dots or dashes
_ADDRESS = re.compile(rf"tcp://(?P<host>\[[0-9a-fA-F:]+\]|{_NAME}(?:\.{_NAME})*\.?):(?P<port>\d{{1,5}})", re.ASCII)
MAX_PORT: Final = 65_535


class AddressError(ValueError):
    """An address is not of the form tcp://HOST:PORT."""


class Address(NamedTuple):
    """Host and port of a `tcp://` address."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as ZeroMQ wants it."""
        return f"tcp://{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `tcp://HOST:PORT`; libzmq itself takes port 99999 and binds another one.

    Raises:
        AddressError: it is not of this form.
    """
    match = _ADDRESS.fullmatch(text)
    if not match or int(match["port"]) > MAX_PORT:
        raise AddressError(f"{text!r} is no address: write tcp://HOST:PORT, such as tcp://127.0.0.1:5561")
    return Address(match["host"], int(match["port"]))


class Advertised(NamedTuple):
    """The addresses at which clients reach a publisher, where they are not those that it has bound itself."""

    feed: Address
    control: Address | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `FEED` or `FEED,CONTROL`.

        Raises:
            AddressError: one is not of the form tcp://HOST:PORT.
        """
        feed, comma, control = text.partition(",")
        return cls(parse_address(feed), parse_address(control) if comma else None)
