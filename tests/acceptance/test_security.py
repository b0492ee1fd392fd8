"""Our commands with keys: one folder for a machine, a second machine that may only look, and those who stay outside."""

import pytest

from bus.contracts.jobs import PipelinesReply
from bus.protocol.addresses import parse_address
from bus.transport.client import request
from bus.transport.keys import PEERS, SECRET, Keys
from tests.support.experiment_files import pictures, services
from tests.support.helpers import wait_until
from tests.support.in_process import run_in_process
from tests.support.key_folders import enrol, write_peers
from tests.support.workspace import Finished, Workspace, finish

KEYS = "VARIANTBUS_KEYS"


def make_keys(workspace: Workspace, name: str = "keys") -> Keys:
    """Return keys from a folder that the command has made."""
    folder = workspace.folder / name
    public = workspace.run("keygen", folder).out.strip()
    keys = Keys.load(folder)
    assert keys.public == public
    return keys


def use(workspace: Workspace, keys: Keys | None) -> None:
    """Make all processes that are started from now on use these keys, or none."""
    workspace.environment.pop(KEYS, None)
    if keys:
        workspace.environment[KEYS] = str(keys.folder)


def error_of(finished: Finished) -> str:
    """Return the sentence of a refusal."""
    assert "Traceback" not in finished.err, finished
    (sentence,) = [line for line in finished.err.splitlines() if line.startswith("Error: ")]
    return sentence


def test_keygen_makes_a_folder_says_what_to_do_and_never_overwrites(workspace: Workspace) -> None:
    """The public key is on stdout, for scripts; the secret is nowhere but in its file."""
    folder = workspace.folder / "deep" / "keys"
    first = workspace.run("keygen", folder)
    keys = Keys.load(folder)

    assert first.out == f"{keys.public}\n"
    assert f"export {KEYS}={folder}" in first.err
    assert "read NAME KEY" in first.err
    assert keys.secret not in first.err + first.out
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "has keys already" in error_of(workspace.run("keygen", folder, code=2))
    assert Keys.load(folder).secret == keys.secret


def test_the_whole_chain_runs_with_keys_and_a_second_machine_may_look(workspace: Workspace) -> None:
    """Runner, learning service, experiment and tail on one folder; then a reader from elsewhere, and a stranger."""
    ours = make_keys(workspace)
    use(workspace, ours)
    runner, learning = services(workspace)
    # from the first event on: it may be slower than the experiment, which would then be over
    listening = workspace.command("tail", "variant.status", "--all", "--json", "--count", "2", "--timeout", "50")
    file = workspace.write("experiment.toml", pictures(values=2, jobs=1))

    experiment_id = workspace.run("experiment", "run", file, "--follow").out.split()[0]

    assert listening.wait() == 0, listening.errors()
    assert workspace.run("experiment", "show", experiment_id, "--json").json["status"] == "completed"
    assert workspace.run("tail", "job.completed", "--all", "--exit-at-end", "--json").lines

    reader = make_keys(workspace, "reader")
    write_peers(reader, f"server 127.0.0.1 {ours.public}")
    enrol(ours, "read", reader.public)
    use(workspace, reader)
    assert experiment_id in workspace.run("experiment", "list").out
    refused = error_of(workspace.run("experiment", "run", file, code=4))
    assert refused.startswith("Error: experiment.create needs the role command, your key has read; have its line")
    assert workspace.run("job", "list", "--json").json

    write_peers(ours, "")
    assert "check the keys" in error_of(workspace.run("experiment", "list", code=3))
    use(workspace, None)
    assert error_of(workspace.run("experiment", "list", code=3)).endswith("if it is, it may want keys: see --keys")
    quiet = workspace.run("tail", "--count", "1", "--timeout", "3", code=5)
    assert "may want --keys" in quiet.err
    for service in (runner, learning):
        assert service.terminate() == 0
        assert ours.secret not in service.process.err.read_text(encoding="utf-8")


def test_a_learning_service_without_the_runners_key_does_not_start(workspace: Workspace) -> None:
    """An unknown host is a sentence at once, instead of silence forever."""
    keys = make_keys(workspace)

    folder = workspace.folder / "data"
    finished = workspace.run(
        "learning", "--data-dir", folder, "--keys", keys.folder, "--runner", "tcp://10.255.0.1:5561", code=2
    )

    assert f"{keys.folder / PEERS}: has no key for 10.255.0.1; add the line `server 10.255.0.1 KEY`" in finished.err


