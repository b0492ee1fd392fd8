"""A service ends in time, also if a library waits at its exit for threads that never end."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.helpers import TIME_FACTOR

ROOT: Final = Path(__file__).parents[2]
SOON: Final = 5.0 * TIME_FACTOR
WAITS: Final = "import atexit, threading; atexit.register(threading.Event().wait)\n"  # as OpenBLAS does in C
BUSY: Final = f"""
{WAITS}
import click
from bus.console import process
process.STOP_SECONDS = process.EXIT_SECONDS = 0.2

@click.command()
def service():
    with process.service_loop() as loop:
        click.echo("ready")
        loop.run()

process.run_service(service)
"""
ABANDONED: Final = f"""
{WAITS}
from pipeline_runner import service
from pipeline_runner.main import main
from bus.console.process import run_service
service.STOP_SECONDS = 0.0
service.WorkerPool.stop = lambda *_: ({{}}, ["one that computes"])
service.JobService.release = lambda *_: None
run_service(main)
"""


def started(script: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start a script, and wait for its first line."""
    words = [sys.executable, "-c", script, *arguments]
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    assert process.stdout
    assert process.stdout.readline()
    return process  # type: ignore[no-any-return]


@pytest.mark.fault(item="F149")
def test_a_service_whose_exit_hangs_is_ended_by_the_system() -> None:
    """After Ctrl-C or SIGTERM as well as when the command that started it is gone."""
    with started(BUSY) as service:
        service.terminate()
        assert service.wait(SOON) == -signal.SIGALRM

    read, write = os.pipe()
    environment = {**os.environ, "VARIANTBUS_LIFELINE": f"{read} 1:1"}
    with started(BUSY, pass_fds=(read,), env=environment) as service:
        os.close(write)
        assert service.wait(SOON) == -signal.SIGALRM
    os.close(read)


@pytest.mark.fault(item="F149")
def test_a_runner_does_not_wait_for_jobs_that_it_has_abandoned(tmp_path: Path) -> None:
    """Its work is done then: the queue is closed, and its status says so."""
    with started(ABANDONED, "--data-dir", str(tmp_path), "--feed-port=0", "--control-port=0") as runner:
        runner.terminate()
        assert runner.wait(SOON) == 0
