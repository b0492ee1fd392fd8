"""A service that cannot start: its port is taken, or its data folder is in use, locked, or somebody else's."""

import os
import subprocess
import sys

import pytest

from tests.support.experiment_files import services
from tests.support.helpers import TIME_FACTOR
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, sentence_of

SERVICES = {"runner": "pipeline_runner", "learning": "learning_service"}
THREADS = """
import threading
from pipeline_runner.main import main
try:
    main()
except SystemExit as end:
    names = [one.name for one in threading.enumerate()]
    print(end.code, "with" if "cluster" in names else "without", "a connection")
"""


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", ["feed", "control"])
def test_a_port_that_is_taken_is_reported(workspace: Workspace, service: str, kind: str) -> None:
    """The sentence names the address and what to do; the exit status is 2."""
    other = workspace.runner()
    taken = (other.feed if kind == "feed" else other.control).rpartition(":")[2]
    ports = {"feed": "0", "control": "0", kind: taken}

    finished = workspace.run(
        *(service, "--data-dir", workspace.folder / "second"),
        *("--feed-port", ports["feed"], "--control-port", ports["control"]),
        code=2,
    )

    assert sentence_of(finished) == (
        f"cannot bind tcp://127.0.0.1:{taken}: it is taken; stop the other process or choose another port "
        f"(0 picks a free one) with --{kind}-port or VARIANTBUS_{service.upper()}_{kind.upper()}_PORT"
    )


def test_a_runner_of_a_cluster_that_cannot_begin_leaves_no_connection(workspace: Workspace) -> None:
    """Its thread would go on while the interpreter ends, which may take longer than a process has for its end."""
    taken = workspace.runner().control.rpartition(":")[2]
    words = ["--data-dir", str(workspace.folder / "second"), "--cluster", "nats://127.0.0.1:1", "--feed-port", "0"]

    finished = subprocess.run(
        [sys.executable, "-c", THREADS, *words, "--control-port", taken],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS * TIME_FACTOR,
        check=True,
    )

    assert f"cannot bind tcp://127.0.0.1:{taken}: it is taken" in finished.stderr
    assert finished.stdout == "2 without a connection\n", finished.stderr


@pytest.mark.fault(item="F22")
@pytest.mark.parametrize("service", SERVICES)
def test_a_data_folder_that_is_in_use_is_reported(workspace: Workspace, service: str) -> None:
    """A second process on the same files ends with status 4; the first one goes on."""
    first: ServiceProcess = services(workspace)[list(SERVICES).index(service)]

    finished = workspace.run(service, "--data-dir", first.data, "--feed-port", "0", "--control-port", "0", code=4)

    holder = first.process.popen.pid
    assert f"is in use by process {holder}; stop that one or choose another --data-dir" in sentence_of(finished)
    assert first.info.service == service


@pytest.mark.parametrize("service", SERVICES)
def test_a_data_folder_below_a_file_is_refused(workspace: Workspace, service: str) -> None:
    """A folder that cannot be made is one sentence, with status 4."""
    file = workspace.write("file", "")

    finished = workspace.run(service, "--data-dir", file / "data", "--feed-port", "0", "--control-port", "0", code=4)

    assert "cannot write to" in sentence_of(finished)
    assert "--data-dir" in finished.err


@pytest.mark.parametrize("service", SERVICES)
def test_a_file_in_place_of_the_data_folder_is_refused(workspace: Workspace, service: str) -> None:
    """The option itself says that it wants a folder."""
    assert "is a file" in sentence_of(workspace.run(service, "--data-dir", workspace.write("file", ""), code=2))


@pytest.mark.fault(item="F13")
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("service", SERVICES)
def test_a_data_folder_that_cannot_be_written_is_refused(workspace: Workspace, service: str) -> None:
    """The sentence says which folder, and what to do."""
    folder = workspace.folder / "locked"
    folder.mkdir(mode=0o500)

    finished = workspace.run(service, "--data-dir", folder, "--feed-port", "0", "--control-port", "0", code=4)

    assert f"cannot write to {folder}" in sentence_of(finished)


@pytest.mark.parametrize("service", SERVICES)
def test_a_database_of_somebody_else_is_left_alone(workspace: Workspace, service: str) -> None:
    """A file that is no log of ours is refused and stays as it is."""
    (workspace.folder / "data").mkdir()
    foreign = workspace.write(f"data/{service}.db", "this is no database\n" * 100)
    before = foreign.read_bytes()

    finished = workspace.run(service, "--data-dir", foreign.parent, "--feed-port", "0", "--control-port", "0", code=4)

    assert str(foreign) in sentence_of(finished)
    assert foreign.read_bytes() == before
