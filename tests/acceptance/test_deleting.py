"""Deleting and archiving experiments by the commands that a person types, and a service that dies meanwhile."""

import os
import signal
from pathlib import Path

import pytest

from bus.protocol.control import ControlError
from tests.support.checker import outputs_of
from tests.support.experiment_files import gate, open_gate, program, services, submit
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ServiceProcess, Workspace, sentence_of, view_of


def wait_for_end(learning: ServiceProcess, experiment_id: str) -> None:
    """Wait until an experiment has completed."""
    wait_until(lambda: view_of(learning, experiment_id).status == "completed", COMMAND_SECONDS, what="the end")


def is_gone(learning: ServiceProcess, experiment_id: str) -> bool:
    """Return whether nobody finds an experiment."""
    try:
        view_of(learning, experiment_id)
    except ControlError as error:
        return error.code == "not_found"
    return False


def results_of(runner: ServiceProcess) -> list[Path]:
    """Return the files that jobs have made; their folders may be removed meanwhile, which `rglob` does not bear."""
    return [
        Path(folder, name) for folder, _, names in os.walk(outputs_of(runner)) for name in names if name[-4:] == ".txt"
    ]


def listed(workspace: Workspace, *options: str) -> list[str]:
    """Return the experiments that a list has."""
    return [one["experiment_id"] for one in workspace.run("experiment", "list", "--json", *options).json]


def test_experiments_are_put_away_and_deleted(workspace: Workspace) -> None:
    """Nothing is deleted while one is at work, or without a word; whoever watches it is told; an export comes back."""
    runner, learning = services(workspace)
    kept = submit(workspace, program(values=1, jobs=1), "kept.toml")
    name = submit(workspace, program(values=2, jobs=1, script=gate(workspace, 0)))
    wait_for_end(learning, kept)
    refused = workspace.run("experiment", "delete", "--yes", kept, name, code=4)
    assert f"`variantbus experiment cancel {name}`" in sentence_of(refused)
    open_gate(workspace)
    wait_for_end(learning, name)
    export = workspace.folder / "export.json"
    workspace.run("experiment", "export", name, "-o", export)

    assert "--archived" in workspace.run("experiment", "list", "--search", "nosuch").err, "where else to look"
    workspace.run("experiment", "archive", kept, "nosuch", code=4)
    assert not listed(workspace, "--archived"), "half of it is done"
    workspace.run("experiment", "archive", kept)
    assert listed(workspace) == [name]
    workspace.run("experiment", "unarchive", kept, "nosuch", code=4)
    assert listed(workspace, "--archived") == [kept]
    workspace.run("job", "gc", "--older-than", "0s")
    assert len(results_of(runner)) == 3, "an archived experiment keeps its pictures"

    asked = workspace.run("experiment", "delete", name, code=2)
    assert "add --yes" in asked.err
    workspace.run("experiment", "delete", name, "--yes")
    assert is_gone(learning, name)
    wait_until(lambda: len(results_of(runner)) == 1, what="the removal of its files")
    assert workspace.run("experiment", "import", export).out.strip() == name
    assert view_of(learning, name).totals.completed == 2


@pytest.mark.fault(item="F101")
def test_a_learning_service_that_is_killed_while_it_deletes_goes_on_with_it(workspace: Workspace) -> None:
    """What was published of it says so, and the files go."""
    runner, learning = services(workspace, steady=True)
    name = submit(workspace, program(values=6, jobs=4))
    wait_for_end(learning, name)
    deleting = workspace.command("experiment", "delete", name, "--yes")
    wait_until(lambda: is_gone(learning, name), COMMAND_SECONDS, what="the deletion")

    learning.kill()
    deleting.send(signal.SIGKILL)
    learning.start()

    assert listed(workspace) == []
    told = workspace.run("tail", f"experiment.status.{name}", "--all", "--exit-at-end", "--from", "learning", "--json")
    assert told.lines[-1]["body"]["type"] == "experiment.deleted"
    wait_until(lambda: not results_of(runner), what="the removal of its files")
