"""File systems that a log cannot be on: those that reach another machine.

SQLite's write-ahead log needs memory that all its users share, and locks and syncs that do what they say. Over a
network none of that is sure: two machines may write one file, and what was committed may be gone.
"""

import os
from pathlib import Path
from typing import Final

from bus.eventlog.errors import LogError

MOUNTS: Final = Path("/proc/self/mountinfo")  # Linux alone has it
_NETWORK: Final = {
    *("9p", "afs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"),
    *("prl_fs", "vboxsf", "vmhgfs"),  # folders that a virtual machine shares with its host
}
_NETWORK_FUSE: Final = {
    *("ceph-fuse", "davfs2", "gcsfuse", "glusterfs", "gvfsd-fuse", "juicefs"),
    *("mount-s3", "rclone", "s3fs", "sshfs", "vmhgfs-fuse"),
}
_SANDBOX: Final = "trans=fd"  # 9p whose other end is a program on this machine: the disk of a container under gVisor,
_WINDOWS: Final = "aname=drvfs"  # or of Windows under WSL, where locks and shared memory do not hold


def mount_of(mounts: str, device: int) -> tuple[str, str]:
    """Return kind and options of the file system with this device number; both are "" if the table does not have it.

    `mounts` is the text of proc(5)'s mountinfo: device `major:minor` in the third field; kind, source and options
    behind ` - `.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.split("\n"):
        mount, _, source = line.partition(" - ")
        if mount.split(" ")[2:3] == [number]:
            kind, _, options = source.partition(" ")
            return kind, options
    return "", ""


def is_network(kind: str, options: str = "") -> bool:
    """Return whether such a file system reaches another machine, or Windows: `nfs4`, `fuse.sshfs`."""
    name, _, program = kind.partition(".")
    if kind == "9p" and _SANDBOX in options and _WINDOWS not in options:
        return False
    return kind in _NETWORK or (name == "fuse" and program in _NETWORK_FUSE)


def require_local(path: Path) -> None:
    """Check that a log may be at a path; where the system has no table of mounts, it may be anywhere.

    Raises:
        LogError: the path, or the folder in which it would be made, is on a network file system.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
        kind, options = mount_of(mounts, _device(path))
    except OSError:
        return  # whoever opens the file says what is wrong with it
    if is_network(kind, options):
        raise LogError(
            f"{path} would be on a network file system ({kind}), where neither locks nor commits are sure; "
            "choose a --data-dir on a disk of this machine"
        )


def _device(path: Path) -> int:
    """Return the device number of a path, or of the nearest folder above it that is there."""
    try:
        return path.stat().st_dev  # to look for the file mounts what is mounted on demand
    except FileNotFoundError:
        return _device(path.absolute().parent)
