"""What docs/publishing.md shows is in the example, and the example runs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from bus import request
from tests.support.helpers import PATIENCE, TIME_FACTOR

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLE: Final = ROOT / "examples" / "own_messages"
PAGE: Final = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")


class Target(msgspec.Struct, frozen=True, tag="room.target"):
    """What the example's method answers."""

    room: str
    celsius: float


@contextmanager
def running(script: str, *arguments: str) -> Iterator[Iterator[str]]:
    """Run a script of the example and return its lines."""
    command = [sys.executable, str(EXAMPLE / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=EXAMPLE) as process:
        try:
            assert process.stdout
            yield iter(process.stdout)
        finally:
            process.terminate()


def test_the_example_publishes_answers_and_is_followed(tmp_path: Path) -> None:
    """A late joiner gets the newest target of each room, then what is read."""
    with running("publisher.py", str(tmp_path / "rooms.sqlite"), "0") as lines:
        address = next(lines).split()[1]
        for celsius in (19.5, 21.5):
            wanted = Target(room="living room", celsius=celsius)
            params = {"room": wanted.room, "celsius": wanted.celsius}
            assert request(address, "target.set", params, Target, PATIENCE * TIME_FACTOR) == wanted
        with running("subscriber.py", address) as events:
            seen = [next(events) for _ in range(3)]

    targets = [line for line in seen if "room.target." in line]
    assert len(targets) == 1
    assert "room.target.living%20room. Target(room='living room', celsius=21.5)" in targets[0]
    assert any("Reading(room='kitchen'" in line for line in seen)


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_page_shows_the_example(block: str) -> None:
    """Each block stands so in one of its files, but for the call of a client, which the test above makes."""
    code = [path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.py")]
    assert "bus.request(" in block or any(block in one for one in code)
