"""`variantbus` in the test's own process: where only words and exit status count, a process of its own costs too much.

That the words, the status and the split between stdout and stderr are the same as those of a real process is asserted
once for each kind of refusal, in `test_bad_input.py`.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest
from click.testing import CliRunner

from tests.support.workspace import Finished, Workspace
from variantbus.cli import shown
from variantbus.cli.main import main


class MadeUpServices(Protocol):
    """What answers in the place of the services and of a viewer; a test asks it what it was sent."""

    def request(self, _address: str, method: str, params: Any, _reply: type, *_args: float, keys: None) -> object:
        """Answer as `bus.transport.client.request` does."""

    def fetch(self, _runner: str, sha256: str, _keys: None, /) -> Iterator[bytes]:
        """Yield the parts of a picture as `variantbus.client.outputs.fetch_output` does."""

    def launch(self, path: str) -> int:
        """Look at a file as a person does; return the status of the viewer."""


def put_in_place(monkeypatch: pytest.MonkeyPatch, module: ModuleType, services: MadeUpServices) -> None:
    """Let a module of the command line ask made-up services, and every id be what was typed."""
    monkeypatch.setattr(module, "request", services.request)
    monkeypatch.setattr(shown, "fetch_output", services.fetch)
    monkeypatch.setattr("click.launch", services.launch)
    monkeypatch.setattr("variantbus.cli.ids.resolved", lambda _kind, _address, typed, _keys: typed)


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
