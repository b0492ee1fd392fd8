"""A learning service of which something is spoiled, for the controls of the tests of the cluster, as `spoiled_runner`.

It reads the ends of jobs only when the file in HOLD is there. SPOILED in its environment holds words: `positions` (it
looks neither whether what it reads is complete, nor whether something is left over).
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from bus.cluster import names, tail
from bus.console.process import run_service
from learning_service.cluster import settling
from learning_service.cluster.numbers import Seen
from learning_service.cluster.reader import Reader

SPOILED: Final = os.environ.get("SPOILED", "").split()
HOLD: Final = Path(os.environ.get("HOLD", ""))
_follow: Final = tail.follow


async def follow(client: Any, js: Any, stream: str, *place: int) -> AsyncIterator[list[tail.Stored]]:
    """Read a stream as the product does, that of ends only when it may be read."""
    while stream == names.ENDS and not await asyncio.to_thread(HOLD.exists):  # noqa: ASYNC110 - the test makes it
        await asyncio.sleep(0.05)
    async for batch in _follow(client, js, stream, *place):
        yield batch


async def go_on(reader: Reader, to: int) -> None:
    """Take another place for the next one, and say nothing."""
    reader._at = to


def take(_seen: Seen, number: int, complete: int) -> tuple[Seen, None]:
    """Take what a runner says for granted."""
    return Seen(max(number, complete)), None


def is_not_settled(*_looks: object) -> bool:
    """Return that more may come."""
    return False


if __name__ == "__main__":
    tail.follow = follow  # type: ignore[assignment]
    if "positions" in SPOILED:
        Reader._rewind = go_on  # type: ignore[assignment,method-assign]
        settling.is_settled = is_not_settled  # type: ignore[assignment]
        Seen.after = take  # type: ignore[assignment,method-assign]
    from learning_service.main import main  # with what is spoiled

    run_service(main)
