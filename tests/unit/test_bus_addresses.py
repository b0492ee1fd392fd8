"""Addresses; what the sockets do is in the integration tests."""

import pytest

from bus.protocol.addresses import Address, AddressError, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://127.0.0.1:5561", Address("127.0.0.1", 5561)),
        ("tcp://my-host.example:1", Address("my-host.example", 1)),
        ("tcp://[::1]:65535", Address("[::1]", 65535)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    """Host and port, and back."""
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.fault(item="B37")
@pytest.mark.fault(item="B38")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "5561",
        "127.0.0.1:5561",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:٣",
        "ipc:///tmp/x",
        "tcp://a b:1",
        "tcp://127.0.0.1:1;",
        "tcp://127.0.0.1:1\n",
        "tcp://*:5561",
        "tcp://-:1",
        "tcp://.:1",
        "tcp://a..b:1",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    """The library itself would take port 99999 and use another one."""
    with pytest.raises(AddressError, match="write tcp://HOST:PORT, such as"):
        parse_address(text)
