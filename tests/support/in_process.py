"""`variantbus` in the test's own process: where only words and exit status count, a process of its own costs too much.

That the words, the status and the split between stdout and stderr are the same as those of a real process is asserted
once for each kind of refusal, in `test_bad_input.py`.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from tests.support.workspace import Finished, Workspace
from variantbus.cli.main import main


def run_in_process(workspace: Workspace, *arguments: str | Path, code: int = 0) -> Finished:
    """Run `variantbus` to its end, which must be as expected, with the folder and the environment of a workspace."""
    words = tuple(str(argument) for argument in arguments)
    ours = dict.fromkeys(key for key in os.environ if key.startswith("VARIANTBUS_")) | workspace.environment
    with contextlib.chdir(workspace.folder), _kept_logging():
        result = CliRunner(env=ours).invoke(main, words, prog_name="variantbus")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a process would have ended with a traceback
    finished = Finished(words, result.exit_code, result.stdout, result.stderr)
    assert finished.code == code, f"{code} was expected, but {finished}"
    return finished


@contextlib.contextmanager
def _kept_logging() -> Iterator[None]:
    """Keep the log handlers of pytest: a service's command replaces and closes what it finds."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
