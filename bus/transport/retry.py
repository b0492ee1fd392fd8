"""Once more, when a transaction could not be written: the disk may have room again then."""

import logging
from typing import Final

from bus.transport.loop import Callback, Loop

RETRY_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


def retry_later(loop: Loop, error: Exception, action: Callback) -> None:
    """Log a transient error, and call `action` again in a second."""
    logger.error("%s; trying again", error)
    loop.later(RETRY_SECONDS, action)
