"""Reading the files that a configuration names, whatever is in their place."""

import os
from pathlib import Path

import pytest

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines import input_files
from pipeline_runner.pipelines.input_files import find_file, read_file


def test_a_file_is_read_and_known_again_until_it_changes(tmp_path: Path) -> None:
    """Its version is the same as long as nobody writes to it."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = find_file("config.x", path)

    assert read_file("config.x", path) == b"one"
    assert find_file("config.x", path) == first
    path.write_bytes(b"three")
    assert find_file("config.x", path) != first


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_what_has_no_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The runner's loop must neither wait for a pipe nor fill its memory."""
    monkeypatch.setattr(input_files, "FILE_BYTES", 100)
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        path.write_bytes(b"x" * 101)
    else:
        path = Path("/dev/zero") if kind == "device" else tmp_path

    for read in (find_file, read_file):
        with pytest.raises(InvalidInputError, match=r"^config\.x: .* is no file of at most"):
            read("config.x", path)


@pytest.mark.parametrize("name", ["missing", "a\0b", "a\ud800b", "x" * 300])
def test_what_is_not_there_is_told_with_its_field(tmp_path: Path, name: str) -> None:
    """No path gets through as another kind of error."""
    for read in (find_file, read_file):
        with pytest.raises(InvalidInputError, match=r"^config\.x: .* cannot be read by the runner: "):
            read("config.x", tmp_path / name)
