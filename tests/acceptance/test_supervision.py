"""`variantbus up` and the Procfile: all processes under one supervisor."""

import os
import signal
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from bus.protocol.control import ControlError, InfoReply
from bus.transport.client import request
from tests.support.experiment_files import program
from tests.support.helpers import wait_until
from tests.support.workspace import ROOT, VARIANTBUS, Running, Workspace, steady_ports

UP_SECONDS: Final = 30.0
DOWN_SECONDS: Final = 10.0


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    """Return a workspace with free ports in its environment, as somebody has whose usual ones are taken."""
    for name in ("RUNNER", "LEARNING"):
        feed, control = steady_ports()
        workspace.environment[f"VARIANTBUS_{name}_FEED_PORT"] = str(feed)
        workspace.environment[f"VARIANTBUS_{name}_CONTROL_PORT"] = str(control)
        workspace.environment[f"VARIANTBUS_{name}"] = f"tcp://127.0.0.1:{control}"
    workspace.environment["VARIANTBUS_DASHBOARD_PORT"] = "0"
    workspace.environment["VARIANTBUS_DATA_DIR"] = str(workspace.folder / "data")
    workspace.environment["PYTHONWARNINGS"] = (
        "error,ignore::ResourceWarning"  # supervisord leaves files to the collector
    )
    workspace.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), workspace.environment["PATH"]])
    return workspace


def answers(address: str) -> bool:
    """Return whether a service answers."""
    try:
        return bool(request(address, "info", {}, InfoReply, timeout=1.0))
    except ControlError:
        return False


def wait_for_services(workspace: Workspace) -> None:
    """Wait until both services answer."""
    for name in ("RUNNER", "LEARNING"):
        wait_until(
            lambda one=workspace.environment[f"VARIANTBUS_{name}"]: answers(one),  # type: ignore[misc]
            UP_SECONDS,
            what=f"an answer of {name}",
        )


def child(supervisor: Running, module: str) -> psutil.Process | None:
    """Find the process of a module below a supervisor."""
    for process in psutil.Process(supervisor.popen.pid).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if words[1:4] == ["-P", "-m", module]:
            return process
    return None


def run_experiment(workspace: Workspace) -> None:
    """Run an experiment to its end."""
    workspace.run("experiment", "run", workspace.write("experiment.toml", program(values=2, jobs=2)), "--follow")


def test_up_starts_again_what_dies_and_stops_everything_at_the_end(workspace: Workspace) -> None:
    """The runner is killed and comes back, an experiment completes, and SIGTERM ends all within 10 seconds.

    Files of the working folder that are called as our modules are do not matter.
    """
    workspace.shadow_our_modules()
    up = workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)
    first = child(up, "pipeline_runner")
    assert first is not None

    first.kill()

    wait_until(lambda: child(up, "pipeline_runner") not in (None, first), UP_SECONDS, what="another runner")
    wait_for_services(workspace)
    run_experiment(workspace)
    assert child(up, "bus") is not None, "the logger does not run"
    wait_until(lambda: "level=1 completed 2/2 jobs" in up.text(), what="the logger's lines")
    up.terminate(DOWN_SECONDS)
    assert workspace.left() == [], "processes have outlived their supervisor"
    assert "Traceback" not in up.errors()


def test_a_second_up_is_refused_at_once(workspace: Workspace) -> None:
    """Its sentence names the process that has the data, or the port; the first one goes on."""
    workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)

    same_data = workspace.run("up", code=4)
    other_data = workspace.run("up", "--data-dir", workspace.folder / "other", code=2)

    assert "runner.db is in use by process" in same_data.err
    assert "cannot bind port" in other_data.err
    wait_for_services(workspace)


def test_a_wrong_setting_ends_up_before_anything_is_started(workspace: Workspace) -> None:
    """A restart would not cure it."""
    workspace.environment["VARIANTBUS_RUNNER_WORKERS"] = "many"

    assert "'many' is not a valid integer range" in workspace.run("up", code=2).err


def test_up_ends_with_its_terminal(workspace: Workspace) -> None:
    """SIGHUP stops all processes in good order."""
    up = workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)

    up.send(signal.SIGHUP)

    up.wait(DOWN_SECONDS)
    assert workspace.left() == []


def test_up_ends_with_ctrl_c_as_well(workspace: Workspace) -> None:
    """SIGINT to `up` stops all processes in good order."""
    up = workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)

    up.send(signal.SIGINT)

    up.wait(DOWN_SECONDS)
    assert workspace.left() == []


def test_up_keeps_the_experiments_of_the_last_time(workspace: Workspace) -> None:
    """What was done before `up` was stopped is there when it is started again."""
    up = workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)
    run_experiment(workspace)
    up.terminate(DOWN_SECONDS)
    assert workspace.left() == []
    workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)

    listed = workspace.run("experiment", "list", "--json").json

    assert [one["status"] for one in listed] == ["completed"]


def test_the_procfile_starts_the_same_processes(workspace: Workspace) -> None:
    """`honcho start` runs the services and the logger of the Procfile, and ends them all."""
    honcho = str(Path(sys.executable).with_name("honcho"))
    started = workspace.start("honcho", honcho, "start", "-f", str(ROOT / "Procfile"), "-d", str(workspace.folder))
    wait_for_services(workspace)

    run_experiment(workspace)

    wait_until(lambda: "level=1 completed 2/2 jobs" in started.text(), what="the logger's lines")
    started.terminate(DOWN_SECONDS)
    assert workspace.left() == []
    assert "Traceback" not in started.errors()
