"""A sample of bit flips; `make bitflips` has a thousand."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.workspace import ROOT

TRIALS: Final = 20
SEED: Final = 140_000


@pytest.mark.exhaustive
@pytest.mark.fault(item="F70")
@pytest.mark.timeout(300)
def test_a_flipped_bit_is_harmless_named_or_refused(tmp_path: Path) -> None:
    """Whatever bit of a data folder is flipped: nothing but what was written is served, and no service crashes."""
    command = [sys.executable, "-m", "tests.bitflips", "--trials", str(TRIALS), "--seed", str(SEED)]
    command += ["--workers", "1", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "0 WRONG" in done.stdout
