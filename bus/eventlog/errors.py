"""The errors of a log."""


class LogError(Exception):
    """A log cannot be used; the text says which and what to do about it."""


class StorageError(Exception):
    """Nothing can be written now, and nothing was: the disk is full or read-only, or another process writes. Try again.

    Any other error of the database is a `LogError`: after a failed sync nobody knows what is on the disk, so the
    process has to end and read it anew.
    """


class BodyTooLargeError(ValueError):
    """A message is larger than what subscribers accept; put large data in a file and send a reference."""
