"""Completion handlers: functions that are called, one after another, when a job has ended."""

import logging
from collections.abc import Callable

from bus.contracts.messages import JobResult
from pipeline_runner.queue.jobs import NormalizedJobRecord

CompletionHandler = Callable[[NormalizedJobRecord, JobResult], None]
logger = logging.getLogger(__name__)


class CompletionHandlers:
    """The registered functions; an exception in one affects neither the others nor the job."""

    def __init__(self) -> None:
        """Start with none."""
        self._handlers: list[CompletionHandler] = []

    def register(self, handler: CompletionHandler) -> None:
        """Call `handler(record, result)` whenever a job has ended; registering twice counts once."""
        if handler not in self._handlers:
            self._handlers.append(handler)

    def unregister(self, handler: CompletionHandler) -> None:
        """Stop calling a handler; an unknown one is no error."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def notify(self, record: NormalizedJobRecord, result: JobResult) -> None:
        """Call every handler; one that raises is logged."""
        for handler in tuple(self._handlers):
            try:
                handler(record, result)
            except Exception:
                logger.exception("completion handler %r failed for job %s", handler, record.job_id)
