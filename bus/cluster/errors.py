"""What can go wrong with a cluster."""

from typing import Final

from bus.protocol.validation import InvalidInputError


class ClusterError(Exception):
    """The cluster does not answer, or not as expected; it may later."""


class ClusterRefusedError(InvalidInputError):
    """The cluster cannot be used as it is set up; the text says what to change."""


NO_ROOM: Final = "the servers have no room left; give their disks or the limits of JetStream more, and restart them"
DISK_FULL: Final = "no space left on device"
SENTENCES: Final = {  # by the number of the error, or by its name
    10023: NO_ROOM,
    10047: NO_ROOM,
    10077: NO_ROOM,
    "AuthorizationError": "the server does not take the credentials, or wants some",
    "NoStreamResponseError": "no stream takes this now: it has no leader, or it is gone",
    "TimeoutError": "no answer came in time",
    "ServiceUnavailableError": "JetStream does not answer: it is off, chooses who leads, or is not for this user",
}


def told(error: BaseException) -> str:
    """Return what an error says; some of nats-py say nothing but their names, or numbers around the words."""
    for key in (getattr(error, "err_code", None), type(error).__name__):
        if key in SENTENCES:
            return SENTENCES[key]
    text = getattr(error, "description", None) or str(error) or type(error).__name__
    return NO_ROOM if DISK_FULL in text else text
