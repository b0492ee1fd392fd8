"""A small data folder with everything in it: jobs that ended, run and wait, experiments, ratings, comparisons, cancels.

It is made by the real programs, and kept twice: as they left it when they were ended, and as they left it when they
were killed, with its write-ahead logs.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import structs
from PIL import Image

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import CreateParams, ExperimentView
from bus.contracts.fields import Config
from bus.contracts.jobs import JobRequest, JobView, PipelinesReply, QueueReply, SubmitParams, SubmitReply
from bus.protocol.control import InfoReply
from bus.transport.client import request
from learning_service.main import main as learning_command
from pipeline_runner.main import main as runner_command
from tests.bitflips.forked import Program, in_child
from tests.support.helpers import wait_until
from tests.support.workspace import steady_ports

ENDED: Final = "ended-1"
SEARCH: Final = "search-1"  # an adaptive one, which has ended, too
CANCELLED: Final = "cancelled-1"
OPEN: Final = "open-1"
ALONE: Final = "alone-1"  # a job of no experiment, which has ended
WAITING: Final = "alone-2"  # one that has not
KILLED, CLOSED = "killed", "closed"
PORTS: Final = "ports.json"
STEP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Reference:
    """Where it is, and the ports that its services were started at: their addresses are part of the data."""

    folder: Path
    runner_ports: tuple[int, int]
    learning_ports: tuple[int, int]

    @property
    def runner(self) -> str:
        """The control address of the runner."""
        return f"tcp://127.0.0.1:{self.runner_ports[1]}"

    @property
    def learning(self) -> str:
        """The control address of the learning service."""
        return f"tcp://127.0.0.1:{self.learning_ports[1]}"

    @property
    def gate(self) -> Path:
        """The file that the programs of the open experiment wait for."""
        return self.folder / "gate"

    def known(self) -> tuple[list[str], list[str], list[str]]:
        """Return the ids of all jobs and experiments, and the hashes of all pictures."""
        planned = [(ENDED, 2), (CANCELLED, 3), (OPEN, 3)]
        jobs = [
            f"{name}.{index}.{repeat}.0" for name, values in planned for index in range(values) for repeat in (0, 1)
        ]
        pictures = sorted(path.stem for path in (self.folder / CLOSED / "outputs").rglob("*.png"))
        return [*jobs, ALONE, WAITING], [SEARCH, *(name for name, _ in planned)], pictures

    @contextmanager
    def running(self, data: Path, *, real: bool = False) -> Iterator[dict[str, Program]]:
        """Start both services on a data folder, their output beside it; none of them outlives the block."""
        programs: dict[str, Program] = {}
        try:
            for name, command, ports in (
                ("runner", runner_command, self.runner_ports),
                ("learning", learning_command, self.learning_ports),
            ):
                arguments = ["--data-dir", str(data), "--feed-port", str(ports[0]), "--control-port", str(ports[1])]
                arguments += ["--runner", self.runner] if name == "learning" else []
                module = command.callback.__module__.removesuffix(".main") if real and command.callback else None
                programs[name] = Program(command, arguments, name, data.parent, module=module)
            yield programs
        finally:
            for program in programs.values():
                program.kill()


def make(folder: Path) -> Reference:
    """Make the data folders `killed` and `closed` in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / "work" / "data"
    data.parent.mkdir(parents=True)
    reference = Reference(folder, steady_ports(), steady_ports())
    try:
        with _started(reference, data) as both:
            in_child(partial(_first_part, reference), STEP_SECONDS)
            _end(both)
        with _started(reference, data):
            in_child(partial(_second_part, reference, data), STEP_SECONDS)
        shutil.copytree(data, folder / KILLED)
        with _started(reference, data) as both:
            _end(both)
        shutil.copytree(data, folder / CLOSED)
    finally:
        reference.gate.touch()  # what waits for it ends
    (folder / PORTS).write_bytes(msgspec.json.encode(reference, enc_hook=str))
    return reference


def load(folder: Path) -> Reference:
    """Return the one that was made in a folder."""
    return msgspec.json.decode((folder / PORTS).read_bytes(), type=Reference, dec_hook=lambda _kind, text: Path(text))


@contextmanager
def _started(reference: Reference, data: Path) -> Iterator[dict[str, Program]]:
    with reference.running(data) as programs:
        for one in programs.values():
            assert one.listens(), one.errors()
        yield programs


def _end(programs: dict[str, Program]) -> None:
    for one in programs.values():
        assert one.terminate() == 0, one.errors()


