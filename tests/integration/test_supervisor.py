"""What `variantbus up` does where a process cannot even be started."""

from pathlib import Path

import pytest

from variantbus.cli.supervisor import Program, Supervisor


def test_what_cannot_be_started_is_tried_again_and_costs_nobody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when the machine has no memory or process left for a moment; the others run."""
    absent = Program("absent", [str(tmp_path / "absent")])
    other = Program("other", ["/bin/sh", "-c", "kill -TERM $PPID; exec sleep 60"])

    Supervisor(tmp_path, [absent, other]).run()

    assert capsys.readouterr().err == "absent cannot be started: No such file or directory; starting it again in 1 s\n"
    assert other.process is not None
    assert other.process.returncode is not None
