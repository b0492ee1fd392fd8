"""`python -m benchmarks.turns`: the longest turn of either service's loop, under what takes longest in each.

A turn is the time between two looks at the sockets, in which nobody is answered and no event is read. The wall clock
tells what people feel; the processor time of the loop's thread, what our own code takes of it where other programs use
the machine, too. The services are processes of their own (`timed_service.py`).
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import click
from msgspec.structs import replace

from benchmarks.crew import START_SECONDS, BenchmarkError, Child, Crew, Signals
from bus import request
from bus.contracts.archive import ComparisonRecord, PictureRecord, RatingRecord, Records, ResultRecord
from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Scalar
from bus.contracts.messages import ImageRef
from bus.protocol.control import ControlError
from variantbus.cli.archive import send
from variantbus.client.records import export_of
from variantbus.reports.export import Exported

LIMIT: Final = 0.050  # seconds
PATIENCE: Final = 600.0
PAUSE: Final = 0.05
ROUNDS: Final = 3  # of a question that is quickly answered


class Size(NamedTuple):
    """How much there is of everything."""

    values: int
    jobs_per_value: int
    comparisons: int


class Turns(NamedTuple):
    """What was measured of one service during one case."""

    case: str
    service: str
    longest: float  # seconds
    cpu: float  # seconds; of another turn, perhaps
    turns: int


class Bench:
    """Both services, and what they are asked."""

    def __init__(self, crew: Crew, size: Size) -> None:
        """Start them; the runner's queue is paused, so that plans stay as large as they are."""
        self._crew, self.size = crew, size
        self.found: list[Turns] = []
        self.runner = crew.python("runner", "benchmarks.timed_service", "runner", str(crew.folder))
        self._runner_at = str(self.runner.wait_for("ready", START_SECONDS)["control"])
        self.ask_runner("queue.pause")
        self.start_learning()

    def start_learning(self) -> None:
        """Start the learning service, perhaps again."""
        self.learning = self._crew.python(
            "learning", "benchmarks.timed_service", "learning", str(self._crew.folder), self._runner_at
        )
        self.control = str(self.learning.wait_for("ready", PATIENCE)["control"])

    def restart_learning(self) -> None:
        """End the learning service in good order, and start it with what it has."""
        self._crew.dismiss(self.learning)
        self.start_learning()
        self.ask("info")

    def case(self, name: str, work: Callable[[], object]) -> None:
        """Measure both services while something is done."""
        for child in (self.learning, self.runner):
            _turns_of(child)
        began = time.monotonic()
        work()
        took = time.monotonic() - began
        for service, child in (("learning", self.learning), ("runner", self.runner)):
            told = _turns_of(child)
            found = Turns(name, service, told["longest"], told["cpu"], told["turns"])
            self.found.append(found)
            mark = "" if found.cpu <= LIMIT else "  <-- over the limit"
            numbers = f"longest {found.longest * 1e3:6.1f} ms, of processor time {found.cpu * 1e3:6.1f} ms"
            click.echo(f"{name:45} {service:9} {numbers}, {found.turns:6} turns, {took:5.1f} s{mark}")

    def ask(self, method: str, **params: Any) -> Any:
        """Ask the learning service; wait while it or its runner is not ready for it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            Signals.check()
            try:
                return request(self.control, method, params, dict, PATIENCE)
            except ControlError as error:
                if error.code != "unavailable" or time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE)

    def ask_runner(self, method: str, **params: Any) -> Any:
        """Ask the runner."""
        return request(self._runner_at, method, params, dict, PATIENCE)

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until something is so.

        Raises:
            BenchmarkError: it takes too long.
        """
        deadline = time.monotonic() + PATIENCE
        while not done():
            self._crew.check()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{what} did not come true within {PATIENCE:g} s")
            time.sleep(PAUSE)


def _turns_of(child: Child) -> dict[str, Any]:
    child.send("turns")
    return child.wait_for("turns", PATIENCE)


def plan(size: Size, **changes: Any) -> ExperimentDefinition:
    """Return a definition with so many values."""
    values: list[Scalar] = [float(index) for index in range(size.values)]
    definition = ExperimentDefinition(
        name="turns",
        pipeline="noop",
        stage="run",
        variable=Variable(name="level", values=values),
        jobs_per_variant=size.jobs_per_value,
    )
    return replace(definition, **changes)


