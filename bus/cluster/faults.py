"""What the client of NATS raises when a cluster does not answer, or not as expected: one error for all of it."""

from collections.abc import Awaitable
from typing import Final, TypeVar

import nats.errors

from bus.cluster.errors import ClusterError, told
from bus.protocol.validation import InvalidInputError

R = TypeVar("R")
FAULTS: Final = (nats.errors.Error, TimeoutError, OSError, InvalidInputError)


async def asked(work: Awaitable[R]) -> R:
    """Return the result of what asks a cluster.

    Raises:
        ClusterError: it does not answer, or not as expected; whether it has done what it was asked is not known.
    """
    try:
        return await work
    except FAULTS as error:
        raise ClusterError(told(error)) from error
