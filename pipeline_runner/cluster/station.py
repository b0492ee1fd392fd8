"""What a runner lets its membership of a cluster use."""

from collections.abc import Callable
from typing import NamedTuple

from bus.contracts.jobs import JobRequest, PipelinesReply
from bus.publisher import Publisher


class Station(NamedTuple):
    """What the runner lets its membership use, beside its queue.

    Attributes:
        check: Raises `InvalidInputError` for a job that could not run here.
        stop: Stops a running job.
        changed: Called when the queue has changed.
        offer: Returns what it offers at present.
    """

    publisher: Publisher
    check: Callable[[JobRequest], None]
    stop: Callable[[str], None]
    changed: Callable[[], None]
    offer: Callable[[], PipelinesReply]
