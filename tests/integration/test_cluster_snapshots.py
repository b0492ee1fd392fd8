"""A copy of a file that is being made does not meet another one, and none is left over."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from learning_service.cluster import snapshots
from learning_service.cluster.snapshots import Snapshot
from tests.support.helpers import PATIENCE, TIME_FACTOR

SECONDS = PATIENCE * TIME_FACTOR


class Away:
    """A cluster that does not answer."""

    async def object_store(self, _name: str) -> Any:
        """Say nothing."""
        raise TimeoutError


def test_a_copy_that_was_given_up_is_no_other_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread goes on for as long as a large file takes; what it has written goes with the next one."""
    path, made = tmp_path / "learning.db", list[Path]()
    began, go_on = threading.Event(), threading.Event()

    def make(_path: Path, packed: Path) -> Snapshot:
        made.append(packed)
        if len(made) == 1:
            began.set()
            assert go_on.wait(SECONDS)
        packed.write_bytes(b"a copy")
        return Snapshot(1, 1)

    async def take() -> None:
        js: Any = Away()
        first = asyncio.ensure_future(snapshots.take(js, path))
        assert await asyncio.to_thread(began.wait, SECONDS)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(TimeoutError):
            await snapshots.take(js, path)
        go_on.set()

    monkeypatch.setattr(snapshots, "_make", make)
    asyncio.run(take())  # which waits for all threads
    assert len(set(made)) == 2
    path.with_name("learning.db.snapshot.db").write_bytes(b"of a process that was killed")
    with pytest.raises(TimeoutError):
        asyncio.run(snapshots.take(Away(), path))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