@pytest.mark.fault(item="B41")
@pytest.mark.parametrize("service", ["runner", "learning"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "10.1.2.3"])  # noqa: S104 - refused
def test_other_machines_come_in_only_with_keys_or_on_purpose(workspace: Workspace, service: str, host: str) -> None:
    """Before a file or a port is opened."""
    finished = run_in_process(workspace, service, "--host", host, "--data-dir", workspace.folder / "data", code=2)

    assert "lets other machines in: give --keys (see `variantbus keygen`), or --insecure" in error_of(finished)
    assert not (workspace.folder / "data").exists()


@pytest.mark.parametrize("host", ["", "*", "eth 0", "1.2.3.4:5", "tcp://1.2.3.4", "[::", "a/b", "somewhere.example"])
def test_what_is_no_host_is_refused(workspace: Workspace, host: str) -> None:
    """With what to write instead."""
    assert "is no IP address; write one" in error_of(run_in_process(workspace, "runner", "--host", host, code=2))


def test_up_refuses_what_its_services_would(workspace: Workspace) -> None:
    """Not once a second forever, but at the start."""
    workspace.environment["VARIANTBUS_HOST"] = "0.0.0.0"  # noqa: S104 - refused

    assert "lets other machines in" in error_of(workspace.run("up", "--data-dir", workspace.folder / "data", code=2))


@pytest.mark.parametrize(("host", "insecure"), [("0.0.0.0", True), ("::1", False), ("0.0.0.0", False)])  # noqa: S104
def test_a_service_listens_where_it_is_told(workspace: Workspace, host: str, insecure: bool) -> None:
    """On every interface with keys or on purpose; on another address of this machine as it is."""
    secured = host != "::1" and not insecure
    keys = make_keys(workspace) if secured else None
    use(workspace, keys)
    service = workspace.runner("--host", host, *(["--insecure"] if insecure else []))

    assert service.control.startswith("tcp://[::1]:" if host == "::1" else "tcp://0.0.0.0:")
    port = parse_address(service.control).port
    control = f"tcp://[::1]:{port}" if host == "::1" else f"tcp://127.0.0.1:{port}"
    assert "embedded" in request(control, "pipelines", {}, PipelinesReply, keys=keys).pipelines
    file = workspace.write("job.toml", '[config]\nprompt = "a red star"\nsteps = 2\nwidth = 32\nheight = 32\n')
    assert workspace.run("job", "submit", file, "--wait", "--runner", control, "--json").json["result"]["success"]


@pytest.mark.fault(item="B42")
def test_keys_that_others_can_read_are_refused(workspace: Workspace) -> None:
    """By services and commands alike, with what to do; the secret itself is not shown."""
    keys = make_keys(workspace)
    (keys.folder / SECRET).chmod(0o644)
    use(workspace, keys)

    for words in (("runner",), ("learning",), ("tail",), ("experiment", "list"), ("job", "list"), ("watch",)):
        finished = workspace.run(*words, code=2)
        assert "others can read it (mode 0644); do `chmod u=rwX,go= " in error_of(finished), words
        assert keys.secret not in finished.err


@pytest.mark.fault(item="F41")
def test_a_client_that_is_enrolled_while_it_waits_goes_on_by_itself(workspace: Workspace) -> None:
    """Without a restart of either side."""
    ours = make_keys(workspace)
    use(workspace, ours)
    workspace.runner()
    other = make_keys(workspace, "other")
    write_peers(other, f"server 127.0.0.1 {ours.public}")
    use(workspace, other)
    # not of all topics of jobs: the progress of one that runs is not logged, and may come before the log has been read
    waiting = workspace.command("tail", "job.queued", "--all", "--count", "1", "--json")
    wait_until(lambda: "may not know your key" in waiting.errors(), what="the hint")

    enrol(ours, "read", other.public)
    use(workspace, ours)
    file = workspace.write("job.toml", '[config]\nprompt = "a red star"\nsteps = 2\nwidth = 32\nheight = 32\n')
    workspace.run("job", "submit", file, "--wait")

    assert waiting.wait() == 0
    assert finish(waiting).lines[0]["topic"] == "job.queued."
