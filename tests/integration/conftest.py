"""The fixture of the tests that join a learning service with runners."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, open_house


@pytest.fixture
def house(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    """Give a house, and stop whatever is left in it."""
    with open_house(tmp_path, monkeypatch) as house:
        yield house
