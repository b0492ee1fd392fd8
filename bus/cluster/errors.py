"""What can go wrong with a cluster."""

from bus.protocol.validation import InvalidInputError


class ClusterError(Exception):
    """The cluster does not answer, or not as expected; it may later."""


class ClusterRefusedError(InvalidInputError):
    """The cluster cannot be used as it is set up; the text says what to change."""


def told(error: BaseException) -> str:
    """Return what an error says; some of nats-py say nothing but their names."""
    return str(error) or type(error).__name__
