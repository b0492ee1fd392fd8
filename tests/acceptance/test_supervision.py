"""`variantbus up`, `variantbus down` and the Procfile: all processes under one supervisor."""

import os
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.support.experiment_files import program
from tests.support.helpers import wait_until
from tests.support.installations import settings_for, wait_for_services
from tests.support.workspace import ROOT, VARIANTBUS, Running, Workspace

UP_SECONDS: Final = 30.0
DOWN_SECONDS: Final = 10.0
END: Final = "level=1 completed 2/2 jobs"  # of an experiment, in the logger's words


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    """Return a workspace with free ports in its environment, as somebody has whose usual ones are taken."""
    workspace.environment |= settings_for(workspace.folder / "data")
    workspace.environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), workspace.environment["PATH"]])
    return workspace


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


def run_until_logged(workspace: Workspace, supervisor: Running) -> None:
    """Run experiments until the logger tells the end of one: it reads what is new once it has connected."""

    def is_logged() -> bool:
        if END not in supervisor.text():
            run_experiment(workspace)
        return END in supervisor.text()

    wait_until(is_logged, UP_SECONDS, what="the logger's lines")


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
    run_until_logged(workspace, up)
    assert child(up, "bus") is not None, "the logger does not run"
    up.terminate(DOWN_SECONDS)
    assert workspace.left() == [], "processes have outlived their supervisor"
    assert "Traceback" not in up.errors()


@pytest.mark.fault(item="F22")
def test_a_second_up_is_refused_at_once(workspace: Workspace) -> None:
    """Its sentence names what ends the first one, or all ports and their variables; the first one goes on."""
    first = workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)

    same_data = workspace.run("up", code=4)
    other_data = workspace.run("up", "--data-dir", workspace.folder / "other", code=2)

    data = workspace.folder / "data"
    assert f"`variantbus up` runs in {data} already, as process {first.popen.pid}" in same_data.err
    assert f"`variantbus down --data-dir {data}`" in same_data.err
    for name in ("RUNNER_FEED_PORT", "RUNNER_CONTROL_PORT", "LEARNING_FEED_PORT", "LEARNING_CONTROL_PORT"):
        port = workspace.environment[f"VARIANTBUS_{name}"]
        assert f"{port} (VARIANTBUS_{name})" in other_data.err
    wait_for_services(workspace)


def test_a_folder_whose_runner_was_started_by_hand_is_left_alone(workspace: Workspace) -> None:
    """`up` names its process, and `down` ends only what an `up` has started."""
    runner = workspace.runner()

    refused = workspace.run("up", code=4)
    left = workspace.run("down", code=4)

    assert f"runner.db is in use by process {runner.process.popen.pid}" in refused.err
    assert f"runner.lock is held by process {runner.process.popen.pid}, which was not started by" in left.err
    assert runner.info.service == "runner"


def test_a_wrong_setting_ends_up_before_anything_is_started(workspace: Workspace) -> None:
    """A restart would not cure it."""
    workspace.environment["VARIANTBUS_RUNNER_WORKERS"] = "many"

    assert "'many' is not a valid integer range" in workspace.run("up", code=2).err


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

    run_until_logged(workspace, started)

    started.terminate(DOWN_SECONDS)
    assert workspace.left() == []
    assert "Traceback" not in started.errors()
