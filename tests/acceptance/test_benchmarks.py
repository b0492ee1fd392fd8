"""The benchmark still runs, in miniature, and leaves nothing behind. How fast it is, is not a test's business."""

import contextlib
import json
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.harness import House, Running, finish
from tests.helpers import wait_until

ROOT = Path(__file__).parents[2]
CHAIN = {"chain-throughput", "latency-p50", "latency-p99"}
GROWTH = {f"growth-{what}-{tracked}" for what in ("cost", "resident") for tracked in (2, 5)}


def start(house: House, *options: str) -> Running:
    """Start the benchmark with tiny counts; its folders come into the test's own."""
    words = (sys.executable, "-m", "benchmarks", "--quick", "--system", "ours", "--system", "pyzmq", *options)
    return house.start("bench", *words, environment={"PYTHONPATH": str(ROOT), "TMPDIR": str(house.folder)})


def children(running: Running) -> list[psutil.Process]:
    """Give the processes that it has started and that still live."""
    try:
        return psutil.Process(running.popen.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def leftovers(house: House) -> list[Path]:
    """Give what the benchmark has left in the temporary folder."""
    return list(house.folder.glob("variantbus-bench-*"))


def test_every_measurement_runs_and_is_written_down(house: House) -> None:
    """All measurements come out, with medians, ratios, single rounds and the machine, and as a picture."""
    running = start(house, "--rounds", "1", "--output", str(house.folder / "results"))
    running.wait(100)
    finished = finish(running)
    assert finished.code == 0, finished
    rows: list[dict[str, Any]] = json.loads((house.folder / "results" / "latest.json").read_text(encoding="utf-8"))
    by_name = {row["name"]: row for row in rows}
    read = {"catch-up-subscriber", "catch-up-rebuilt-service", "fan-out-1", "fan-out-3"}
    assert set(by_name) == CHAIN | read | GROWTH | {"growth-cost-ratio", "growth-memory"}
    throughput = by_name["chain-throughput"]
    assert throughput["ratios"]["pyzmq"] == throughput["ours"] / throughput["peers"]["pyzmq"]
    assert len(throughput["figures"]["ours"]) == throughput["rounds"] == 1
    assert throughput["targets"][0]["peer"] == "pyzmq"
    assert throughput["machine"]["cores"]
    picture = house.folder / "results" / "latest.svg"
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - we have drawn it ourselves
    assert leftovers(house) == []


def test_an_interrupted_benchmark_leaves_nothing_behind(house: House) -> None:
    """Ctrl-C in the midst of it ends every process and removes every folder."""
    running = start(house, "--only", "throughput", "--rounds", "50")
    wait_until(lambda: len(children(running)) > 1, 30, what="its processes")
    running.send(signal.SIGINT)
    assert running.wait(30) == 128 + signal.SIGINT
    wait_until(lambda: not house.left(), what="the end of all processes")
    assert leftovers(house) == []


def test_a_process_that_dies_is_a_loud_failure(house: House) -> None:
    """If a process of a measurement dies, the benchmark fails, says which one, and ends the others."""
    running = start(house, "--only", "throughput", "--rounds", "50")

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
    assert leftovers(house) == []
