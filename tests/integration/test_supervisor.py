"""What `variantbus up` does where a process cannot even be started, and where nobody can answer it."""

import os
import sys
from pathlib import Path

import click
import pytest

from variantbus.cli.leftovers import lock_folder
from variantbus.cli.supervisor import Program, Supervisor
from variantbus.cli.up import up


def test_what_cannot_be_started_is_tried_again_and_costs_nobody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when the machine has no memory or process left for a moment; the others run."""
    absent = Program("absent", [str(tmp_path / "absent")])
    other = Program("other", ["/bin/sh", "-c", "kill -TERM $PPID; exec sleep 60"])

    Supervisor(tmp_path, [absent, other]).run()

    first, *others = capsys.readouterr().err.splitlines()  # others, if the signal takes longer than the first rest
    assert first == "absent cannot be started: No such file or directory; starting it again in 1 s"
    assert all(one.startswith("absent cannot be started: No such file or directory; ") for one in others)
    assert other.process is not None
    assert other.process.returncode is not None


def test_a_second_one_without_any_stdin_is_refused_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As started by a program that has closed it."""
    first = lock_folder(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("VARIANTBUS_DATA_DIR", "")

    with pytest.raises(SystemExit) as ended, click.Context(up):
        up.callback(data_dir=tmp_path)  # type: ignore[misc]  # a command has one

    os.close(first)
    assert ended.value.code == 4
    assert f"`variantbus up` runs in {tmp_path} already" in capsys.readouterr().err
