"""Transient errors: a transaction that could not be written now is tried again, as the disk may have room then."""

import logging
from typing import Final

from bus.transport.loop import Callback, Loop

RETRY_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


def retry_later(loop: Loop, error: Exception, action: Callback) -> None:
    """Log a transient error, and call `action` again in a second."""
    log_transient(error)
    loop.later(RETRY_SECONDS, action)


def log_transient(error: Exception) -> None:
    """Log a transient error whose action is repeated by a timer anyway."""
    logger.error("%s; trying again", error)
