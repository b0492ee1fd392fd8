"""`python -m benchmarks.soak`: does the memory of our processes stay flat under hours of steady load?

All of them run: runner, learning service, dashboard with a page that is open, and `tail`. Experiments are planned,
run, rated, recommended and looked at, and late joiners read the log. The resident memory of each process is sampled,
written as a table, and drawn.
"""

import csv
import http.client
import random
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from benchmarks import ours
from benchmarks.crew import BenchmarkError, Child, Crew, Signals, StoppedError
from benchmarks.curve import curve
from benchmarks.flatness import SETTLING, Sample, growth, is_flat, verdict
from bus import Start, Subscriber, request
from bus.console.process import EXIT_SIGNAL
from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import CreateParams, ExperimentListParams, ExperimentParams, ExperimentView
from bus.contracts.feedback import RateParams
from bus.contracts.fields import Scalar
from bus.contracts.jobs import JobListParams
from bus.protocol.control import ControlError, FetchParams

MIB: Final = 1 << 20
TURN_SECONDS: Final = 0.5
VARIANTS: Final = 15
PICTURES_EVERY: Final = 20  # turns: an experiment that draws pictures instead of one whose jobs do nothing
LOOK_EVERY: Final = 4  # turns: a look at lists, logs and the dashboard
JOIN_EVERY: Final = 40  # turns: a late joiner
JOINER_EVENTS: Final = 5000  # that it reads before it goes
PAGE_SECONDS: Final = 30.0  # that the open page shows one experiment
PATIENCE_SECONDS: Final = 30.0
if TYPE_CHECKING:
    from _csv import Writer
# all bounds are reached in the first minutes: retention has work, and the newest events of 20,000 prefixes are known
CONFIG: Final = "[limits]\nretain_bytes = 33_554_432\n"
NAMES: Final = ("runner", "learning service", "dashboard", "tail")
COLUMNS: Final = ("seconds", *NAMES, *(f"{name}, private" for name in NAMES))


class Addresses(NamedTuple):
    """Where the services listen."""

    runner: str
    learning: str
    page: int  # port of the dashboard


class Load:
    """What people and programs do, a turn every half second."""

    def __init__(self, addresses: Addresses, jobs_a_second: int) -> None:
        """Begin with nothing planned."""
        self._at, self._rate = addresses, jobs_a_second
        self._chance = random.Random(1)  # noqa: S311 - the same load in every run
        self.turns = 0
        self.newest = ""  # the experiment that a page looks at
        self._drawn = ""  # the last one whose pictures are there
        self._drawing = ""

    def turn(self) -> None:
        """Plan one experiment, and do what else is due."""
        self.turns += 1
        draws = self.turns % PICTURES_EVERY == 0
        self.newest = f"soak-{self.turns:06d}"
        plan = _pictures() if draws else _noop(max(1, round(self._rate * TURN_SECONDS / VARIANTS)))
        params = CreateParams(experiment_id=self.newest, definition=plan)
        request(self._at.learning, "experiment.create", params, ExperimentView, PATIENCE_SECONDS)
        if draws:
            self._drawn, self._drawing = self._drawing, self.newest
        if self.turns % LOOK_EVERY == 1:
            self._look()
            if self._drawn:
                self._judge(self._drawn)
        if self.turns % JOIN_EVERY == JOIN_EVERY // 2:
            join_late(self._at)

    def _judge(self, experiment_id: str) -> None:
        """Rate a picture of an experiment, and ask for its recommendation."""
        asked = ExperimentParams(experiment_id=experiment_id)
        view = request(self._at.learning, "experiment.show", asked, ExperimentView, PATIENCE_SECONDS)
        images = [image.sha256 for variant in view.variants for image in variant.images]
        if images:
            image = self._chance.choice(images)
            params = RateParams(experiment_id=experiment_id, image=image, stars=self._chance.randint(1, 5))
            request(self._at.learning, "image.rate", params, dict, PATIENCE_SECONDS)
            get(self._at.page, f"/images/{image}?thumbnail=1")
        request(self._at.learning, "experiment.recommend", asked, dict, PATIENCE_SECONDS)

    def _look(self) -> None:
        """Read pages of lists and logs, as other programs and the dashboard do."""
        for path in ("/", "/api/experiments", f"/api/experiments/{self.newest}"):
            get(self._at.page, path)
        request(self._at.runner, "job.list", JobListParams(limit=500), dict, PATIENCE_SECONDS)
        request(self._at.learning, "experiment.list", ExperimentListParams(limit=200), dict, PATIENCE_SECONDS)
        for address in (self._at.runner, self._at.learning):
            page = FetchParams(prefix="", after=0, limit=200)
            request(address, "fetch", page, dict, PATIENCE_SECONDS)


class OpenPage:
    """A browser whose page is open: it reads the events of the newest experiment, and goes on to the next one."""

    def __init__(self, load: Load, port: int) -> None:
        """Start reading, in a thread that ends with the process."""
        self._load, self._port = load, port
        threading.Thread(target=self._run, name="page", daemon=True).start()

    def _run(self) -> None:
        while True:
            with suppress(OSError, http.client.HTTPException):  # the dashboard ends before us
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
                connection.request("GET", f"/api/events?experiment={self._load.newest}")
                reply, end = connection.getresponse(), time.monotonic() + PAGE_SECONDS
                while time.monotonic() < end and reply.readline():
                    pass
                connection.close()
            time.sleep(0.1)


