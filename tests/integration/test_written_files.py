"""Files that commands write: whole or not at all, and nothing that is no file is replaced."""

import os
import threading
from pathlib import Path

import pytest

from bus.console.writing import NEW_MODE, written
from bus.protocol.validation import InvalidInputError
from variantbus.cli.file_changes import replace_text

FULL = Path("/dev/full")


def names(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(one.name for one in folder.iterdir())


@pytest.mark.fault(item="F46")
def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there stays until the new content is complete; nothing else is left behind."""
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o600)

    with pytest.raises(TypeError), written(path) as file:
        file.writelines([b"half", "and no bytes"])  # type: ignore[list-item]
    assert (path.read_text(), names(tmp_path)) == ("old", ["report.html"])

    replace_text(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777, names(tmp_path)) == ("new", 0o600, ["report.html"])
    replace_text(tmp_path / "other", "new")
    assert (tmp_path / "other").stat().st_mode & 0o777 == NEW_MODE


@pytest.mark.fault(item="F46")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Its file is written."""
    (tmp_path / "link").symlink_to(tmp_path / "file")

    replace_text(tmp_path / "link", "new")

    assert ((tmp_path / "link").is_symlink(), (tmp_path / "file").read_text()) == (True, "new")


@pytest.mark.fault(item="F46")
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """Whoever may write to /dev would replace a device of the machine by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()

    replace_text(pipe, "content")

    reader.join(10)
    assert (read, pipe.is_fifo(), names(tmp_path)) == (["content"], True, ["pipe"])


@pytest.mark.fault(item="F46")
@pytest.mark.skipif(not FULL.is_char_device(), reason="this system has no /dev/full")
def test_what_cannot_be_written_is_one_sentence_with_its_name(tmp_path: Path) -> None:
    """A full disk, a folder, and a folder that is not there."""
    for path, words in ((FULL, "No space left"), (tmp_path, "Is a directory"), (tmp_path / "no" / "x", "No such file")):
        with pytest.raises(InvalidInputError) as refused:
            replace_text(path, "content")
        assert str(refused.value).startswith(f"{path}: cannot be written ({words}")
    assert FULL.is_char_device()
