"""Real jobs on the bus: the real runner with the pipeline `noop`, the real learning service, and a subscriber."""

import time
from typing import Final

from msgspec.structs import replace

from benchmarks import ours
from benchmarks.crew import START_SECONDS, BenchmarkError, Child, Crew, poll_until
from benchmarks.ours import SLOWEST
from benchmarks.role import Parent, Setup
from benchmarks.workload import PLANNED_REVISION, Checker, Workload
from bus import request
from bus.contracts.experiments import ExperimentParams, ExperimentView

WORKERS: Final = 2  # the runner's default
WARM_UP: Final = "warm-up"


def start(crew: Crew, setup: Setup) -> tuple[Child, Child, Child, Child]:
    """Start producer, runner, learning service and subscriber, and see that a job comes through."""
    runner = start_runner(crew, "runner")
    learning, control = ours.start_service(crew, "--runner", ours.control_of(runner))
    producer, subscriber = join(crew, setup, control, "benchmarks.our_jobs:consume")
    return producer, runner, learning, subscriber


def start_runner(crew: Crew, name: str, *options: str, workers: int = WORKERS) -> Child:
    """Start a runner in a folder of its own."""
    return crew.python(
        name,
        "pipeline_runner",
        *("--data-dir", str(crew.folder / name), "--feed-port", "0", "--control-port", "0"),
        *("--workers", str(workers), "--log-level", "warning", *options),
    )


def join(crew: Crew, setup: Setup, control: str, watch: str) -> tuple[Child, Child]:
    """Start producer and subscriber at a learning service, when a job has come through."""
    _warm_up(control)
    there = replace(setup, addresses={"learning": control})
    subscriber, producer = crew.role(watch, there), crew.role("benchmarks.our_jobs:submit", there)
    for child in (subscriber, producer):
        child.wait_for("ready")
    return producer, subscriber


def submit(parent: Parent, setup: Setup) -> None:
    """Be a person who plans experiments."""
    workload = setup.workload
    parent.tell("ready")
    parent.wait("go")
    start = time.monotonic_ns()
    patience = START_SECONDS + workload.events / SLOWEST
    ours.create_experiments(setup.addresses["learning"], workload.experiment_ids(), workload.definition(), patience)
    parent.tell("sent", start=start)
    parent.wait("stop")


def consume(parent: Parent, setup: Setup) -> None:
    """Be whoever looks at the variants, from their plan on."""
    ours.watch(parent, setup, Checker(setup.workload, first=PLANNED_REVISION))


def _warm_up(control: str) -> None:
    """Run one job, so that the learning service knows its runner.

    Raises:
        BenchmarkError: it does not end in time.
    """
    ours.create_experiments(control, [WARM_UP], Workload(1, 1, 1, "noop").definition(), START_SECONDS)
    for _ in poll_until(START_SECONDS, "the end of the first job"):
        view = request(control, "experiment.show", ExperimentParams(experiment_id=WARM_UP), ExperimentView)
        if view.status == "completed":
            return
        if view.status == "failed":
            raise BenchmarkError(f"the first job failed: {view.variants[0].error}")