def get(port: int, path: str) -> bytes:
    """Return what the dashboard answers.

    Raises:
        BenchmarkError: it refuses.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
    finally:
        connection.close()
    if reply.status != http.client.OK:
        raise BenchmarkError(f"the dashboard answers {reply.status} to {path}: {body[:200]!r}")
    return body


def join_late(at: Addresses) -> None:
    """Read the beginning of both logs as a subscriber that has just come, and go."""
    with Subscriber([at.runner, at.learning], start=Start.BEGINNING) as subscriber:
        left, end = JOINER_EVENTS, time.monotonic() + PATIENCE_SECONDS
        while left > 0 and time.monotonic() < end:
            got = len(subscriber.receive(1.0))
            left = left - got if got else 0


def start(crew: Crew) -> tuple[dict[str, Child], Addresses]:
    """Start all processes, and return them by name, and where they listen."""
    config = crew.folder / "variantbus.toml"
    config.write_text(CONFIG, encoding="utf-8")
    ports = ("--data-dir", str(crew.folder), "--feed-port", "0", "--control-port", "0", "--log-level", "warning")
    runner = crew.python("runner", "pipeline_runner", *ports, "--config", str(config))
    at_runner = ours.control_of(runner)
    learning, at_learning = ours.start_service(crew, "--runner", at_runner, "--config", str(config))
    services = ("--runner", at_runner, "--learning", at_learning)
    dashboard = crew.python("dashboard", "variantbus.dashboard", "--port", "0", *services)
    port = int(dashboard.wait_for_line("listening").rpartition(":")[2])
    tail = crew.python("tail", "bus", "tail", *services, "--json")
    children = dict(zip(NAMES, (runner, learning, dashboard, tail), strict=True))
    return children, Addresses(at_runner, at_learning, port)


def soak(crew: Crew, seconds: float, jobs_a_second: int, every: float, table: "Writer") -> list[Sample]:
    """Load the processes for so long, and return the samples, which are written into the table one by one."""
    children, addresses = start(crew)
    load = Load(addresses, jobs_a_second)
    _wait_for_runner(load)
    OpenPage(load, addresses.page)
    began = due = time.monotonic()
    samples: list[Sample] = []
    while (now := time.monotonic() - began) < seconds:
        if now >= len(samples) * every:
            samples.append(_sample(now, children))
            table.writerow([f"{now:.0f}", *(f"{mib:.2f}" for part in samples[-1][1:] for mib in part.values())])
            crew.check()
        try:
            load.turn()
        except ControlError as error:  # the machine is busy with other things; whoever has died ends the run
            click.echo(f"after {now:.0f} s: {error.message}", err=True)
        children["tail"].drain()
        due = max(due + TURN_SECONDS, time.monotonic())  # what a stall has cost is not made up for
        time.sleep(max(0.0, due - time.monotonic()))
    return samples


def _sample(now: float, children: Mapping[str, Child]) -> Sample:
    found = {name: child.process.memory_info() for name, child in children.items()}
    resident = {name: one.rss / MIB for name, one in found.items()}
    return Sample(now, resident, {name: (one.rss - one.shared) / MIB for name, one in found.items()})


def _wait_for_runner(load: Load) -> None:
    """Plan the first experiment as soon as the learning service knows its runner."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            load.turn()
        except ControlError as error:
            if error.code != "unavailable" or time.monotonic() > end:
                raise BenchmarkError(f"the first experiment: {error.message}") from error
            time.sleep(0.1)
        else:
            return


def _noop(jobs: int) -> ExperimentDefinition:
    values: list[Scalar] = [float(index) for index in range(VARIANTS)]
    variable = Variable(name="level", values=values)
    return ExperimentDefinition(name="Soak", pipeline="noop", stage="run", variable=variable, jobs_per_variant=jobs)


def _pictures() -> ExperimentDefinition:
    return ExperimentDefinition(
        name="Soak with pictures",
        pipeline="embedded",
        stage="txt2img",
        variable=Variable(name="cfg_scale", values=[0.5, 1, 2, 4]),
        jobs_per_variant=2,
        config={"prompt": "a blue star", "steps": 4, "width": 64, "height": 64},
    )


@click.command()
@click.option("--seconds", type=click.FloatRange(60), default=3600, show_default=True, help="How long.")
@click.option("--jobs", type=click.IntRange(10, 1000), default=50, show_default=True, help="Jobs a second.")
@click.option("--every", type=click.FloatRange(1), default=10, show_default=True, help="Seconds between samples.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default="benchmarks/results",
    show_default=True,
    help="Folder for soak.csv and soak.svg.",
)
def main(*, seconds: float, jobs: int, every: float, output: Path) -> None:
    """Load all processes steadily, and see whether their memory stays flat; status 1 if it does not."""
    Signals.note()
    output.mkdir(parents=True, exist_ok=True)
    try:
        with (output / "soak.csv").open("w", encoding="utf-8", newline="", buffering=1) as file, Crew() as crew:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            samples = soak(crew, seconds, jobs, every, table)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from None
    except StoppedError as stopped:
        sys.exit(EXIT_SIGNAL + stopped.args[0])
    grown = growth(samples, seconds)
    (output / "soak.svg").write_text(curve([one[:2] for one in samples], seconds * SETTLING), encoding="utf-8")
    click.echo(verdict(grown, seconds))
    sys.exit(not is_flat(grown))


if __name__ == "__main__":
    main()
