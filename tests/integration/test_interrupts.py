"""An interrupt reaches the processes of the tests also where the suite was started in the background."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
RESTORED_CHILD: Final = """
import signal, subprocess, sys
from tests.support.interrupts import restore_interrupts
restore_interrupts()
code = "import signal; print(signal.getsignal(signal.SIGINT).__name__, signal.getsignal(signal.SIGHUP).name)"
subprocess.run([sys.executable, "-c", code], check=True)
"""


def test_the_suite_itself_can_be_interrupted() -> None:
    """Whatever started it: conftest has restored the handler."""
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


@pytest.mark.parametrize("command", ['exec "$@"', 'trap "" INT HUP; exec "$@"'], ids=["foreground", "background"])
def test_a_child_has_the_usual_handlers(command: str) -> None:
    """A process inherits "ignored" from a shell's background job or nohup, but not from the tests in between."""
    words = ["sh", "-c", command, "sh", sys.executable, "-c", RESTORED_CHILD]
    child = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert child.stdout.split() == [signal.default_int_handler.__name__, signal.SIG_DFL.name]
