"""What must hold after every fault: one checker for all fault tests, which knows nothing of how the log is stored.

| invariant | function |
|---|---|
| every logged event was published by someone, unchanged; what was committed is there; nothing twice | `check_writes` |
| offsets are 1, 2, 3 … without a hole, behind what retention took | `check_offsets` |
| an offset of an epoch is never given out again, whoever saw it and whenever | `check_never_reused` |
| a subscriber's list is the log, filtered by its prefix, from its start | `check_subscriber` |
| the learning service's state is the fold of the events up to its stored position | `check_learner` |
| memory, open files and the write-ahead log stay below stated bounds | `check_bounds` |

That they notice what they are there for is itself tested: `tests/integration/test_negative_controls.py`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from msgspec.structs import replace

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.messages import JobCompleted, JobQueued, JobStarted, Message, VariantStatus, decode_body
from bus.eventlog.log import Log
from bus.protocol.control import FetchParams, FetchReply, InfoReply
from bus.subscriber.delivery import Delivery
from bus.transport.client import request
from learning_service.events.router import Applied, LearningController
from learning_service.experiments.grid import plan_values
from learning_service.experiments.model import Experiment, experiment_status, variant_status
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore
from tests.support.factories import planned_jobs

RECOVERY_SECONDS: Final = 10.0  # from the end of a fault until everybody has everything, scaled as all limits are
MEMORY_BOUND: Final = 200 << 20  # bytes that one of our services may have resident in any fault test
FILES_BOUND: Final = 100  # open files and sockets of one service
WAL_BOUND: Final = 96 << 20  # bytes; SQLite cuts it back to 64 MiB after a burst


class Seen(NamedTuple):
    """One event as somebody saw it: the log, a subscriber, or who wrote it."""

    epoch: int | None
    offset: int
    topic: str
    body: bytes


class Event(NamedTuple):
    """One event of a log."""

    offset: int
    topic: str
    message: Message


def read_log(address: str) -> list[Seen]:
    """Fetch the whole log of a publisher, and check that its offsets have no hole and no record is damaged."""
    info = request(address, "info", {}, InfoReply)
    found: list[Seen] = []
    after = info.first - 1
    while after < info.head:
        page = request(address, "fetch", FetchParams(after=after, until=info.head), FetchReply)
        assert not page.damaged, f"records {page.damaged} are damaged"
        assert page.next > after, f"fetch does not get beyond {after}"
        found += [Seen(page.epoch, row.offset, row.topic, bytes(row.body)) for row in page.events]
        after = page.next
    check_offsets([one.offset for one in found], info.head, info.first)
    return found


def decoded(log: Iterable[Seen]) -> list[Event]:
    """Return events with their messages; each of them must be one of ours."""
    events = []
    for one in log:
        message = decode_body(one.body)
        assert message is not None, f"{one.topic} {one.offset} is no message of ours"
        events.append(Event(one.offset, one.topic, message))
    return events


def seen(deliveries: Iterable[Delivery]) -> list[Seen]:
    """Return what a subscriber was handed, except what is ephemeral."""
    return [Seen(one.epoch, one.offset, one.topic, bytes(one.body)) for one in deliveries if one.offset]


def check_offsets(offsets: Sequence[int], head: int, first: int = 1) -> None:
    """Check that events are complete, each once and in order."""
    missing = sorted(set(range(first, head + 1)) - set(offsets))
    repeated = [offset for offset, count in Counter(offsets).items() if count > 1]
    assert not missing, f"a hole: {missing[:20]} of {first}..{head} are missing"
    assert not repeated, f"{repeated[:20]} came more than once"
    assert list(offsets) == sorted(offsets), "out of order"


def check_writes(log: Iterable[Seen], begun: Iterable[bytes], committed: Iterable[bytes]) -> None:
    """Check the log against its writers: `begun` is what they tried to write, `committed` what they know is safe.

    A body that was begun and not committed may be there or not, but only once.
    """
    counts = Counter(one.body for one in log)
    repeated = [body for body, count in counts.items() if count > 1]
    assert not repeated, f"{len(repeated)} events were logged more than once, such as {repeated[0]!r}"
    phantoms = set(counts) - set(begun)
    assert not phantoms, f"{len(phantoms)} events were published by nobody, such as {next(iter(phantoms))!r}"
    lost = set(committed) - set(counts)
    assert not lost, f"{len(lost)} committed events are lost, such as {next(iter(lost))!r}"


def check_subscriber(received: Sequence[Seen], log: Sequence[Seen], prefix: str = "", start: int = 0) -> None:
    """Check that a subscriber has the events of its prefix behind `start`: all, each once, in order, unchanged."""
    wanted = [(one.offset, one.topic, one.body) for one in log if one.offset > start and one.topic.startswith(prefix)]
    got = [(one.offset, one.topic, one.body) for one in received]
    repeated = [offset for offset, count in Counter(offset for offset, _, _ in got).items() if count > 1]
    assert not repeated, f"the subscriber has {repeated[:20]} more than once"
    missing = sorted({offset for offset, _, _ in wanted} - {offset for offset, _, _ in got})
    assert not missing, f"the subscriber misses {missing[:20]}"
    assert sorted(got) == got, "the subscriber has events out of order"
    assert got == wanted, f"the subscriber has other events: {set(got) ^ set(wanted)}"


def check_never_reused(*observers: Iterable[Seen]) -> None:
    """Check that nobody ever saw another event under the same offset of the same epoch."""
    known: dict[tuple[int | None, int], Seen] = {}
    for observer in observers:
        for one in observer:
            before = known.setdefault((one.epoch, one.offset), one)
            assert before == one, f"offset {one.offset} was given out twice: {before}, {one}"


def fold(
    experiment_id: str, definition: ExperimentDefinition, created_at: float, events: Iterable[Event]
) -> Experiment:
    """Compute an experiment from its plan and the events of its runner, by the rules alone."""
    values = plan_values(definition)
    jobs = definition.jobs_per_variant
    experiment = Experiment(
        experiment_id,
        definition,
        [
            Variant(
                index=index,
                value=value,
                jobs=planned_jobs(index, jobs, experiment_id),
                revision=1,
                updated_at=created_at,
            )
            for index, value in enumerate(values)
        ],
        created_at=created_at,
    )
    controller = LearningController()
    for event in events:
        if not isinstance(event.message, JobQueued | JobStarted | JobCompleted):
            continue
        mark = event.message.learning_context
        if mark and mark.experiment_id == experiment_id:
            outcome = controller.handle(event.message, {experiment_id: experiment}.get)
            if isinstance(outcome, Applied):
                experiment.put(outcome.variant)
    return experiment


def check_learner(database: Path, runner: str, events: Sequence[Event], *, was_asked: bool = False) -> int:
    """Check a stopped learning service against the log of its only runner, and count its experiments.

    Bit for bit: what its database says of each variant, and what it published last, is the fold of the events up to
    the stored position. That holds while nobody cancels, and no runner refuses a job: neither is in the runner's log.
    If the runner `was_asked` how jobs ended, as a reply to a submission was lost, the order of the ends is another one,
    and so is the number of messages.
    """
    log = Log(database)
    try:
        store = LearningStore(log)
        reached = {
            prefix: position.offset for (source, prefix), position in store.positions().items() if source == runner
        }
        read = [one for one in events if one.offset <= max((at for at in reached.values()), default=0)]
        experiments, _ = store.page(None, 1000)
        for listed in experiments:
            stored = store.get(listed.experiment_id)
            assert experiment_status(listed) == experiment_status(stored), f"{listed.experiment_id}: the list differs"
            wanted = fold(stored.experiment_id, stored.definition, stored.created_at, read)
            for index, variant in wanted.variants.items():
                state = variant_status(wanted, variant)
                where = f"variant {index} of {stored.experiment_id} at {reached}"
                found = variant_status(stored, stored.variants[index])
                known, told = (in_any_order(found), in_any_order(state)) if was_asked else (found, state)
                assert known == told, f"{where}: the database differs: {found}, by the events {state}"
                assert stored.variants[index].jobs == variant.jobs, f"{where}: jobs"
                topic = f"variant.status.{stored.experiment_id}.{index}."
                assert _published(log, topic) == found, f"{where}: what was published last differs"
        return len(experiments)
    finally:
        log.close()


def in_any_order(status: VariantStatus) -> VariantStatus:
    """Return a status without what depends on the order in which its jobs ended."""
    images = tuple(sorted(status.images, key=lambda image: (image.sha256, image.seed or 0)))
    mean = None if status.duration_mean is None else round(status.duration_mean, 6)
    return replace(status, revision=0, updated_at=0.0, images=images, duration_mean=mean)


def _published(log: Log, topic: str) -> VariantStatus | None:
    """Return the newest status that was published on a topic."""
    records = log.latest(topic, 1).records
    message = decode_body(records[0].body) if records else None
    return message if isinstance(message, VariantStatus) else None


def check_bounds(pid: int, database: Path) -> None:
    """Check that a service's memory, open files and write-ahead log are below their bounds."""
    process = psutil.Process(pid)
    memory, files = process.memory_info().rss, process.num_fds()
    wal = database.with_name(f"{database.name}-wal")
    size = wal.stat().st_size if wal.exists() else 0
    assert memory < MEMORY_BOUND, f"{memory >> 20} MiB resident"
    assert files < FILES_BOUND, f"{files} open files"
    assert size < WAL_BOUND, f"{wal} has {size >> 20} MiB"
