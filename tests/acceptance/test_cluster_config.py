"""`variantbus cluster config`: servers with its very files let each role do what it has to, and nothing else."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import nats.errors
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, Header

from bus.cluster import ends, jobs, names, pictures
from bus.cluster.errors import ClusterError
from tests.support.certificates import make_certificates
from tests.support.clusters import Client, connected, end
from tests.support.experiment_files import pictures as experiment_of_pictures
from tests.support.experiment_files import submit
from tests.support.helpers import wait_until
from tests.support.nats_servers import PROGRAM, READY_SECONDS
from tests.support.workspace import Running, ServiceProcess, Workspace, free_ports, steady_ports, view_of
from variantbus.cluster.deployment import Ports, nodes_of
from variantbus.cluster.local import is_healthy

HOSTS: Final = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
END: Final = "end.experiment.0.job"
DENIED: Final = "Permissions Violation"
EXPERIMENT_SECONDS: Final = 60.0
REFUSED_SECONDS: Final = 1.0  # what is refused is not answered


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
        learning.ensure_three()


def is_denied(client: Client, work: Any) -> bool:
    """Return whether a request is not answered: the server drops what nobody may ask, and says so on the connection."""
    before, patience = client.connection.client.last_error, client.js._timeout
    client.js._timeout = REFUSED_SECONDS
    try:
        client.run(work)
    except (nats.errors.Error, TimeoutError, ClusterError):
        wait_until(lambda: client.connection.client.last_error is not before, what="the server's words")
        return DENIED.lower() in str(client.connection.client.last_error).lower()
    finally:
        client.js._timeout = patience
    return False


@contextmanager
def acting(folder: Path, role: str) -> Iterator[Client]:
    """Connect as a role."""
    with connected(str(folder / f"{role}.toml")) as client:
        client.run(client.connection.ready())
        yield client


def hears(client: Client, subject: str) -> bool:
    """Return whether it may listen to a subject."""
    mine = client.connection.client
    before = mine.last_error
    subscription = client.run(mine.subscribe(subject))
    client.run(mine.flush())
    client.run(subscription.unsubscribe())
    return mine.last_error is before


def says(client: Client, subject: str) -> bool:
    """Return whether it may publish on a subject."""
    mine = client.connection.client
    before = mine.last_error
    client.run(mine.publish(subject, b""))
    client.run(mine.flush())
    return mine.last_error is before


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
def test_each_role_may_do_what_it_has_to_and_nothing_else(files: Path) -> None:
    """A learning service has the streams, a runner takes jobs and commits ends, a reader looks."""
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in files.glob("*.seed"))
    made(files)
    check_learning(files)
    check_runner(files)
    check_reader(files)


def check_learning(files: Path) -> None:
    """See that it may do all with the streams, and all of a runner, but not hear or say what others are answered."""
    with acting(files, "learning") as learning:
        js = learning.js
        assert learning.run(js.publish(names.job_subject("noop", "normal", "job"), b"job")).seq == 1
        assert learning.run(js.publish(names.ENTRY, b"entry")).seq == 1
        assert learning.run(js.get_msg(names.LEDGER, 1)).data == b"entry"
        assert learning.run(js.purge_stream(names.LEDGER))
        assert learning.run(js.publish(f"$KV.{names.LEADER}.leader", b"{}"))
        for subject in (names.WAKE, names.CANCEL, f"{names.REPEAT}one", names.ASK):
            assert says(learning, subject)
        assert says(learning, f"{names.NEWS}job.started")
        for subject in (f"{names.NEWS}>", names.ASK, names.WAKE, names.CANCEL, f"{names.REPEAT}one"):
            assert hears(learning, subject), subject
        for subject in ("_INBOX_runner.x", "_INBOX_reader.x", "$SYS.REQ.SERVER.PING"):
            assert not says(learning, subject), subject
        for subject in ("job.>", "end.>", "_INBOX_runner.>", "_INBOX_reader.>", "$SYS.>", "$JS.>", ">"):
            assert not hears(learning, subject), subject
        request = learning.connection.client.request("$JS.API.META.LEADER.STEPDOWN", b"", REFUSED_SECONDS)
        with pytest.raises((nats.errors.Error, ClusterError)):
            learning.run(request)


def check_runner(files: Path) -> None:
    """See that it takes jobs, commits ends and puts pictures, and that ledger, queue and leadership are not its own."""
    picture = files / "picture"
    picture.write_bytes(b"picture")
    with acting(files, "runner") as runner:
        js, client = runner.js, runner.connection.client
        found: list[jobs.Delivery] = []

        def is_given() -> bool:  # the server that hands it out may hear of it later than the others
            found.extend(runner.run(jobs.fetch(client, js, "noop", 2)))
            return bool(found)

        wait_until(is_given, what="a job")
        (job,) = found
        assert job.request == b"job"
        runner.run(client.publish(job.reply, jobs.ACK))
        wait_until(lambda: not runner.run(js.stream_info(names.JOBS)).state.messages, what="an acknowledged job")
        assert runner.run(ends.commit(js, END, end("run"))) == "won"
        assert runner.run(ends.find(js, END))
        assert runner.run(pictures.put(js, "ab" * 32, picture, "image/png"))
        assert runner.run(pictures.find(js, "ab" * 32))
        assert runner.run(js.publish(f"$KV.{names.RUNNERS}.one", b"hello"))
        assert says(runner, f"{names.NEWS}job.started")
        for subject in (names.WAKE, names.CANCEL, f"{names.REPEAT}one"):
            assert hears(runner, subject), subject
        for subject in ("job.>", "end.>", f"{names.NEWS}>", names.ENTRY, names.ASK, "_INBOX_learning.>", "$KV.>", ">"):
            assert not hears(runner, subject), subject
        for subject in (names.WAKE, names.CANCEL, f"{names.REPEAT}one", names.ASK, "_INBOX_learning.x"):
            assert not says(runner, subject), subject
        ledger = ConsumerConfig(durable_name="mine", ack_policy=AckPolicy.NONE)
        for work in (
            js.publish(names.ENTRY, b"", timeout=REFUSED_SECONDS),
            js.publish("job.noop.normal.x", b"", timeout=REFUSED_SECONDS),
            js.publish(f"$KV.{names.LEADER}.leader", b"", timeout=REFUSED_SECONDS),
            js.publish(f"$O.{names.SNAPSHOTS}.M.x", b"", timeout=REFUSED_SECONDS),
            js.add_consumer(names.LEDGER, ledger),
            js.add_consumer(names.ENDS, ledger),
            js.delete_consumer(names.JOBS, names.consumer_of("noop", "normal")),
            js.get_msg(names.LEDGER, 1),
            js.get_msg(f"OBJ_{names.SNAPSHOTS}", 1),
            js.get_msg(names.JOBS, 1),
            js.delete_msg(names.ENDS, 1),
            js.purge_stream(names.ENDS),
            *(js.delete_stream(one) for one in (names.ENDS, names.JOBS, names.LEDGER, f"OBJ_{names.PICTURES}")),
            js.add_stream(name="MINE", subjects=["mine"]),
        ):
            assert is_denied(runner, work), work


def check_reader(files: Path) -> None:
    """See that it looks at streams, consumers and who is there, and that it reads nothing and writes nothing."""
    with acting(files, "runner") as runner, acting(files, "reader") as reader:
        js = reader.js
        assert reader.run(js.account_info())
        assert reader.run(js.stream_info(names.ENDS)).state.messages == 1
        assert reader.run(js.consumers_info(names.JOBS))
        key = f"$KV.{names.RUNNERS}.one"
        assert runner.run(runner.js.publish(key, b"hello again"))  # the first one is forgotten after half a minute
        assert reader.run(js.get_last_msg(f"KV_{names.RUNNERS}", key)).data == b"hello again"
        headers = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: "0"}
        for work in (
            js.publish("end.experiment.0.other", b"", timeout=REFUSED_SECONDS, headers=headers),
            js.publish(f"$KV.{names.RUNNERS}.two", b"", timeout=REFUSED_SECONDS),
            *(js.get_msg(one, 1) for one in (names.ENDS, names.JOBS, names.LEDGER, f"OBJ_{names.PICTURES}")),
            js.delete_stream(names.JOBS),
            js.purge_stream(names.ENDS),
            js.add_consumer(names.ENDS, ConsumerConfig(durable_name="mine")),
        ):
            assert is_denied(reader, work), work
        for subject in ("job.>", "end.>", f"{names.NEWS}>", names.WAKE, "_INBOX_learning.>", "_INBOX_runner.>", ">"):
            assert not hears(reader, subject), subject
        for subject in (names.WAKE, names.CANCEL, names.ASK, f"{names.NEWS}x", "_INBOX_learning.x"):
            assert not says(reader, subject), subject


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
    looked: list[Running] = []

    def is_well() -> bool:  # servers that come to know each other late have one copy until who leads has looked again
        looked.append(workspace.command("cluster", "check", "--cluster", files / "reader.toml"))
        return looked[-1].wait() == 0

    wait_until(is_well, EXPERIMENT_SECONDS, what="a cluster that is well")
    assert "eof_received" not in looked[-1].errors()
    for one in (learning, runner):
        assert DENIED.lower() not in one.process.errors().lower()


def test_who_has_no_certificates_here_is_told_where_to_put_them(workspace: Workspace) -> None:
    """The servers may be elsewhere, and clients need that file, too."""
    folder = workspace.folder / "made"
    made = workspace.run("cluster", "config", "--output", folder, "--nodes", "a,b,c", "--ca", "/no/such/ca.pem")

    assert f"/no/such/ca.pem is not on this machine: copy it to {folder / 'ca.pem'}" in made.err
    assert "ca.pem" not in made.out
