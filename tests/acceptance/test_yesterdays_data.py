"""A data folder that an earlier version wrote: today's services open it, have all of it, and go on with its work."""

import fcntl
import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bus.protocol.control import LatestParams, LatestReply
from tests.support.helpers import wait_until
from tests.support.workspace import ServiceProcess, Workspace, wait_for_jobs

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
VERSIONS: Final = sorted(path.name for path in FIXTURES.glob("version-*.tar.xz"))
RETENTION: Final = "[limits]\nretain_bytes = 1\nretain_newest_events = 1\n"
CHANGES: Final = {"eta_seconds", "revision", "updated_at"}  # of an experiment, whenever it is shown


def topics(learning: ServiceProcess, prefix: str) -> set[str]:
    """Return the topics below a prefix whose newest event the learning service still gives."""
    reply = learning.ask("latest", LatestParams(prefix=prefix), LatestReply)
    return {record.topic for record in reply.events}


def shown(workspace: Workspace, experiment_id: str) -> Any:
    """Return an experiment as `show` prints it, without what changes with time."""
    document = workspace.run("experiment", "show", experiment_id, "--json").json
    return {key: value for key, value in document.items() if key not in CHANGES}


@pytest.fixture
def fixed_port() -> Iterator[None]:
    """Wait for a second suite on this machine: the data name the runner by its address, so the port is given."""
    with Path(tempfile.gettempdir(), "variantbus-version.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("fixed_port")
@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_version_s_data_is_opened_and_its_work_goes_on(workspace: Workspace, version: str) -> None:
    """Experiments, ratings, the comparison and pictures are there; unfinished jobs run; the answer is the same."""
    with tarfile.open(FIXTURES / version) as archive:
        archive.extractall(workspace.folder, filter="data")
    before = json.loads((workspace.folder / "data" / "answers.json").read_text(encoding="utf-8"))
    ended, running = before["ended"]["experiment_id"], before["running"]["experiment_id"]
    assert before["running"]["status"] == "running"

    port = int(before["runner"].rsplit(":", 1)[1])  # by which the learning service knows it
    runner = workspace.runner(ports=(0, port))
    learning = workspace.learning(runner)
    assert shown(workspace, ended) == {key: value for key, value in before["ended"].items() if key not in CHANGES}
    assert workspace.run("recommend", ended, "--json").json == before["recommend"]
    for variant in before["ended"]["variants"]:
        for image in variant["images"]:
            assert (workspace.folder / "data" / "outputs" / image["path"]).is_file()
    assert "; 0 compared\n" in workspace.run("undo", ended, "--comparison").err

    wait_for_jobs(learning, running, before["running"]["totals"]["jobs"])
    assert shown(workspace, running)["status"] == "completed"

    every_status = topics(learning, "variant.status.")
    assert len(every_status) == len(before["ended"]["variants"]) + len(before["running"]["variants"])
    learning.terminate()
    learning = workspace.learning(runner, "--config", str(workspace.write("limits.toml", RETENTION)))
    wait_until(lambda: learning.info.first > 1, what="the retention of old events")
    assert topics(learning, "variant.status.") == every_status  # the newest event of a status topic stays
