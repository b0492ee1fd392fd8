"""Checks of the servers of pipelines: whether each answers, and what it offers; one thread for each."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from bus.transport.loop import Loop
from pipeline_runner.pipelines import Pipeline
from pipeline_runner.queue.jobs import error_text

AWAY_SECONDS: Final = 5.0  # between two checks of a server that does not answer
HURRY_SECONDS: Final = 1.0  # the same while jobs wait for it
REASON_LIMIT: Final = 500  # characters of why a server is away
Answered = Callable[[str, str], None]
logger = logging.getLogger(__name__)


class Refresher:
    """Calls `refresh` of each pipeline that has a server."""

    def __init__(self, loop: Loop, pipelines: Mapping[str, Pipeline], answered: Answered) -> None:
        """Call `answered` in the loop's thread, with pipeline and why its server is unreachable, "" if it is not."""
        self._loop, self._answered = loop, answered
        self._stopping = False
        self._hurried: set[str] = set()
        self._hurries = {name: threading.Event() for name, one in pipelines.items() if one.refresh_seconds is not None}
        self._threads = [
            threading.Thread(target=self._check, args=(name, pipelines[name]), name=f"refresh {name}", daemon=True)
            for name in self._hurries
        ]
        for thread in self._threads:
            thread.start()

    @property
    def names(self) -> set[str]:
        """The pipelines that have a server."""
        return set(self._hurries)

    def hurry(self, pipeline: str) -> None:
        """Check now, and often until the server answers: jobs wait for it."""
        if pipeline not in self._hurried:
            self._hurried.add(pipeline)
            self._hurries[pipeline].set()

    def stop(self) -> None:
        """Start no more checks."""
        self._stopping = True
        for hurry in self._hurries.values():
            hurry.set()

    def join(self, seconds: float) -> None:
        """Wait for all threads, at most so long; one that still waits for an answer ends with the process."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _check(self, name: str, pipeline: Pipeline) -> None:
        """Run in a thread of its own."""
        hurry = self._hurries[name]
        while not self._stopping:
            reason = _refresh(name, pipeline)
            if self._stopping:
                return
            if not reason:
                self._hurried.discard(name)
            self._loop.call(partial(self._answered, name, reason))
            away_seconds = HURRY_SECONDS if name in self._hurried else AWAY_SECONDS
            hurry.wait(away_seconds if reason else pipeline.refresh_seconds)
            hurry.clear()


def _refresh(name: str, pipeline: Pipeline) -> str:
    """Refresh a pipeline and return why its server cannot be reached, "" if it can; never raises."""
    try:
        reason = str(pipeline.refresh())
    except BaseException as error:
        logger.exception("pipeline %s cannot be refreshed", name)
        reason = f"{name}: {error_text(error)}"
    return reason[:REASON_LIMIT].encode("utf-8", "replace").decode()
