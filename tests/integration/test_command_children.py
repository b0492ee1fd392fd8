"""The processes that a command starts: whenever it is ended, none of them is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from variantbus.cli.processes import Children


def leave(number: int, _frame: object) -> NoReturn:
    """End this process, as `demo` does."""
    sys.exit(128 + number)


@pytest.fixture
def _handled() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_handled")
def test_a_signal_while_a_process_is_started_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives when the process runs and nobody knows it yet."""
    made: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            made.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(SystemExit) as ended, Children(tmp_path, lambda: None) as children:
        children.start_logger("sleeper", "asyncio")

    assert ended.value.code == 128 + signal.SIGTERM
    assert [process.returncode is not None for process in made] == [True]
    assert signal.getsignal(signal.SIGTERM) is leave