def _first_part(reference: Reference) -> None:
    """Let an experiment and a job come to their end, and judge the pictures."""
    ask = partial(request, reference.learning)
    _until_offered(reference)
    _create(reference, ENDED, _pictures())
    _create(reference, SEARCH, _search())
    picture = reference.folder / "large.png"
    Image.effect_noise((500, 400), 50).save(picture)  # its thumbnail is a file of its own
    _submit(reference, ALONE, "command", {"command": ["cp", str(picture), "{output_dir}"]})
    for name in (ENDED, SEARCH):
        wait_until(lambda n=name: _view(reference, n).status == "completed", what=f"the end of {name}")  # type: ignore[misc]
    view = _view(reference, ENDED)
    images = [image.sha256 for variant in view.variants for image in variant.images]
    for number, sha256 in enumerate(images):
        params = {"experiment_id": ENDED, "image": sha256, "stars": number % 5 + 1, "note": f"note {number}"}
        ask("image.rate", params, dict[str, Any])
    ask("image.rate", {"experiment_id": ENDED, "image": images[-1], "stars": None}, dict[str, Any])
    for right, outcome in ((-1, "left"), (-2, "tie")):
        params = {"experiment_id": ENDED, "left": images[0], "right": images[right], "outcome": outcome}
        ask("comparison.add", params, dict[str, Any])
    ask("experiment.rename", {"experiment_id": ENDED, "name": "Another name"}, dict[str, Any])
    wait_until(lambda: _job(reference, ALONE).state == "completed", what="the end of the job")


def _second_part(reference: Reference, data: Path) -> None:
    """Plan what does not end, cancel some of it, and wait until the heads are noted beside the logs."""
    ask = partial(request, reference.learning)
    _until_offered(reference)
    _create(reference, OPEN, _programs(reference.gate))
    _create(reference, CANCELLED, _programs(reference.gate))
    wait_until(lambda: _view(reference, OPEN).totals.running == 2, what="two jobs that run")
    wait_until(lambda: _queued(reference) == 10, what="the rest in the queue")
    ask("experiment.cancel", {"experiment_id": CANCELLED}, dict[str, Any])
    wait_until(lambda: _view(reference, CANCELLED).status == "cancelled", what="the cancel")
    request(reference.runner, "queue.pause", {"pipeline": "noop"}, QueueReply)
    _submit(reference, WAITING, "noop", {"level": 1.5})
    for address, name in ((reference.runner, "runner"), (reference.learning, "learning")):
        wait_until(lambda a=address, n=name: _is_noted(data / f"{n}.head", a), what="the head in its file")  # type: ignore[misc]


def _is_noted(head: Path, address: str) -> bool:
    return int(head.read_text(encoding="ascii").split()[1]) == request(address, "info", {}, InfoReply).head


def _queued(reference: Reference) -> int:
    return request(reference.runner, "pipelines", {}, PipelinesReply).queued


def _until_offered(reference: Reference) -> None:
    def offers() -> bool:
        params = {"definition": _pictures()}
        return bool(request(reference.learning, "experiment.plan", params, dict[str, Any]))

    wait_until(lambda: _succeeds(offers), what="what the runner offers")


def _succeeds(function: Any) -> bool:
    try:
        return bool(function())
    except Exception:  # noqa: BLE001 - it is tried again
        return False


def _create(reference: Reference, name: str, plan: ExperimentDefinition) -> None:
    request(reference.learning, "experiment.create", CreateParams(experiment_id=name, definition=plan), dict[str, Any])


def _submit(reference: Reference, name: str, pipeline: str, config: Config) -> None:
    job = JobRequest(job_id=name, pipeline=pipeline, stage="run", config=config)
    request(reference.runner, "job.submit", SubmitParams(jobs=[job]), SubmitReply)


def _view(reference: Reference, name: str) -> ExperimentView:
    return request(reference.learning, "experiment.show", {"experiment_id": name}, ExperimentView)


def _job(reference: Reference, name: str) -> JobView:
    return request(reference.runner, "job.show", {"job_id": name}, JobView)


def _pictures() -> ExperimentDefinition:
    config: Config = {"prompt": "a blue star", "steps": 2, "width": 16, "height": 16}
    return ExperimentDefinition(
        name="Pictures",
        variable=Variable(name="cfg_scale", values=[1.0, 4.0]),
        jobs_per_variant=2,
        seed=7,
        config=config,
    )


def _search() -> ExperimentDefinition:
    return structs.replace(
        _pictures(), name="Search", jobs_per_variant=1, mode="adaptive", budget=3, objective="prompt_match"
    )


def _programs(gate: Path) -> ExperimentDefinition:
    script = f'while [ ! -e {gate} ]; do sleep 0.02; done; echo "$1 $2" > "$3/result.txt"'
    command: list[bool | int | float | str] = ["sh", "-c", script, "sh", "{level}", "{seed}", "{output_dir}"]
    return ExperimentDefinition(
        name="Programs",
        pipeline="command",
        stage="run",
        variable=Variable(name="level", values=[1, 2, 3]),
        jobs_per_variant=2,
        seed=7,
        config={"command": command},
    )


def databases(folder: Path) -> list[Path]:
    """Return the databases of a data folder."""
    return sorted(folder.glob("*.db"))


def trees(database: Path) -> dict[int, tuple[str, str]]:
    """Return for each page of a database, with its write-ahead log, the table or index that has it, and its kind.

    A page that is not there is on the freelist.
    """
    copy = database.parent / "dbstat"
    copy.mkdir()
    try:
        for file in database.parent.glob(f"{database.name}*"):
            shutil.copy(file, copy)
        with closing(sqlite3.connect(copy / database.name)) as db:
            rows = db.execute("SELECT pageno, name, pagetype FROM dbstat").fetchall()
    finally:
        shutil.rmtree(copy)
    return {number: (name, kind) for number, name, kind in rows}
