"""The errors of a log."""


class LogError(Exception):
    """A log cannot be used; the text says which and what to do about it."""


class DiskError(LogError):
    """The disk of a log or of another file failed while it was in use. Nobody knows what is on it now.

    The process has to end; its next start reads anew what is there.
    """


class ReplicationError(LogError):
    """What was to be committed cannot be passed on, so it is not: another service may have taken over.

    Whoever waits for an answer gets one; then the service has to end.
    """


class StorageError(Exception):
    """Nothing can be written now, and nothing was: the disk is full or read-only, or another process writes. Try again.

    See `bus.eventlog.disk_faults` for what else an error of the disk can mean.
    """


class BodyTooLargeError(ValueError):
    """A message is larger than what subscribers accept; put large data in a file and send a reference."""
