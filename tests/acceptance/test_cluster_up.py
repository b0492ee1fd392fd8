"""`variantbus cluster up`: servers of a cluster on this machine."""

from contextlib import suppress
from typing import Final

import psutil
import pytest

from bus.cluster import names
from tests.support.clusters import connected
from tests.support.experiment_files import program
from tests.support.helpers import wait_until
from tests.support.installations import settings_for, wait_for_services
from tests.support.workspace import Running, Workspace, sentence_of

READY_SECONDS: Final = 60.0  # elections take seconds, and processors are shared
DOWN_SECONDS: Final = 15.0


def start(workspace: Workspace) -> Running:
    """Start three servers and wait until they are ready."""
    up = workspace.command("cluster", "up", "--data-dir", workspace.folder / "data")
    up.wait_for_line("listening", READY_SECONDS)
    return up


def url_of(up: Running) -> str:
    """Return what the command says is to be given as `--cluster`."""
    return up.wait_for_line("listening").partition("cluster=")[2]


def servers_of(up: Running) -> list[psutil.Process]:
    """Return the servers that run."""
    found = []
    for one in psutil.Process(up.popen.pid).children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            found += [one] if one.name() == "nats-server" else []
    return found


def copies_in(url: str) -> int:
    """Make the streams, or find them, and return how many copies they have."""
    with connected(url) as client:
        client.ensure_three()
        return int(client.run(client.js.stream_info(names.ENDS)).config.num_replicas)


@pytest.mark.timeout(300)
def test_servers_come_back_with_ports_and_data_and_end_with_the_command(workspace: Workspace) -> None:
    """One that dies is started again; the next start of all has the same ports, and the streams that were made."""
    up = start(workspace)
    url = url_of(up)
    assert copies_in(url) == 3
    first, *_ = servers_of(up)

    first.kill()

    wait_until(lambda: len(servers_of(up)) == 3 and first not in servers_of(up), READY_SECONDS, what="another server")
    assert up.terminate(DOWN_SECONDS) == 0
    wait_until(lambda: not workspace.left(), DOWN_SECONDS, what="the end of all servers")
    assert "starting it again" in up.errors()
    again = start(workspace)
    assert url_of(again) == url
    assert copies_in(url) == 3


def test_why_a_server_ends_is_said(workspace: Workspace) -> None:
    """It writes that to its log alone, and would be started again and again without a reason in sight."""
    folder = workspace.folder / "data" / "cluster" / "nats-1"
    folder.mkdir(parents=True)
    (folder / "data").write_text("no folder")
    up = workspace.command("cluster", "up", "--nodes", "1", "--data-dir", workspace.folder / "data")

    wait_until(lambda: "starting it again" in up.errors(), READY_SECONDS, what="the end of the server")
    assert "nats-1 has ended with status 1 (Can't start JetStream: storage directory is not a directory)" in up.errors()
    assert up.terminate(DOWN_SECONDS) == 0


@pytest.mark.timeout(240)
def test_servers_do_not_outlive_a_command_that_is_killed(workspace: Workspace) -> None:
    """Nothing is left that would have its ports; and a second command beside the first is refused."""
    up = start(workspace)
    refused = workspace.run("cluster", "up", "--data-dir", workspace.folder / "data", code=4)
    assert "`variantbus cluster up` runs in" in sentence_of(refused)

    up.kill()

    wait_until(lambda: not workspace.left(), DOWN_SECONDS, what="the end of all servers")


@pytest.mark.timeout(300)
def test_the_first_steps_of_the_page_work_as_they_stand_there(workspace: Workspace) -> None:
    """`up` runs its services in the cluster that the variable names, and an experiment ends there."""
    workspace.environment |= settings_for(workspace.folder / "data")
    workspace.environment["VARIANTBUS_CLUSTER"] = url_of(start(workspace))
    up = workspace.command("up")
    wait_for_services(workspace)

    def has_runner() -> bool:
        return workspace.command("cluster", "check").wait() == 0

    wait_until(has_runner, READY_SECONDS, what="a cluster that is well")
    workspace.run("experiment", "run", workspace.write("one.toml", program(values=2, jobs=2)), "--follow")

    (cluster,) = (line for line in workspace.run("check").out.splitlines() if line.startswith("cluster"))
    assert cluster.endswith("0 jobs waiting, 1 runner")
    assert up.terminate(DOWN_SECONDS) == 0
