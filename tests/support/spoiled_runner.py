"""A runner of which something is spoiled, for the controls of the tests of the cluster: `python -m`, with its options.

SPOILED in its environment holds words: `compare` (ends are written without a comparison), `hold` (ends wait until the
file in HOLD is there).
"""

import asyncio
import os
from pathlib import Path
from typing import Final

from nats.js import JetStreamContext

from bus.cluster import ends, names, streams
from bus.cluster.ends import Outcome
from bus.cluster.messages import End, encode
from bus.console.process import run_service

SPOILED: Final = os.environ.get("SPOILED", "").split()
ACK_SECONDS: Final = 3.0  # so that nobody has to be away for long
HOLD: Final = Path(os.environ.get("HOLD", ""))
_commit: Final = ends.commit


async def commit(js: JetStreamContext, subject: str, end: End) -> Outcome:
    """Commit as the product does, or as it would without a comparison."""
    if "hold" in SPOILED:
        tell("held")
        while not await asyncio.to_thread(HOLD.exists):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)
    outcome: Outcome = "won"
    if "compare" in SPOILED:
        await js.publish(subject, encode(end), stream=names.ENDS)
    else:
        outcome = await _commit(js, subject, end)
    tell("sent")
    return outcome


def tell(word: str) -> None:
    """Print a line for the test."""
    print(word, flush=True)  # noqa: T201 - what the test waits for


if __name__ == "__main__":
    streams.ACK_SECONDS = ACK_SECONDS  # type: ignore[misc]
    ends.commit = commit
    from pipeline_runner.main import main  # with what is spoiled

    run_service(main)
