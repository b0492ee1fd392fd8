"""SIGTERM in mid-run, and readers that go away."""

import shlex
import sys
from typing import Final

import pytest

from tests.support.checker import check_everything, whole_log
from tests.support.experiment_files import program, services, submit
from tests.support.helpers import wait_until
from tests.support.invariants import check_offsets
from tests.support.workspace import COMMAND_SECONDS, VARIANTBUS, Workspace, steady_ports, view_of, wait_for_jobs

STOP_SECONDS: Final = 5.0


@pytest.mark.fault(item="F7")
def test_services_end_within_five_seconds_and_lose_nothing(workspace: Workspace) -> None:
    """SIGTERM in mid-run ends each service with status 0; started again, they finish the experiment."""
    runner = workspace.runner(ports=steady_ports())
    learning = workspace.learning(runner, ports=steady_ports())
    experiment_id = submit(workspace, program(values=4, jobs=6, script="sleep 0.1"))
    for count, service in ((4, learning), (8, runner), (12, learning), (16, runner)):
        wait_for_jobs(learning, experiment_id, count)

        assert service.process.terminate(STOP_SECONDS) == 0

        service.start()
    wait_until(lambda: view_of(learning, experiment_id).status == "completed", COMMAND_SECONDS, what="the end")
    check_everything(runner, learning, experiment_id)


def test_a_runner_whose_program_ignores_sigterm_still_ends_in_time(workspace: Workspace) -> None:
    """A program that does not want to end is ended by force, with all its children."""
    runner, learning = services(workspace)
    submit(workspace, program(values=1, jobs=1, script="trap '' TERM; sleep 60; sleep 60"))
    experiment_id = workspace.run("experiment", "list", "--json").json[0]["experiment_id"]
    wait_until(lambda: view_of(learning, experiment_id).totals.running == 1, what="the job's start")
    wait_until(lambda: len(workspace.left()) > 2, what="the program's start")

    assert runner.process.terminate(STOP_SECONDS) == 0

    learning.terminate()
    wait_until(lambda: workspace.left() == [], what="the end of the program's children, for which nobody waits")


def test_a_stopped_service_says_nothing_that_looks_like_a_fault(workspace: Workspace) -> None:
    """An orderly end leaves no line of level ERROR or above on stderr."""
    runner, learning = services(workspace)
    submit(workspace, program(values=2, jobs=2, script="sleep 0.05"))

    for service in (learning, runner):
        assert service.terminate() == 0
        assert " ERROR " not in service.process.errors()
        assert " CRITICAL " not in service.process.errors()


def test_the_whole_log_can_be_printed(workspace: Workspace) -> None:
    """`tail --all --exit-at-end` prints every event once and in order, then ends; also from an offset on."""
    runner, learning = services(workspace)
    experiment_id = submit(workspace, program(values=4, jobs=5))
    wait_for_jobs(learning, experiment_id, 20)

    for name, service in (("runner", runner), ("learning", learning)):
        lines = workspace.run("tail", "--from", name, "--all", "--exit-at-end", "--json").lines
        check_offsets([line["offset"] for line in lines], service.head)
        assert [line["topic"] for line in lines] == [event.topic for event in whole_log(service)]
    both = workspace.run("tail", "--all", "--exit-at-end").out.splitlines()
    assert len(both) == runner.head + learning.head
    prefixed = workspace.run("tail", "job.completed", "--all", "--exit-at-end").out.splitlines()
    assert len(prefixed) == 20
    behind = workspace.run("tail", "--from", "runner", "--after", "5", "--exit-at-end", "--json").lines
    assert [line["offset"] for line in behind] == list(range(6, runner.head + 1))
    assert workspace.run("tail", "--all", "--count", "3").out.count("\n") == 3


@pytest.mark.fault(item="F46")
def test_a_reader_that_goes_away_ends_the_tail_quietly(workspace: Workspace) -> None:
    """`tail … | head -1` prints one line, and nothing on stderr."""
    _, learning = services(workspace)
    experiment_id = submit(workspace, program(values=6, jobs=10))
    wait_for_jobs(learning, experiment_id, 60)

    # those that do not end by themselves write more than a pipe takes: what is in it when `head` ends, nobody misses
    for words in ("tail --all --exit-at-end", "tail --all --json", "tail --all --json --timeout 900"):
        piped = workspace.start("pipe", "sh", "-c", f"{shlex.quote(VARIANTBUS)} {words} | head -1")
        assert piped.wait() == 0
        assert len(piped.text().splitlines()) == 1
        assert piped.errors() == ""


def test_every_module_says_what_it_takes(workspace: Workspace) -> None:
    """`--help` of each process and of `variantbus` ends with 0."""
    for module in ("pipeline_runner", "learning_service", "bus"):
        running = workspace.start(module, sys.executable, "-m", module, "--help")
        assert running.wait() == 0
        assert "Usage:" in running.text()
    assert "experiment run" in workspace.run("--help").out
