"""What must hold after every run of our processes, whoever was killed: no job counted twice, no torn file.

What must hold of any log and its readers is in `tests.support.invariants`; both are checked.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from bus.contracts.experiments import ExperimentView
from bus.contracts.jobs import PipelinesReply
from bus.contracts.messages import (
    ExperimentStatus,
    ImageRef,
    JobCompleted,
    JobQueued,
    JobStarted,
    Message,
    VariantStatus,
)
from learning_service.experiments.plan import job_id
from tests.support.factories import plan_jobs
from tests.support.invariants import Event, decoded, read_log
from tests.support.workspace import ServiceProcess, view_of

M = TypeVar("M")


def whole_log(service: ServiceProcess) -> list[Event]:
    """Fetch the whole log of a service; its offsets are 1, 2, 3 … up to the head."""
    return decoded(read_log(service.control))


def messages_of(events: Iterable[Event], kind: type[M]) -> list[M]:
    """Return the messages of one type."""
    return [event.message for event in events if isinstance(event.message, kind)]


def check_jobs(events: list[Event], planned: Iterable[str]) -> None:
    """Check the life of each planned job in the log of its runner: queued, taken n times, ended once."""
    ended = Counter(message.job_id for message in messages_of(events, JobCompleted))
    assert ended == Counter(planned), "each planned job ends exactly once, and no other does"
    for name in ended:
        check_life([event.message for event in events if getattr(event.message, "job_id", None) == name])


def check_life(life: list[Message]) -> None:
    """Check the messages of one job: it is queued before each attempt, and attempts count 1, 2, 3 …."""
    *before, end = life
    assert isinstance(end, JobCompleted), f"{life} goes on after its end"
    starts = [message for message in before if isinstance(message, JobStarted)]
    assert [message.attempt for message in starts] == list(range(1, len(starts) + 1)), f"{life}: wrong attempts"
    assert end.attempt == len(starts), f"{life}: ended in another attempt"
    steps = [type(message) for message in before]
    attempts = [JobQueued, JobStarted] * len(starts)
    assert steps in (attempts, [*attempts, JobQueued]), f"{life}: wrong order"  # the latter ended while it was queued


def grow(revisions: list[int]) -> bool:
    """Return whether revisions begin with that of the plan, and none repeats or goes back."""
    return revisions[0] == 1 and revisions == sorted(set(revisions))


def check_revisions(events: list[Event], experiment_id: str) -> None:
    """Check that each variant's revision grows in the log, and that the experiment's counts 1, 2, 3 …."""
    variants: dict[int, list[int]] = {}
    for status in messages_of(events, VariantStatus):
        if status.experiment_id == experiment_id:
            variants.setdefault(status.variant_index, []).append(status.revision)
    for index, revisions in variants.items():
        assert grow(revisions), f"variant {index}: revisions {revisions}"
    statuses = messages_of(events, ExperimentStatus)
    whole = [status.revision for status in statuses if status.experiment_id == experiment_id]
    assert whole == list(range(1, len(whole) + 1)), f"experiment: revisions {whole}"


def check_counts(events: list[Event], view: ExperimentView) -> None:
    """Check that the learning service's state is what the runner's log adds up to."""
    for variant in view.variants:
        mine = [
            message
            for message in messages_of(events, JobCompleted)
            if message.learning_context
            and message.learning_context.experiment_id == view.experiment_id
            and message.learning_context.variant_index == variant.variant_index
        ]
        assert variant.completed == sum(message.result.success for message in mine)
        assert variant.cancelled == sum(message.result.cancelled for message in mine)
        assert variant.completed + variant.failed + variant.cancelled == len(mine)
        images = [image for message in mine for image in message.result.images]
        assert list(variant.images) == images, f"variant {variant.variant_index}: other images than its jobs gave"


def check_files(folder: Path, images: Iterable[ImageRef]) -> None:
    """Check that every image is where its reference says, whole: named by the hash of its content."""
    for image in images:
        path = folder / image.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == image.sha256 == path.stem
        if path.suffix == ".png":
            check_picture(path, (image.width, image.height))


def check_picture(path: Path, size: tuple[int, int] | None = None) -> None:
    """Check that a picture can be read to its last pixel."""
    with Image.open(path) as picture:
        picture.load()
        assert size is None or picture.size == size


def torn_files(folder: Path) -> list[Path]:
    """Find pictures whose content is not what their name says, and files that were never finished."""
    unfinished = [path for path in folder.rglob(".*") if path.is_file()]
    pictures = [path for path in folder.rglob("*.png") if path not in unfinished]
    return [path for path in pictures if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem] + unfinished


def outputs_of(runner: ServiceProcess) -> Path:
    """Ask a runner where its files are."""
    return Path(runner.ask("pipelines", {}, PipelinesReply).outputs)


def check_everything(runner: ServiceProcess, learning: ServiceProcess, experiment_id: str) -> ExperimentView:
    """Check all that must hold once an experiment is complete and return its state."""
    view = view_of(learning, experiment_id)
    outputs = outputs_of(runner)
    check_complete(view, whole_log(runner), whole_log(learning), outputs)
    assert torn_files(outputs) == []
    return view


def check_complete(view: ExperimentView, ran: list[Event], learned: list[Event], outputs: Path) -> None:
    """Check a complete experiment against the logs of the runner and of the learning service."""
    assert view.status == "completed"
    assert {variant.status for variant in view.variants} == {"completed"}
    assert [variant.completed for variant in view.variants] == [variant.planned for variant in view.variants]
    done = [event for event in ran if f".{view.experiment_id}." in event.topic]
    plan = plan_jobs(view.definition.jobs_per_variant, len(view.variants))
    check_jobs(done, [job_id(view.experiment_id, job) for job in plan])
    check_revisions(learned, view.experiment_id)
    check_counts(done, view)
    check_files(outputs, [image for variant in view.variants for image in variant.images])
