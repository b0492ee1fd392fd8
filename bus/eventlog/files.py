"""The files around a log's database: the lock that keeps a second process out, and the synced copy of its head."""

import errno
import fcntl
import logging
import os
import secrets
import threading
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path

from bus.eventlog.disk_faults import disk_fault
from bus.eventlog.errors import DiskError, LogError
from bus.eventlog.mounts import require_local

logger = logging.getLogger(__name__)


def new_epoch() -> int:
    """Return a random 63-bit number, never 0."""
    return secrets.randbits(62) + (1 << 62)


@cache
def boot_id() -> str:
    """Return the id of this boot of the machine; where it is not known, every opening counts as a new boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


def _identity(path: Path) -> tuple[int, int]:
    """Return device and inode of a file, which change if it is replaced; (0, 0) if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino


def holder(path: Path) -> str:
    """Return the process that the lock file of a database names."""
    pid = path.with_suffix(".lock").read_text(encoding="ascii", errors="replace").strip()
    return f"process {pid}" if pid.isdigit() else "another process"


def take_lock(descriptor: int) -> None:
    """Lock a file for this process, and name the process in it for the error message of a second one.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be written.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)


def is_locked(lock: Path) -> bool:
    """Return whether a process holds a lock file."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


class LogFile:
    """Holds the lock of a database file, and reads and writes the head file beside it."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            LogError: another process holds it, the folder cannot be written, or it is on a network file system.
        """
        require_local(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            text = f"cannot write to {error.filename}: {error.strerror}; choose another --data-dir"
            raise LogError(text) from error
        try:
            take_lock(self._lock)
            head = path.with_suffix(".head")
            if head.exists() and not head.is_file() and not head.is_dir():
                raise OSError(errno.EINVAL, "it is no regular file; move it away", str(head))  # noqa: TRY301
            self._head = os.open(head, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            os.close(self._lock)
            if isinstance(error, BlockingIOError):
                text = f"{path} is in use by {holder(path)}; stop that one or choose another --data-dir"
                raise LogError(text) from None
            text = f"cannot write to {error.filename or path.with_suffix('.lock')}: {error.strerror}"
            raise LogError(text) from error
        self._written = b""
        self._noting = threading.Lock()
        self._closed = False
        self.head_noted = True  # the last head could be written
        self._path = path
        self._files: dict[Path, tuple[int, int]] = {}  # device and inode of each, once the database is there

    def read_head(self) -> tuple[int | None, int]:
        """Return the stored epoch and head; (None, 0) if there are none, and no log's epoch, 0, if they are damaged."""
        stored = os.pread(self._head, 64, 0)
        if not stored:
            return None, 0
        try:
            epoch, head = (int(field) for field in stored.split())
        except ValueError:
            return 0, 0
        return epoch, head

    def write_head(self, newest: Callable[[], tuple[int, int]]) -> None:
        """Write epoch and head and sync them: one small write in place, which a power cut leaves complete or undone.

        What is committed is safe without it. So if it cannot be written now, the log goes on, and says which file.
        Other threads may call it; `newest` is asked in turn, so no older head replaces a newer one. Once the files are
        closed it does nothing.

        Raises:
            LogError: the files are not those that were opened; raised once, as the caller then closes the log.
            DiskError: the disk fails.
        """
        with self._noting:
            if not self._closed:
                self._write_head(*newest())

    def _write_head(self, epoch: int, head: int) -> None:
        try:
            self._check_files()
            line = b"%020d %020d\n" % (epoch, head)
            if line != self._written:
                self._written = b""
                os.pwrite(self._head, line, 0)
                os.ftruncate(self._head, len(line))  # damage may have made it longer
                os.fsync(self._head)
                self._written = line
        except OSError as error:
            self._miss_head(error)
        else:
            self.head_noted = True

    def _miss_head(self, error: OSError) -> None:
        """Say once that the head cannot be noted, and what that means; an error of the device is raised."""
        path = self._path.with_suffix(".head")
        fault = disk_fault(error, path)
        if isinstance(fault, DiskError):
            raise fault from error
        if self.head_noted:
            text = "%s cannot be written: %s; the log goes on, but until it can, a lost end would not be noticed"
            logger.error(text, path, error.strerror)
        self.head_noted = False

    def _check_files(self) -> None:
        """Detect that a file was removed or replaced: SQLite would write where nothing can be read again."""
        names = (
            self._path,
            self._path.with_name(f"{self._path.name}-wal"),
            *map(self._path.with_suffix, (".lock", ".head")),
        )
        present = {one: _identity(one) for one in names}
        opened, self._files = self._files or present, present
        changed = [one for one in present if present[one] != opened[one]]
        if changed:
            raise LogError(
                f"{changed[0]} was removed or replaced while this process used it, so what was written since is lost; "
                "put the right file there and start again"
            )

    def close(self) -> None:
        """Release the lock."""
        with self._noting:
            self._closed = True
            os.close(self._head)
            os.close(self._lock)


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
