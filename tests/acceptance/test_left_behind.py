"""No process outlives the command that has started it, in whichever way that ends; and what hangs can be ended."""

import shlex
import signal
import subprocess
import sys

import psutil
import pytest

from tests.support.experiment_files import gate, program, submit
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.installations import Terminal, addresses, are_free, settings_for, wait_for_services
from tests.support.workspace import COMMAND_SECONDS, VARIANTBUS, Running, Workspace

GONE_SECONDS = 8.0  # a service ends within 5, and forces itself after 6


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    """Return a workspace with ports and a data folder of its own."""
    workspace.environment |= settings_for(workspace.folder / "data")
    return workspace


def wait_until_gone(workspace: Workspace) -> None:
    """Wait until nothing lives that the test has started, and its ports are free."""
    wait_until(lambda: not workspace.left(), GONE_SECONDS, what="the end of all processes")
    wait_until(lambda: are_free(workspace.environment), what="free ports")


def up(workspace: Workspace) -> Running:
    """Start `variantbus up` and wait for its services."""
    running = workspace.start("up", VARIANTBUS, "up")
    wait_for_services(workspace)
    return running


@pytest.mark.fault(item="F145")
def test_what_up_has_started_ends_when_it_is_killed(workspace: Workspace) -> None:
    """By `kill -9`, with a program that runs as a job; the next `up` finds data and ports free."""
    first = up(workspace)
    submit(workspace, program(values=1, jobs=1, script=gate(workspace, 0)))
    wait_until(lambda: workspace.running("sh"), what="the job's program")

    first.kill()

    wait_until_gone(workspace)
    assert "nothing of `variantbus up` runs" in workspace.run("down").err
    up(workspace)


@pytest.mark.fault(item="F145")
def test_what_a_demo_has_started_ends_when_it_is_killed(workspace: Workspace) -> None:
    """Also `demo` can be killed at any time."""
    demo = workspace.command("demo")
    wait_until(lambda: len(workspace.left()) > 3, COMMAND_SECONDS, what="the services of the demo")

    demo.kill()

    wait_until_gone(workspace)


@pytest.mark.fault(item="F146")
@pytest.mark.parametrize("command", ["up", "demo", "runner", "learning", "dashboard"])
def test_a_closed_terminal_ends_what_runs_in_it(workspace: Workspace, command: str) -> None:
    """It sends SIGHUP, and nothing can be written to it any more."""
    with Terminal(workspace, VARIANTBUS, command) as terminal:
        terminal.wait_for("running" if command == "demo" else "listening service=")

        terminal.close()

        status = terminal.process.wait(COMMAND_SECONDS * TIME_FACTOR)
        assert status == 0 or command == "demo", "whose table cannot be drawn to its end"
    wait_until_gone(workspace)


@pytest.mark.fault(item="F146")
def test_a_shell_may_send_it_as_well(workspace: Workspace) -> None:
    """A second SIGHUP changes nothing whenever it comes, where a second SIGTERM ends the process at once."""
    runner = workspace.runner()

    def has_ended() -> bool:
        runner.process.send(signal.SIGHUP)
        return not runner.process.lives

    wait_until(has_ended, GONE_SECONDS, what="the end of the runner")
    assert runner.process.wait() == 0


@pytest.mark.parametrize("command", ["up", "runner", "dashboard"])
def test_nohup_is_obeyed(workspace: Workspace, command: str) -> None:
    """Whoever wants services to outlive the terminal says so."""
    running = workspace.start(command, "/usr/bin/env", "nohup", VARIANTBUS, command)
    running.wait_for_line("listening service=")

    running.send(signal.SIGHUP)

    with pytest.raises(subprocess.TimeoutExpired):
        running.popen.wait(1.0)  # without it, all of them end within a second
    assert running.terminate() == 0


@pytest.mark.fault(item="F147")
def test_down_ends_up_from_another_terminal(workspace: Workspace) -> None:
    """In good order, as Ctrl-C does."""
    running = up(workspace)

    told = workspace.run("down").err

    assert told == f"ended process {running.popen.pid}\n"
    assert running.wait(1) == 0
    wait_until_gone(workspace)


@pytest.mark.fault(item="F147")
def test_down_ends_what_an_up_has_left_that_could_not_end_itself(workspace: Workspace) -> None:
    """Processes that are stopped do not see that their `up` is gone; a second `up` says what ends them."""
    first = up(workspace)
    children = psutil.Process(first.popen.pid).children()
    for process in children:
        process.suspend()
    wait_until(lambda: all(one.status() == psutil.STATUS_STOPPED for one in children), what="the stop of all")
    first.kill()

    refused = workspace.run("up", code=4)
    told = workspace.run("down").err

    assert "has left processes in" in refused.err
    assert "`variantbus down --data-dir" in refused.err
    for process in children:
        assert str(process.pid) in refused.err
        assert str(process.pid) in told
    wait_until_gone(workspace)


