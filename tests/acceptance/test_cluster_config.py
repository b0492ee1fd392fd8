"""`variantbus cluster config`: servers with its very files let each role do what it has to, and nothing else."""

import stat
from pathlib import Path
from typing import Any, Final

import nats.errors
import pytest
from nats.js.api import Header

from bus.cluster import ends, names, pictures, streams
from bus.cluster.errors import ClusterError
from tests.support.certificates import make_certificates
from tests.support.clusters import Client, connected, end
from tests.support.experiment_files import pictures as experiment_of_pictures
from tests.support.experiment_files import submit
from tests.support.helpers import wait_until
from tests.support.nats_servers import PROGRAM, READY_SECONDS
from tests.support.workspace import ServiceProcess, Workspace, free_ports, steady_ports, view_of
from variantbus.cluster.deployment import Ports, nodes_of
from variantbus.cluster.local import is_healthy

HOSTS: Final = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
END: Final = "end.experiment.0.job"
DENIED: Final = "Permissions Violation"
EXPERIMENT_SECONDS: Final = 60.0


@pytest.fixture
def files(workspace: Workspace) -> Path:
    """Return the folder of the files; servers run with them."""
    paths = make_certificates(workspace.folder, HOSTS)
    folder = workspace.folder / "made"
    client, route, monitor = free_ports(3)
    ports = ["--port", str(client), "--route-port", str(route), "--monitor-port", str(monitor)]
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    store = ["--store", str(workspace.folder / "store"), "--nodes", ",".join(HOSTS)]
    workspace.run("cluster", "config", "--output", folder, *store, *options, *ports)
    for host in HOSTS:
        workspace.start(host, PROGRAM, "-c", str(folder / f"{host}.conf"))
    nodes = nodes_of(HOSTS, Ports(client=client, route=route, monitor=monitor))
    wait_until(lambda: all(is_healthy(one) for one in nodes), READY_SECONDS, what="servers that are well")
    return folder


def made(folder: Path) -> None:
    """Make the streams, as a learning service does; at first there are not three servers that know each other."""
    with connected(str(folder / "learning.toml")) as learning:
        wait_until(lambda: learning.ensure() == streams.COPIES, READY_SECONDS, what="three copies", longest_poll=0.5)


def is_denied(client: Client, work: Any) -> bool:
    """Return whether a request is not answered: the server drops what nobody may ask, and says so on the connection."""
    before = client.connection.client.last_error
    try:
        client.run(work)
    except (nats.errors.Error, TimeoutError, ClusterError):
        wait_until(lambda: client.connection.client.last_error is not before, what="the server's words")
        return DENIED.lower() in str(client.connection.client.last_error).lower()
    return False


@pytest.mark.timeout(300)
def test_each_role_may_do_what_it_has_to_and_nothing_else(files: Path) -> None:
    """A runner commits ends and puts pictures, a reader looks; neither touches the ledger."""
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in files.glob("*.seed"))
    made(files)
    picture = files / "picture"
    picture.write_bytes(b"picture")
    with connected(str(files / "runner.toml")) as runner:
        runner.run(runner.connection.ready())
        js = runner.js
        js._timeout = 1.0
        assert runner.run(ends.commit(js, END, end("run"))) == "won"
        assert runner.run(ends.find(js, END))
        assert runner.run(pictures.put(js, "ab" * 32, picture, "image/png"))
        assert runner.run(js.publish(f"$KV.{names.RUNNERS}.one", b"hello"))
        assert is_denied(runner, js.publish(names.ENTRY, b"", timeout=1))
        assert is_denied(runner, js.publish("job.noop.normal.x", b"", timeout=1))
        assert is_denied(runner, js.delete_stream(names.ENDS))
        assert is_denied(runner, js.purge_stream(names.ENDS))
        assert is_denied(runner, js.get_msg(names.LEDGER, 1))
        assert is_denied(runner, js.publish(f"$KV.{names.LEADER}.leader", b"", timeout=1))
    with connected(str(files / "reader.toml")) as reader:
        reader.run(reader.connection.ready())
        js = reader.js
        js._timeout = 1.0
        assert reader.run(js.stream_info(names.ENDS)).state.messages == 1
        headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
        assert is_denied(reader, js.publish("end.experiment.0.other", b"", timeout=1, headers=headers))
        assert is_denied(reader, js.delete_stream(names.JOBS))


@pytest.mark.timeout(300)
def test_an_experiment_runs_through_servers_with_these_files(workspace: Workspace, files: Path) -> None:
    """A learning service and a runner with their own roles need no right that they do not have."""
    learning = ServiceProcess(
        workspace,
        "learning_service",
        ("--cluster", str(files / "learning.toml")),
        steady_ports(),
        workspace.folder / "l",
    )
    runner = workspace.runner("--cluster", str(files / "runner.toml"), data=workspace.folder / "r")
    workspace.environment["VARIANTBUS_LEARNING"] = learning.control

    experiment = submit(workspace, experiment_of_pictures(values=2, jobs=2))

    wait_until(lambda: view_of(learning, experiment).status == "completed", EXPERIMENT_SECONDS, what="its end")
    looked = workspace.run("cluster", "check", "--cluster", files / "reader.toml")
    assert "eof_received" not in looked.err
    for one in (learning, runner):
        assert DENIED.lower() not in one.process.errors().lower()


def test_who_has_no_certificates_here_is_told_where_to_put_them(workspace: Workspace) -> None:
    """The servers may be elsewhere, and clients need that file, too."""
    folder = workspace.folder / "made"
    made = workspace.run("cluster", "config", "--output", folder, "--nodes", "a,b,c", "--ca", "/no/such/ca.pem")

    assert f"/no/such/ca.pem is not on this machine: copy it to {folder / 'ca.pem'}" in made.err
    assert "ca.pem" not in made.out
