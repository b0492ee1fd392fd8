"""The benchmark still runs, in miniature, and leaves nothing behind. How fast it is, is not a test's business."""

import contextlib
import json
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest
from msgspec.structs import replace

from benchmarks.systems import JOB_SYSTEMS, OURS
from benchmarks.workload import Checker, LostEventError, Workload
from bus.contracts.messages import VariantStatus
from tests.support.helpers import wait_until
from tests.support.workspace import Running, Workspace, finish

ROOT = Path(__file__).parents[2]
CHAIN = {"chain-throughput", "chain-cost", "latency-p50", "latency-p99"}
LOSSES = "losses-of-killed-publisher"
JOB_PEERS = [name for name in JOB_SYSTEMS if name != OURS]
GROWTH = {
    *(f"growth-{what}-{tracked}" for what in ("cost", "resident") for tracked in (2, 5)),
    *("growth-cost-ratio", "growth-memory", "growth-jobs-cost-4", "growth-jobs-cost-12", "growth-jobs-ratio"),
}


def start(workspace: Workspace, *options: str, peer: str = "pyzmq") -> Running:
    """Start the benchmark with tiny counts; its folders come into the test's own."""
    words = (sys.executable, "-m", "benchmarks", "--quick", "--system", "ours", "--system", peer, *options)
    return workspace.start("bench", *words, environment={"PYTHONPATH": str(ROOT), "TMPDIR": str(workspace.folder)})


