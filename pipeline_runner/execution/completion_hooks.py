"""Completion hooks: functions of installed packages, called after each job has ended.

An entry point of the group `variantbus.completion_handlers` names a function `hook(record, result)`. The hooks run in
one thread of their own, so that a slow one delays neither jobs nor the control socket. See docs/plugins.md.
"""

import importlib.metadata
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Final

from bus.contracts.messages import JobResult
from pipeline_runner.queue.completion import CompletionHandler
from pipeline_runner.queue.jobs import NormalizedJobRecord

GROUP: Final = "variantbus.completion_handlers"
QUEUE_LIMIT: Final = 1000  # ended jobs that wait for the hooks; further ones are skipped
WARNING_SECONDS: Final = 60.0  # at least so long between two warnings about skipped jobs
logger = logging.getLogger(__name__)


def load_completion_hooks() -> dict[str, CompletionHandler]:
    """Return every installed hook by name; one that cannot be loaded is logged and left out."""
    hooks: dict[str, CompletionHandler] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            hook = entry.load()
        except Exception:
            logger.exception("completion hook %s cannot be loaded", entry.name)
            continue
        if callable(hook):
            hooks[entry.name] = hook
        else:
            logger.error("completion hook %s cannot be loaded: %s is no function", entry.name, entry.value)
    return hooks


class CompletionHooks:
    """Calls hooks one after another in one thread, in the order in which the jobs ended."""

    def __init__(self, hooks: Mapping[str, CompletionHandler], limit: int = QUEUE_LIMIT) -> None:
        """Start the thread, if there are hooks; at most `limit` ended jobs wait for them."""
        self._hooks = dict(hooks)
        self._ended: Queue[tuple[NormalizedJobRecord, JobResult] | None] = Queue(limit)
        self._closing = False
        self.skipped = 0  # ended jobs for which no hook was called
        self._next_warning = 0.0  # on the monotonic clock
        # a daemon, so that a hook that hangs cannot keep the process alive
        self._thread = threading.Thread(target=self._work, name="completion hooks", daemon=True)
        if self._hooks:
            self._thread.start()

    def notify(self, record: NormalizedJobRecord, result: JobResult) -> None:
        """Queue an ended job for the hooks; it is skipped where too many wait. Never blocks and never raises."""
        if not self._hooks:
            return
        try:
            self._ended.put_nowait((record, result))
        except Full:
            self.skipped += 1
            now = time.monotonic()
            if now >= self._next_warning:
                self._next_warning = now + WARNING_SECONDS
                logger.warning("completion hooks are too slow: they were not called for %d jobs", self.skipped)

    def close(self, seconds: float) -> None:
        """Call the hooks for the jobs that wait, for at most so many seconds, then stop."""
        if not self._hooks:
            return
        deadline = time.monotonic() + seconds
        self._closing = True
        with suppress(Full):  # the thread is not waiting then, and sees `_closing` when the queue is empty
            self._ended.put_nowait(None)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            logger.warning("completion hooks did not end in time; about %d jobs are skipped", self._ended.qsize())

    def _work(self) -> None:
        """Run in the thread of the hooks."""
        while True:
            try:
                ended = self._ended.get(block=not self._closing)
            except Empty:
                return
            if ended is None:
                return
            for name, hook in self._hooks.items():
                _call(name, hook, *ended)


def _call(name: str, hook: CompletionHandler, record: NormalizedJobRecord, result: JobResult) -> None:
    try:
        hook(record, result)
    except BaseException:  # also SystemExit, which would end the thread
        logger.exception("completion hook %s failed for job %s", name, record.job_id)