@pytest.mark.fault(item="F147")
def test_up_offers_to_end_what_is_there(workspace: Workspace) -> None:
    """In a terminal it asks; the new one runs then."""
    first = up(workspace)

    with Terminal(workspace, VARIANTBUS, "up") as terminal:
        terminal.wait_for("go on? [y/N]")
        terminal.type("y\n")

        assert first.wait(GONE_SECONDS) == 0
        terminal.wait_for("listening service=runner")
        wait_for_services(workspace)
        assert workspace.run("down").err == f"ended process {terminal.process.pid}\n"
        assert terminal.process.wait(GONE_SECONDS * TIME_FACTOR) == 0


@pytest.mark.fault(item="F147")
def test_down_ends_nothing_else(workspace: Workspace) -> None:
    """Neither the `up` of another folder, nor a process that has got the number of a dead `up`."""
    other = up(workspace)
    folder = workspace.folder / "dead"
    folder.mkdir()
    sleeper = workspace.start("sleeper", "sleep", "60")
    (folder / "up.lock").write_text(f"{sleeper.popen.pid}\n", encoding="ascii")

    told = workspace.run("down", "--data-dir", folder).err

    assert told == f"nothing of `variantbus up` runs in {folder}\n"
    assert sleeper.lives
    assert other.lives
    wait_for_services(workspace)


def test_down_needs_no_data_folder(workspace: Workspace) -> None:
    """Nothing runs in a folder that is not there, and none is made."""
    folder = workspace.folder / "absent"

    assert "nothing of" in workspace.run("down", "--data-dir", folder).err
    assert not folder.exists()


def test_a_lifeline_is_no_heirloom(workspace: Workspace) -> None:
    """A variable that came from elsewhere ends nobody: neither a wrong number nor a file that is no pipe."""
    for value in ("99 1:1", "0 1:1", "nonsense", ""):
        running = workspace.start(
            "runner",
            *(sys.executable, "-P", "-m", "pipeline_runner", "--feed-port", "0", "--control-port", "0"),
            *("--data-dir", str(workspace.folder / f"runner-{len(value)}")),
            environment={"VARIANTBUS_LIFELINE": value},
        )
        running.wait_for_line("listening")
        assert running.terminate() == 0


@pytest.mark.fault(item="F148")
def test_two_installations_side_by_side_have_nothing_in_common(workspace: Workspace) -> None:
    """With other ports, `up` connects its own processes, whatever the variables for commands say."""
    first = workspace.environment.copy()
    up(workspace)
    second = settings_for(workspace.folder / "second")
    stale = dict(zip(("VARIANTBUS_RUNNER", "VARIANTBUS_LEARNING"), addresses(first), strict=True))
    other = workspace.start("second", VARIANTBUS, "up", environment=second | stale)
    wait_for_services(workspace, second)
    workspace.environment |= second  # a shell with these variables talks to the second one

    workspace.run("experiment", "run", workspace.write("experiment.toml", program(values=2, jobs=2)), "--follow")

    assert len(list((workspace.folder / "second" / "outputs").rglob("*.txt"))) == 4
    assert not list((workspace.folder / "data").rglob("*.txt"))
    assert len(workspace.run("experiment", "list", "--json").json) == 1
    wait_until(lambda: "level=1 completed 2/2 jobs" in other.text(), what="the logger's lines")
    [told] = [line for line in other.errors().splitlines() if line.startswith("for commands in other terminals: ")]
    workspace.environment |= first
    assert workspace.run("experiment", "list", "--json").json == []
    workspace.environment |= dict(word.split("=", 1) for word in shlex.split(told.partition("export ")[2]))
    assert len(workspace.run("experiment", "list", "--json").json) == 1
    workspace.run("down")  # of the second one, whose services and data that line names
    assert other.wait() == 0
    workspace.environment = first
    assert workspace.run("check").out.startswith("ok")


def test_ctrl_c_in_a_demo_says_what_is_so(workspace: Workspace) -> None:
    """Its services end with it, so no experiment continues; the next demo runs what is left."""
    demo = workspace.command("demo")
    events = workspace.folder / "data" / "demo" / "logs" / "events.jsonl"
    wait_until(lambda: events.exists() and "variant.status" in events.read_text(), COMMAND_SECONDS, what="a job")

    demo.send(signal.SIGINT)

    assert demo.wait() == 128 + signal.SIGINT
    assert "continues" not in demo.errors()
    assert "stopped, with its services" in demo.errors()
    assert workspace.left() == []


@pytest.mark.fault(item="F145")
def test_a_demo_ends_with_a_service_of_it_that_was_killed(workspace: Workspace) -> None:
    """It would wait for it without end; nothing is left."""
    demo = workspace.command("demo")
    events = workspace.folder / "data" / "demo" / "logs" / "events.jsonl"
    wait_until(events.exists, COMMAND_SECONDS, what="the services of the demo")

    workspace.running("pipeline_runner")[0].kill()

    assert demo.wait() == 1
    assert demo.errors().startswith("Error: runner has ended with status 137")
    wait_until_gone(workspace)
