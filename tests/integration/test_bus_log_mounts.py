"""A log on a network file system is refused before anything is written; the table of mounts is a fake."""

import os
from pathlib import Path

import click
import pytest

from bus.eventlog import mounts
from bus.eventlog.errors import LogError
from bus.eventlog.files import LogFile
from bus.eventlog.log import Log
from bus.eventlog.mounts import is_network, mount_of
from variantbus.cli.up import up

LINE = "36 35 {device} / /mnt/some\\040place rw,noatime shared:1 master:2 - {kind} server:/export rw,vers=4.2\n"


def mounted(folder: Path, device: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a table there that says of which kind the file system with a device number is."""
    table = folder / "mountinfo"
    number = f"{os.major(device)}:{os.minor(device)}"
    table.write_text(LINE.format(device="0:999", kind="ext4") + LINE.format(device=number, kind=kind))
    monkeypatch.setattr(mounts, "MOUNTS", table)


@pytest.mark.fault(item="F160")
@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"])
@pytest.mark.parametrize("name", ["here.db", "new/folder/here.db"])
def test_a_log_is_not_begun_on_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    """The sentence says what to do; no folder, no lock and no database are made."""
    mounted(tmp_path, tmp_path.stat().st_dev, kind, monkeypatch)

    for opening in (Log, LogFile):  # the latter is what `up` looks at before it starts services
        with pytest.raises(LogError, match=rf"here\.db would be on a network file system \({kind}\).* choose a --data"):
            opening(tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == ["mountinfo"]


@pytest.mark.fault(item="F160")
def test_up_makes_nothing_there_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, and no lock of its own."""
    mounted(tmp_path, tmp_path.stat().st_dev, "nfs4", monkeypatch)

    with pytest.raises(SystemExit) as ended, click.Context(up):
        up.callback(data_dir=tmp_path / "new")  # type: ignore[misc]  # a command has one

    assert ended.value.code == 4
    assert [path.name for path in tmp_path.iterdir()] == ["mountinfo"]


@pytest.mark.fault(item="F160")
def test_a_link_to_a_network_file_system_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is where the file is."""
    elsewhere = Path("/proc/self/mountinfo")  # a file on another file system
    (tmp_path / "here.db").symlink_to(elsewhere)
    mounted(tmp_path, elsewhere.stat().st_dev, "nfs4", monkeypatch)

    with pytest.raises(LogError, match="network file system"):
        Log(tmp_path / "here.db")
    Log(tmp_path / "beside.db").close()


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "overlay", "tmpfs", "fuse.ntfs-3g", "fuse"])
def test_other_file_systems_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """So is one of which the table says nothing, and every one where there is no table."""
    mounted(tmp_path, tmp_path.stat().st_dev, kind, monkeypatch)
    Log(tmp_path / "known.db").close()
    mounted(tmp_path, 0, "nfs4", monkeypatch)
    Log(tmp_path / "unknown.db").close()
    (tmp_path / "mountinfo").unlink()
    Log(tmp_path / "no_table.db").close()


def test_the_table_of_this_machine_is_read() -> None:
    """Every line of it gives a kind, also one without optional fields."""
    plain = "36 35 8:1 / / rw - ext4 /dev/sda1 rw\n"
    assert mount_of(plain, os.makedev(8, 1)) == ("ext4", "/dev/sda1 rw")
    assert mount_of(plain, os.makedev(8, 2)) == ("", "")
    assert not is_network("")
    if mounts.MOUNTS.exists():
        assert mount_of(mounts.MOUNTS.read_text(), Path("/proc").stat().st_dev)[0] == "proc"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(
            "drvfs rw,aname=drvfs;path=C:\\;uid=1000,trans=fd,rfd=8,wfd=8", True, id="a disk of Windows in WSL"
        ),
        pytest.param("share rw,trans=virtio,version=9p2000.L", True, id="a folder of the host of a virtual machine"),
        pytest.param("server rw,trans=tcp,port=564", True, id="over a network"),
        pytest.param("none rw,trans=fd,rfdno=4,wfdno=4", False, id="the disk of a sandboxed container"),
    ],
)
def test_who_is_at_the_other_end_of_9p_decides(options: str, *, expected: bool) -> None:
    """A container under gVisor has its own disk by 9p; it is the only one that has it."""
    assert is_network("9p", options) is expected
