"""A data folder that an earlier version wrote: today's services open it, have all of it, and go on with its work."""

import fcntl
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from bus.eventlog.log import Log
from bus.eventlog.row_checksums import describe, register, renew
from bus.eventlog.verification import opened
from bus.eventlog.versions import set_version
from bus.protocol.control import LatestParams, LatestReply
from tests.support.helpers import wait_until
from tests.support.old_data import KNOWN, VERSIONS, unpack
from tests.support.workspace import ServiceProcess, Workspace, sentence_of, wait_for_jobs
from variantbus.cli.verify import STORES

NEWER: Final = [(service, store) for service in STORES for store in ("log", service)]
RETENTION: Final = "[limits]\nretain_bytes = 1\nretain_newest_events = 1\n"
CHANGES: Final = {"eta_seconds", "revision", "updated_at"}  # of an experiment, whenever it is shown


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a database."""
    with opened(path) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}  # noqa: S608 - names of our own


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
@pytest.mark.parametrize(
    "version",
    [VERSIONS[0], *(pytest.param(one, marks=pytest.mark.exhaustive) for one in VERSIONS[1:-1]), VERSIONS[-1]],
)
def test_an_earlier_version_s_data_is_opened_and_its_work_goes_on(workspace: Workspace, version: str) -> None:
    """Experiments, ratings, the comparison and pictures are there; unfinished jobs run; the answer is the same."""
    unpack(version, workspace.folder)
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


@pytest.mark.fault(item="F47")
@pytest.mark.parametrize(("service", "store"), NEWER)
def test_tomorrow_s_data_is_refused_in_a_sentence_that_says_what_to_do(
    workspace: Workspace, service: str, store: str
) -> None:
    """By the service and by `verify`; the state is as it was, and so is the epoch for which others will ask."""
    data = unpack(VERSIONS[-1], workspace.folder)
    path = data / f"{service}.db"
    for store_name, statements in STORES[service].items():  # so that nothing is left to be migrated
        with closing(Log(path)) as log:
            log.create_tables(store_name, statements)
    known = KNOWN[service][store]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_version(db, store, 99)
        for table in filter(None, [describe(db, "scopes")]):
            register(db)
            renew(db, table)
    before = rows_of(path)

    refused = sentence_of(workspace.run(service, "--data-dir", data, "--feed-port", "0", "--control-port", "0", code=4))

    what = f"{path} has version 99 of the {store} tables, this program knows {known}: a newer program wrote them"
    assert refused == f"{what}; use that one, or put back the copy {path.name}.before-migration-… that it made"
    assert rows_of(path) == before
    verified = workspace.run("verify", data, code=4)
    said = f"{path.name}: has version 99 of the {store} tables; {known} is known here; use a newer program\n"
    assert said in verified.out
