"""Our commands as processes: started, waited for, stopped or killed, and never left behind."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from bus.contracts.experiments import ExperimentParams, ExperimentView
from bus.protocol.addresses import parse_address
from bus.protocol.control import InfoReply
from bus.transport.client import request
from tests.support.helpers import REPLY_SECONDS, TIME_FACTOR, wait_until

R = TypeVar("R")
ROOT: Final = Path(__file__).parents[2]
VARIANTBUS: Final = str(Path(sys.executable).with_name("variantbus"))
MARK: Final = "VARIANTBUS_TEST_WORKSPACE"  # in the environment of all that a test starts, so that nothing hides
START_SECONDS: Final = 20.0
COMMAND_SECONDS: Final = 60.0
STOP_SECONDS: Final = 8.0
_UNCLOSED: Final = (
    r"Exception ignored in: <function Socket\.__del__ .*\nTraceback .*\n(  .*\n)+ResourceWarning: Unclosed socket "
)
HALF_MADE: Final = re.compile(_UNCLOSED + r".*\n")
OF_NO_TYPE: Final = re.compile(_UNCLOSED + r"<zmq\.Socket\(zmq\.UNKNOWN\).*\n")
TAIL_CHARACTERS: Final = 3000
STEADY_PORTS: Final = range(15_000, 32_000)  # below those that systems give to outgoing connections


@dataclass(frozen=True)
class Finished:
    """A command that has ended, with all that it printed."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def __str__(self) -> str:
        """Show everything: it is what a failing assertion prints."""
        return f"{' '.join(self.arguments)} ended with {self.code}\nstdout:\n{self.out}\nstderr:\n{self.err}"