def children(running: Running) -> list[psutil.Process]:
    """Return the processes that it has started and that still live."""
    try:
        return psutil.Process(running.popen.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def measured(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Return what the benchmark has written down, by measurement."""
    rows: list[dict[str, Any]] = json.loads((workspace.folder / "results" / "latest.json").read_text(encoding="utf-8"))
    return {row["name"]: row for row in rows}


def status(revision: int, completed: int, state: Literal["running", "completed"] = "running") -> VariantStatus:
    """Return a variant of two jobs as it is published."""
    return VariantStatus(
        experiment_id="cfg-sweep-000000",
        experiment_name="CFG sweep",
        variant_index=0,
        variable_under_test="level",
        variant_value=1.0,
        status=state,
        planned=2,
        completed=completed,
        failed=0,
        cancelled=0,
        images=(),
        error=None,
        rating=None,
        metrics={},
        duration_mean=None,
        revision=revision,
        updated_at=0.0,
    )


def leftovers(workspace: Workspace) -> list[Path]:
    """Return what the benchmark has left in the temporary folder."""
    return list(workspace.folder.glob("variantbus-bench-*"))


@pytest.mark.exhaustive
def test_every_measurement_runs_and_is_written_down(workspace: Workspace) -> None:
    """All measurements come out, with medians, ratios, single rounds and the machine, and as a picture."""
    running = start(workspace, "--rounds", "1", "--output", str(workspace.folder / "results"))
    running.wait(150)
    finished = finish(running)
    assert finished.code == 0, finished
    by_name = measured(workspace)
    read = {"catch-up-subscriber", "catch-up-rebuilt-service", "fan-out-1", "fan-out-3"}
    clustered = {"cluster-jobs", "cluster-cost", "cluster-delay-p50", "cluster-delay-p99"}
    assert set(by_name) == CHAIN | read | GROWTH | clustered | {"jobs", LOSSES}
    assert by_name[LOSSES]["ours"] == 0
    throughput = by_name["chain-throughput"]
    assert throughput["ratios"]["pyzmq"] == throughput["ours"] / throughput["peers"]["pyzmq"]
    assert len(throughput["figures"]["ours"]) == throughput["rounds"] == 1
    assert throughput["targets"][0]["peer"] == "pyzmq"
    assert throughput["machine"]["cores"]
    picture = workspace.folder / "results" / "latest.svg"
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - we have drawn it ourselves
    assert leftovers(workspace) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("peer", ["pyzmq-direct", "zenoh", "zenoh-file"])
def test_peers_without_a_server_come_through(workspace: Workspace, peer: str) -> None:
    """Each event arrives once and in order, as everywhere, and the picture shows apart what is not durable."""
    running = start(
        workspace, "--only", "throughput", "--rounds", "1", "--output", str(workspace.folder / "results"), peer=peer
    )
    running.wait(100)
    finished = finish(running)
    assert finished.code == 0, finished
    assert set(measured(workspace)["chain-throughput"]["figures"]) == {"ours", peer}
    assert 'class="lost"' in (workspace.folder / "results" / "latest.svg").read_text(encoding="utf-8")


@pytest.mark.exhaustive
@pytest.mark.parametrize("peer", JOB_PEERS)
def test_jobs_run_beside_a_peer(workspace: Workspace, peer: str) -> None:
    """The jobs of ours and of each peer come through, and what was measured before is kept."""
    if missing := JOB_SYSTEMS[peer].missing():
        pytest.skip(missing)
    output = ("--rounds", "1", "--output", str(workspace.folder / "results"))
    latency: dict[str, Any] = {}
    for options in (("--only", "latency"), ("--only", "jobs", "--merge")):
        running = start(workspace, *options, *output, peer=peer)
        running.wait(100)
        finished = finish(running)
        assert finished.code == 0, finished
        latency = latency or measured(workspace)
    by_name = measured(workspace)
    assert set(by_name) == {"latency-p50", "latency-p99", "jobs"}
    assert set(by_name["jobs"]["figures"]) == {"ours", peer}
    assert [target["peer"] for target in by_name["jobs"]["targets"]] == [peer]
    assert {name: by_name[name] for name in latency} == latency
    assert leftovers(workspace) == []


@pytest.mark.parametrize(
    "statuses",
    [
        pytest.param([status(1, 0)], id="one comes that was there before"),
        pytest.param([status(2, 1), status(2, 1)], id="one comes twice"),
        pytest.param([status(2, 0), status(3, 2, "completed")], id="a job is lost"),
        pytest.param([status(2, 1), status(3, 0)], id="a job is taken back"),
        pytest.param([status(2, 1), status(3, 2)], id="the end is not said"),
        pytest.param([status(2, 1), status(3, 2, "completed"), status(4, 2)], id="one comes after the end"),
    ],
)
def test_a_subscriber_that_misses_something_fails(statuses: list[VariantStatus]) -> None:
    """Whatever is lost, repeated or out of order is found, so that its speed does not count."""
    checker = Checker(Workload(experiments=1, variants=1, jobs_per_variant=2))
    for one in statuses[:-1]:
        checker.take(one)
    with pytest.raises(LostEventError):
        checker.take(statuses[-1])


def test_a_subscriber_is_done_when_every_variant_has_ended() -> None:
    """States in between are no ends: a job may be told of when it starts, and when it ends; and some are skipped."""
    checker = Checker(Workload(experiments=1, variants=1, jobs_per_variant=2))
    for one in (status(2, 0), status(4, 1), status(5, 1)):
        checker.take(one)
        assert not checker.done
    checker.take(status(6, 2, "completed"))
    assert checker.done


def test_each_end_of_a_job_has_the_time_of_the_first_status_that_tells_of_it() -> None:
    """In the order in which the jobs end, also where one status tells of several."""
    checker = Checker(Workload(experiments=1, variants=2, jobs_per_variant=2), timed=True)
    for one in (status(3, 2, "completed"), replace(status(2, 1), variant_index=1)):
        checker.take(one)
    first = checker.received
    assert first[0] == first[2] < first[1]
    checker.take(replace(status(3, 2, "completed"), variant_index=1))
    assert checker.received[:3] == first
    assert checker.received[3] > first[1]
    assert checker.done


def test_an_interrupted_benchmark_leaves_nothing_behind(workspace: Workspace) -> None:
    """Ctrl-C in the midst of it ends every process and removes every folder."""
    running = start(workspace, "--only", "throughput", "--rounds", "50")
    wait_until(lambda: len(children(running)) > 1, 30, what="its processes")
    running.send(signal.SIGINT)
    assert running.wait(30) == 128 + signal.SIGINT
    wait_until(lambda: not workspace.left(), what="the end of all processes")
    assert leftovers(workspace) == []


def test_a_process_that_dies_is_a_loud_failure(workspace: Workspace) -> None:
    """If a process of a measurement dies, the benchmark fails, says which one, and ends the others."""
    running = start(workspace, "--only", "throughput", "--rounds", "50")

    def kill_the_service() -> bool:
        """Kill it, if it is there; in a round that is ending anyway, that is no fault."""
        for child in children(running):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "learning_service" in child.cmdline():
                    child.kill()
        return not running.lives

    wait_until(kill_the_service, 60, what="the end of the benchmark")
    finished = finish(running)
    assert finished.code == 1, finished
    assert "learning, status -9" in finished.err, finished
    assert leftovers(workspace) == []
