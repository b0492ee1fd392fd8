"""The fixtures of the tests that join a learning service with runners, or spoil a feed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Service
from tests.house import House, open_house
from tests.relay import Policy, Relay
from tests.studio import Studio


@pytest.fixture
def house(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    """Give a house, and stop whatever is left in it."""
    with open_house(tmp_path, monkeypatch) as house:
        yield house


@pytest.fixture
def relay(no_leaks: None) -> Iterator[Callable[[Service, Policy], Relay]]:  # noqa: ARG001 - it looks after us
    """Put relays before services: their `info` reports the relay's address as the feed."""
    relays: list[Relay] = []

    def make(service: Service, policy: Policy) -> Relay:
        relays.append(Relay(service.publisher.feed, policy))
        service.publisher.feed = relays[-1].address
        return relays[-1]

    yield make
    for one in relays:
        one.close()


@pytest.fixture
def studio(no_leaks: None, tmp_path: Path) -> Iterator[Studio]:  # noqa: ARG001 - it looks after us
    """Give a runner with a painter."""
    studio = Studio(tmp_path)
    yield studio
    studio.runner.stop()