class Running:
    """A process whose output goes to two files."""

    def __init__(self, name: str, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        """Start it."""
        self.name, self.arguments = name, arguments
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.popen = subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def text(self) -> str:
        """Return what it has printed on stdout; a line that is being written is left out."""
        text = self.out.read_text(encoding="utf-8", errors="replace")
        return text[: text.rfind("\n") + 1]

    def errors(self) -> str:
        """Return the end of what it has printed on stderr, without what nobody can help.

        A signal may come while a socket is made, before anybody has it who could close it; Python closes it, and says
        so, as warnings are errors here. Where it was the signal of a child that has ended, the status is another one.
        """
        text = self.err.read_text(encoding="utf-8", errors="replace")
        was_ended = self.popen.returncode in (129, 130, 143)
        return (HALF_MADE if was_ended else OF_NO_TYPE).sub("", text)[-TAIL_CHARACTERS:]

    def lines(self) -> list[Any]:
        """Return the JSON documents that it has printed, one a line."""
        return [json.loads(line) for line in self.text().splitlines()]

    def wait_for_line(self, word: str, seconds: float = START_SECONDS) -> str:
        """Wait until it prints a line that begins with a word."""

        def found() -> str:
            return next((line for line in self.text().splitlines() if line.startswith(word)), "")

        with contextlib.suppress(AssertionError):  # whoever reads the failure needs the child's own words
            wait_until(lambda: found() or not self.lives, seconds)
        assert found(), f"{self.name} printed no line {word!r} (status {self.popen.poll()}):\n{self.errors()}"
        return found()

    def wait(self, seconds: float = COMMAND_SECONDS) -> int:
        """Wait for its end and return its exit status."""
        try:
            return self.popen.wait(seconds * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            text = f"{self.name} has not ended within {seconds * TIME_FACTOR:g} s:\n{self.errors()}"
            raise AssertionError(text) from None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; whom it stops has stopped when this returns.

        Until a busy machine lets its threads see the signal they go on, and may answer once more.
        """
        self.popen.send_signal(number)
        if number == signal.SIGSTOP and self.lives and hasattr(os, "waitid"):  # macOS has it since Python 3.13
            with contextlib.suppress(ChildProcessError):  # it has ended meanwhile
                os.waitid(os.P_PID, self.popen.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.popen.kill()
        self.popen.wait()

    def terminate(self, seconds: float = STOP_SECONDS) -> int:
        """Ask it to end and return its exit status."""
        self.popen.terminate()
        return self.wait(seconds)


class ServiceProcess:
    """The runner or the learning service as a process that can be started again where it was."""

    def __init__(
        self,
        workspace: "Workspace",
        module: str,
        options: Iterable[str],
        ports: tuple[int, int],
        data: Path | None = None,
    ) -> None:
        """Start it and wait until it listens; its data is in the workspace's folder, unless another one is given."""
        self._workspace, self._module, self._options = workspace, module, tuple(options)
        self._ports = ports
        self.data = data or workspace.folder / "data"
        self.start()

    def start(self) -> None:
        """Start it, again on the ports that it had."""
        feed, control = (str(port) for port in self._ports)
        arguments = [sys.executable, "-m", self._module, "--data-dir", str(self.data)]
        arguments += ["--feed-port", feed, "--control-port", control, *self._options]
        self.process = self._workspace.start(self._module, *arguments)
        words = self.process.wait_for_line("listening").split()
        addresses = dict(word.split("=", 1) for word in words[1:])
        self.feed, self.control = addresses["feed"], addresses["control"]
        self._ports = (parse_address(self.feed).port, parse_address(self.control).port)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()

    def terminate(self) -> int:
        """Ask it to end and return its exit status."""
        return self.process.terminate()

    def ask(self, method: str, params: object, reply: type[R]) -> R:
        """Ask its control socket."""
        return request(self.control, method, params, reply, REPLY_SECONDS)

    @property
    def info(self) -> InfoReply:
        """What it says of itself."""
        return self.ask("info", {}, InfoReply)

    @property
    def head(self) -> int:
        """The newest offset of its log: a clock of what happens."""
        return self.info.head


class Workspace:
    """All processes of one test, with a folder of their own; `close` sees to it that none is left."""

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        self.folder = folder
        self.started: list[Running] = []
        self.mark = uuid.uuid4().hex
        ours = {key: value for key, value in os.environ.items() if not key.startswith("VARIANTBUS_")}
        # no config file but the test's own
        ours |= {"XDG_CONFIG_HOME": str(folder / "config")}
        self.environment = {**ours, MARK: self.mark, "COLUMNS": "200", "PYTHONWARNINGS": "error"}

    def start(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """Start any process."""
        numbered = f"{len(self.started):02d}-{name}"
        running = Running(numbered, list(arguments), self.folder, {**self.environment, **(environment or {})})
        self.started.append(running)
        return running

    def command(self, *arguments: str | Path) -> Running:
        """Start `variantbus` with some arguments."""
        words = [str(argument) for argument in arguments]
        return self.start(words[0] if words and words[0].isalpha() else "variantbus", VARIANTBUS, *words)

    def run(self, *arguments: str | Path, code: int = 0, seconds: float = COMMAND_SECONDS) -> Finished:
        """Run `variantbus` to its end, which must be as expected."""
        running = self.command(*arguments)
        running.wait(seconds)
        finished = finish(running)
        assert finished.code == code, f"{code} was expected, but {finished}"
        return finished

    def runner(self, *options: str, ports: tuple[int, int] = (0, 0), data: Path | None = None) -> ServiceProcess:
        """Start a runner."""
        return self._known("RUNNER", ServiceProcess(self, "pipeline_runner", options, ports, data))

    def learning(
        self, runner: ServiceProcess, *options: str, ports: tuple[int, int] = (0, 0), data: Path | None = None
    ) -> ServiceProcess:
        """Start a learning service that follows a runner."""
        options = ("--runner", runner.control, *options)
        return self._known("LEARNING", ServiceProcess(self, "learning_service", options, ports, data))

    def write(self, name: str, text: str) -> Path:
        """Write a file into the test's folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def shadow_our_modules(self) -> None:
        """Write files into the test's folder that are called as our modules are, as a user's own may be."""
        for name in ("bus", "learning_service", "numpy", "pipeline_runner", "queue", "variantbus", "zmq"):
            self.write(f"{name}.py", f"raise SystemExit('{name}.py of the working folder was imported')\n")

    def close(self) -> None:
        """End all processes: ask, wait, force. None may be left that the test did not leave to us."""
        for running in reversed(self.started):
            if running.lives:
                running.send(signal.SIGCONT)
                running.popen.terminate()
        stubborn = [running for running in self.started if not _ends(running)]
        for running in stubborn:
            running.kill()
        assert not stubborn, self.report(stubborn)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.left(), STOP_SECONDS)
        left = self.left()
        commands = [" ".join(_words(process)) or f"process {process.pid}, which has ended since" for process in left]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert not commands, f"processes were left: {commands}"
        broken = [running for running in self.started if "Traceback" in running.errors()]
        assert not broken, self.report(broken)

    def left(self) -> list[psutil.Process]:
        """Find everything that was started by this test, or by what it started, and still lives."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def running(self, word: str) -> list[psutil.Process]:
        """Find those of `left` that have a word in their command line, such as a program or a module."""
        return [process for process in self.left() if word in _words(process)]

    def report(self, some: list[Running] | None = None) -> str:
        """Return the end of the stderr of processes, for the eyes of whoever looks at a failure."""
        shown = self.started if some is None else some
        return "\n".join(f"--- {one.name}, status {one.popen.poll()}\n{one.errors()}" for one in shown)

    def _known(self, name: str, service: ServiceProcess) -> ServiceProcess:
        """Set the address of a service for later commands, and return the service."""
        self.environment[f"VARIANTBUS_{name}"] = service.control
        return service

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def finish(running: Running) -> Finished:
    """Return the result of a process that has ended."""
    out, err = (path.read_text(encoding="utf-8") for path in (running.out, running.err))
    return Finished(tuple(running.arguments[1:]), running.wait(), out, err)


def sentence_of(finished: Finished) -> str:
    """Return the sentence of a refusal; there must be one, and nothing else but a hint at the usage."""
    assert "Traceback" not in finished.err, finished
    assert not finished.out, finished
    said = [line for line in finished.err.splitlines() if not line.startswith(("Usage: ", "Try "))]
    (sentence,) = [line for line in said if line]
    assert sentence.startswith("Error: "), finished
    return sentence.removeprefix("Error: ")


def steady_ports() -> tuple[int, int]:
    """Choose two of `free_ports`."""
    feed, control = free_ports(2)
    return feed, control


def free_ports(count: int) -> list[int]:
    """Choose free ports which, while nobody listens there, no outgoing connection can take.

    A service that is killed and started again on a port which the system had picked could find it taken, and a client
    that tries such a port again and again would at last get it for its own end, and talk to itself. None comes twice
    soon: whoever is given a port does not listen there at once, nor while it is started again.
    """
    chosen: list[int] = []
    while len(chosen) < count:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            chosen.append(port)
    return chosen


def _own_ports(worker: str, workers: int) -> Iterator[int]:
    """Yield the steady ports of one process that runs tests, over and over; those beside it have others."""
    own = [*STEADY_PORTS][int(worker.removeprefix("gw")) % workers :: workers]
    random.SystemRandom().shuffle(own)  # other runs of tests on this machine know nothing of ours
    return itertools.cycle(own)


_ports: Final = _own_ports(
    os.environ.get("PYTEST_XDIST_WORKER", "gw0"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
)


def view_of(learning: ServiceProcess, experiment_id: str) -> ExperimentView:
    """Ask for an experiment with its variants."""
    return learning.ask("experiment.show", ExperimentParams(experiment_id=experiment_id), ExperimentView)


def wait_for_jobs(learning: ServiceProcess, experiment_id: str, count: int) -> None:
    """Wait until so many jobs of an experiment have ended well."""
    wait_until(
        lambda: view_of(learning, experiment_id).totals.completed >= count,
        COMMAND_SECONDS,
        what=f"the end of {count} jobs",
    )


def _ends(running: Running) -> bool:
    try:
        running.popen.wait(STOP_SECONDS * TIME_FACTOR)
    except subprocess.TimeoutExpired:
        return False
    return True


def _words(process: psutil.Process) -> list[str]:
    """Return the command line of a process that may end at any moment; nothing is left of one that has."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