def exported(name: str, size: Size, *, state: str = "completed", **changes: Any) -> Exported:
    """Return an experiment whose jobs have all ended, with pictures that were rated and compared."""
    definition = plan(size, **changes)
    names = [
        (f"{name}.{index}.{repeat}.0", index, repeat)
        for repeat in range(size.jobs_per_value)
        for index in range(size.values)
    ]
    records = Records()
    for place, (job, index, repeat) in enumerate(names):
        score = (index * 37 + repeat * 11) % 101 / 101
        records.results.append(
            ResultRecord(
                job_id=job,
                variant_index=index,
                repeat_index=repeat,
                state=state,
                finished_at=1e9 + place,
                seconds=1.5 if state == "completed" else None,
                metrics={"score": score} if state == "completed" else {},
                error="no memory" if state == "failed" else None,
            )
        )
        if state == "completed":
            records.pictures.append(
                PictureRecord(job_id=job, variant_index=index, repeat_index=repeat, image=_image(job))
            )
    for index in range(min(size.values, 500) if state == "completed" else 0):
        sha256 = _image(f"{name}.{index}.0.0").sha256
        records.ratings.append(RatingRecord(sha256=sha256, stars=index % 5 + 1, note="", rated_at=2e9))
    for number in range(size.comparisons if state == "completed" else 0):
        left, right = number % size.values, (number * 7 + 1 + number // size.values) % size.values
        if left != right:
            records.comparisons.append(_comparison(name, left, right))
    values = [float(index) for index in range(size.values)]
    return Exported(experiment_id=name, created_at=1e9, definition=definition, values=list(values), records=records)


def _image(job: str) -> ImageRef:
    sha256 = hashlib.sha256(job.encode()).hexdigest()
    return ImageRef(sha256=sha256, path=f"{sha256[:2]}/{sha256[:16]}.png", width=64, height=64, seed=1)


def _comparison(name: str, left: int, right: int) -> ComparisonRecord:
    return ComparisonRecord(
        left=_image(f"{name}.{left}.0.0").sha256,
        left_variant=left,
        left_repeat=0,
        right=_image(f"{name}.{right}.0.0").sha256,
        right_variant=right,
        right_repeat=0,
        outcome="left" if left * 31 % 97 > right * 31 % 97 else "right",
        compared_at=2e9,
    )


def measure(bench: Bench) -> None:
    """Go through all cases."""
    size = bench.size
    half = size._replace(values=size.values // 2)

    def create(name: str, definition: ExperimentDefinition) -> None:
        bench.ask("experiment.create", experiment_id=name, definition=definition)

    def sent() -> bool:
        known = bench.ask_runner("pipelines")["queued"]
        return bool(known >= min(100_000, size.values * size.jobs_per_value))

    bench.case("start", lambda: bench.ask("info"))
    bench.case("create", lambda: create("planned-1", plan(size)))
    bench.case("send all jobs to the runner", lambda: bench.wait("the jobs", sent))
    bench.case("show and list", lambda: _look(bench, "planned-1"))
    bench.case("cancel", lambda: _cancel(bench, "planned-1"))
    bench.case("create half, then extend", lambda: _extend(bench, create, half))
    bench.case("import", lambda: send(bench.control, exported("imported-1", size, objective="score"), None))
    bench.case("recommend by a metric", lambda: bench.ask("experiment.recommend", experiment_id="imported-1"))
    bench.case("export", lambda: export_of(bench.control, "imported-1", None))
    bench.case("history", lambda: [bench.ask("history") for _ in range(ROUNDS)])
    bench.case("next pair", lambda: bench.ask("comparison.next", experiment_id="imported-1"))
    preferred = exported("imported-2", size._replace(jobs_per_value=4), objective="preference")
    bench.case("import, to be compared", lambda: send(bench.control, preferred, None))
    bench.case("recommend by comparisons", lambda: bench.ask("experiment.recommend", experiment_id="imported-2"))
    failed = exported("imported-3", half, state="failed")
    bench.case("import, all failed", lambda: send(bench.control, failed, None))
    bench.case("retry all", lambda: bench.ask("experiment.retry", experiment_id="imported-3"))
    few = size._replace(values=100, jobs_per_value=1)
    bench.case("the first adaptive one", lambda: create("adaptive-1", plan(few, mode="adaptive", budget=50)))
    bench.case("run all jobs", lambda: _run(bench))
    bench.case("start again", bench.restart_learning)
    bench.case("look at what is not in memory", lambda: _look(bench, "imported-1"))


def _look(bench: Bench, name: str) -> None:
    for _ in range(ROUNDS):
        bench.ask("experiment.show", experiment_id=name)
        bench.ask("experiment.list")
        bench.ask_runner("job.list")


def _status(bench: Bench, name: str) -> str:
    return str(bench.ask("experiment.show", experiment_id=name)["status"])


def _cancel(bench: Bench, name: str) -> None:
    bench.ask("experiment.cancel", experiment_id=name)
    bench.wait("the cancel", lambda: _status(bench, name) == "cancelled")


def _extend(bench: Bench, create: Callable[[str, ExperimentDefinition], None], half: Size) -> None:
    create("planned-2", plan(half))
    values = [float(index) for index in range(half.values, 2 * half.values)]
    bench.ask("experiment.extend", experiment_id="planned-2", values={"level": values})


def _run(bench: Bench) -> None:
    bench.ask_runner("queue.resume")
    bench.wait(
        "the end of all jobs", lambda: bench.ask("experiment.show", experiment_id="imported-3")["status"] == "completed"
    )


@click.command()
@click.option("--values", type=click.IntRange(200, 1000), default=1000, show_default=True, help="Of an experiment.")
@click.option("--jobs", type=click.IntRange(4, 100), default=100, show_default=True, help="Of a value.")
@click.option("--comparisons", type=click.IntRange(10, 5000), default=2000, show_default=True, help="In all.")
def main(*, values: int, jobs: int, comparisons: int) -> None:
    """Print the longest turn of either service in each case; fail if one takes over 50 ms of processor time."""
    Signals.note()
    with Crew() as crew:
        bench = Bench(crew, Size(values, jobs, comparisons))
        with suppress(KeyboardInterrupt):
            measure(bench)
        slow = [one for one in bench.found if one.cpu > LIMIT]
    if slow:
        raise click.ClickException(f"{len(slow)} of {len(bench.found)} are over {LIMIT * 1e3:g} ms")


if __name__ == "__main__":
    main()
