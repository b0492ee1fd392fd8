"""Command lines that nobody types on purpose: a sentence, the right exit status, and no traceback."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.helpers import TIME_FACTOR
from tests.support.in_process import run_in_process
from tests.support.workspace import VARIANTBUS, Finished, Workspace, finish, steady_ports
from variantbus.cli.main import main

NOWHERE = ("--learning", "tcp://127.0.0.1:9")


def mistyped(*words: str) -> str:
    """Return what is said of a command line that is refused before anything is done, so that no process is needed."""
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr, result.stderr
    assert not result.stdout
    return result.stderr


def refusal(finished: Finished) -> str:
    """Return what a command that refused has said."""
    assert "Traceback" not in finished.err, finished
    assert "Error: " in finished.err, finished
    assert not finished.out, finished
    return finished.err


@pytest.mark.fault(item="B43")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("runner --dur full", "No such option"),
        ("runner --durability", "requires an argument"),
        ("runner --durability fast", "'fast' is not one of"),
        ("runner --no-such-option", "No such option"),
        ("runner extra", "unexpected extra argument"),
    ],
)
def test_options_are_neither_abbreviated_nor_guessed(line: str, words: str) -> None:
    """An abbreviation that works today is another option tomorrow."""
    assert words in mistyped(*line.split())


@pytest.mark.fault(item="B43")
def test_of_a_repeated_option_the_last_one_counts() -> None:
    """As with every command of the system, so that an alias can be overridden."""
    assert "'x' is not a valid integer" in mistyped("runner", "--feed-port", "1", "--feed-port", "x")


@pytest.mark.fault(item="B44")
@pytest.mark.parametrize("port", ["99999", "-1", "1.5", "0x10", "", "1e3", "65536"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    """Out of range, or no whole number."""
    assert "--feed-port" in mistyped("runner", f"--feed-port={port}")


@pytest.mark.fault(item="B37")
@pytest.mark.fault(item="B38")
@pytest.mark.fault(item="B40")
@pytest.mark.parametrize(
    "address",
    [
        *("tcp://0.0.0.0:99999", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:1 ", "tcp://*:*", "ipc:///tmp/journal.db", ""),
        *("inproc://x", "tcp://::1:5561", "tcp://-:1", "http://127.0.0.1:5561", f"tcp://{'a' * 300}:x", "::1"),
    ],
)
def test_an_address_that_libzmq_would_misread_is_refused(address: str) -> None:
    """It takes port 99999 for another one, and unlinks the file that an ipc address names."""
    assert "is no address" in mistyped("experiment", "list", "--learning", address)


@pytest.mark.fault(item="B39")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "tcp://no-such-host.invalid:5571", "tcp://127.0.0.1:9"])
def test_an_address_where_nobody_is_ends_in_time(workspace: Workspace, address: str) -> None:
    """Connecting never fails in ZeroMQ; asking has a time limit, and the sentence names the address."""
    finished = workspace.run("experiment", "list", "--learning", address, code=3, seconds=20)
    assert address in refusal(finished)


@pytest.mark.fault(item="B45")
def test_an_argument_that_is_no_utf8_is_refused(workspace: Workspace) -> None:
    """It can be no id and no prefix, and it is shown without breaking the terminal."""
    commands: list[list[str | bytes]] = [["experiment", "show", b"\xff\xfe", *NOWHERE], ["tail", b"job.\xff"]]
    for words in commands:
        done = subprocess.run(
            [VARIANTBUS, *words], capture_output=True, timeout=30 * TIME_FACTOR, check=False, env=workspace.environment
        )
        assert done.returncode in (2, 3), done
        assert b"Traceback" not in done.stderr, done
        assert b"Error: " in done.stderr


@pytest.mark.fault(item="B32")
@pytest.mark.fault(item="B36")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "name: missing"),
        (b"name = 1\x00", "is no valid TOML"),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "is no valid TOML"),
        (b"x = " + b"{a=" * 5000 + b"1" + b"}" * 5000, "is no valid TOML"),
        (b"a" + b".a" * 5000 + b" = 1", ": "),
    ],
    ids=["empty", "NUL", "lists", "tables", "dotted keys"],
)
def test_a_file_that_is_strange_inside_is_refused(workspace: Workspace, content: bytes, words: str) -> None:
    """Empty, with a NUL, or nested five thousand deep."""
    file = workspace.folder / "strange.toml"
    file.write_bytes(content)
    assert words in refusal(run_in_process(workspace, "experiment", "run", file, *NOWHERE, code=2))


@pytest.mark.fault(item="B32")
def test_a_byte_order_mark_is_skipped(workspace: Workspace) -> None:
    """As some editors write it: the file is read, and only the service is missing."""
    file = workspace.folder / "bom.toml"
    file.write_bytes(b'\xef\xbb\xbfname = "x"\r\n[variable]\r\nname = "cfg_scale"\r\nvalues = [1, 2]\r\n')
    assert "no answer" in refusal(run_in_process(workspace, "experiment", "run", file, *NOWHERE, code=3))


def loop(folder: Path) -> Path:
    """Make a symbolic link to itself."""
    path = folder / "loop.toml"
    path.symlink_to(path)
    return path


def dangling(folder: Path) -> Path:
    """Make a symbolic link to nothing."""
    path = folder / "dangling.toml"
    path.symlink_to(folder / "nothing")
    return path


@pytest.mark.fault(item="B46")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder, "cannot be read (Is a directory)"),
        (loop, "cannot be read (Too many levels of symbolic links)"),
        (dangling, "cannot be read (No such file or directory)"),
        (lambda _: Path("/dev/zero"), "larger than"),
        (lambda _: Path("-"), "cannot be read (No such file or directory)"),
    ],
)
def test_a_path_that_is_no_file_is_refused(workspace: Workspace, make: Callable[[Path], Path], words: str) -> None:
    """A folder, links that lead nowhere, and a device without an end, of which only so much is read."""
    assert words in refusal(run_in_process(workspace, "experiment", "run", make(workspace.folder), *NOWHERE, code=2))


@pytest.mark.fault(item="B46")
def test_a_file_may_come_through_a_pipe(workspace: Workspace) -> None:
    """As from `<(command)` of a shell: it has no size, and is read to its end."""
    done = subprocess.run(
        [VARIANTBUS, "experiment", "run", "/dev/stdin", *NOWHERE],
        input=b'nam = "x"',
        capture_output=True,
        timeout=30 * TIME_FACTOR,
        check=False,
        env=workspace.environment,
    )
    assert done.returncode == 2
    assert b"nam: unknown key" in done.stderr


@pytest.mark.fault(item="B46")
@pytest.mark.fault(item="F46")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", ["spec", "--help", "--version", "experiment --help"])
def test_output_that_cannot_be_written_is_one_sentence(workspace: Workspace, line: str) -> None:
    """The disk behind stdout is full."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [VARIANTBUS, *line.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30 * TIME_FACTOR,
            check=False,
            env=workspace.environment,
        )
    assert done.returncode != 0
    assert done.stderr == b"Error: stdout: No space left on device\n"


@pytest.mark.fault(item="B47")
@pytest.mark.parametrize("module", ["pipeline_runner", "learning_service"])
def test_ctrl_c_at_any_moment_of_the_start_ends_quietly(workspace: Workspace, module: str) -> None:
    """While modules are read, files opened or sockets bound: no traceback, and a status that says so or 0."""
    for delay in (0.05, 0.15, 0.25, 0.35, 0.5):
        ports = [str(port) for port in steady_ports()]
        arguments = ["--data-dir", str(workspace.folder / "data"), "--feed-port", ports[0], "--control-port", ports[1]]
        running = workspace.start(module, sys.executable, "-m", module, *arguments)
        try:
            running.popen.wait(delay * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            running.send(signal.SIGINT)
        running.wait(8)
        finished = finish(running)
        # before our own code runs, the interpreter itself answers, with its traceback
        early = "click" in finished.err or "import" in finished.err or "runpy" in finished.err
        assert finished.code in (0, 130, -signal.SIGINT) or early, finished
        running.err.write_text("", encoding="utf-8")
