"""What the client of NATS raises when a cluster does not answer, or not as expected: one error for all of it."""

import logging
from collections.abc import Awaitable
from typing import Final, TypeVar

import nats.errors

from bus.cluster.errors import ClusterError, ClusterRefusedError, told
from bus.protocol.validation import InvalidInputError
from bus.telemetry.logging import RepeatFilter

R = TypeVar("R")
FAULTS: Final = (nats.errors.Error, TimeoutError, OSError, InvalidInputError)
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a cluster that is away must not decide how much we log


async def asked(work: Awaitable[R]) -> R:
    """Return the result of what asks a cluster.

    Raises:
        ClusterError: it does not answer, or not as expected; whether it has done what it was asked is not known.
        ClusterRefusedError: only a person can change what is in the way.
    """
    try:
        return await work
    except ClusterRefusedError:
        raise
    except FAULTS as error:
        raise ClusterError(told(error)) from error


async def attempted(work: Awaitable[R]) -> R:
    """Return the result of what asks a cluster and is to be tried again, whatever it raises.

    The client of NATS raises what it likes while a connection breaks: that is no reason to stop for good.

    Raises:
        ClusterError: there is no result; what `FAULTS` does not list is in the log, with its traceback.
        ClusterRefusedError: as for `asked`.
    """
    try:
        return await asked(work)
    except (ClusterError, ClusterRefusedError):
        raise
    except Exception as error:
        logger.exception("work at the cluster failed")
        raise ClusterError(f"{type(error).__name__}: {error}") from error
