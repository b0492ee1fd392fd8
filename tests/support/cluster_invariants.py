"""What must hold of a cluster after every fault, whoever was killed, paused or cut off.

| invariant | function |
|---|---|
| each job has one end, and no other end is there; nothing of the stream is lost | `check_ends` |
| no runner has given a number twice | `check_numbers` |
| the statuses are what the ends add up to, each counted once | `check_statuses` |
| each picture that an end names is found by its hash at every runner | `check_pictures` |
| no job waits any more | `check_no_job_waits` |
| a job whose program fails has not succeeded; no other fails but with its runners | `check_outcomes` |
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from nats.js import JetStreamContext

from bus.cluster import names
from bus.cluster.messages import End, decode_as
from bus.contracts.experiments import ExperimentView
from bus.contracts.messages import JobCompleted, decode_body
from bus.contracts.outputs import OutputParams, OutputReply
from bus.protocol.control import ControlError
from learning_service.experiments.plan import job_id
from tests.support.checker import check_counts
from tests.support.clusters import Client
from tests.support.factories import plan_jobs
from tests.support.helpers import wait_until
from tests.support.invariants import Event
from tests.support.workspace import ServiceProcess

AT_ONCE: Final = 256
FAILED: Final = 3  # the exit status of programs that fail


class StoredEnd(NamedTuple):
    """One message of the stream of ends."""

    sequence: int
    subject: str
    end: End
    message: JobCompleted


def read_ends(client: Client) -> list[StoredEnd]:
    """Return all ends in their order; each of them must be one."""
    found: list[StoredEnd] = client.run(_read(client.js))
    return found


async def _read(js: JetStreamContext) -> list[StoredEnd]:
    state = (await js.stream_info(names.ENDS)).state
    ends: list[StoredEnd] = []
    if not state.messages:
        return ends
    some = await js.subscribe("end.>", ordered_consumer=True)
    while len(ends) < state.messages:
        message = await some.next_msg(timeout=20)
        end = decode_as(End, message.data)
        body = decode_body(bytes(end.body))
        assert isinstance(body, JobCompleted), f"{message.subject} is no end of a job"
        ends.append(StoredEnd(message.metadata.sequence.stream, message.subject, end, body))
    await some.unsubscribe()
    return ends


def outcome_of(one: StoredEnd) -> str:
    """Return how a job ended: the kind of its error, if it has one."""
    result = one.message.result
    return "succeeded" if result.success else "cancelled" if result.cancelled else getattr(result.error, "kind", "")


def check_outcomes(ends: Iterable[StoredEnd]) -> None:
    """Check that each job ended as its own program does; any may be cancelled, or have lost its runner too often."""
    for one in ends:
        config = one.message.config
        some = int(str(config["seed"])) + len(str(config["seconds"]))
        is_to_fail = f"exit {FAILED}" in str(config["command"]) and some % 2 == 0
        kinds = {"command_failed" if is_to_fail else "succeeded", "cancelled", "crashed"}
        assert outcome_of(one) in kinds, f"{one.message.job_id} of {config} ended with {one.message.result}"


def planned_jobs_of(view: ExperimentView) -> list[str]:
    """Return the ids of all jobs of a grid, as they were planned."""
    plan = plan_jobs(view.definition.jobs_per_variant, len(view.variants))
    return [job_id(view.experiment_id, job) for job in plan]


def check_ends(ends: Sequence[StoredEnd], planned: Iterable[str], lost: int = 0) -> None:
    """Check that each planned job has one end and nothing else has, and that the stream has only `lost` holes."""
    sequences = [one.sequence for one in ends]
    holes = set(range(1, max(sequences, default=0) + 1)) - set(sequences)
    assert len(holes) == lost, f"the stream of ends has holes: {sorted(holes)}"
    assert sequences == sorted(set(sequences)), "ends are out of order"
    ended = Counter(one.message.job_id for one in ends)
    twice = [name for name, count in ended.items() if count > 1]
    assert not twice, f"{len(twice)} jobs have several ends, such as {twice[0]}"
    wanted = set(planned)
    missing, strange = sorted(wanted - set(ended)), sorted(set(ended) - wanted)
    assert not missing, f"{len(missing)} jobs have no end, such as {missing[0]}"
    assert not strange, f"{len(strange)} ends are of no planned job, such as {strange[0]}"
    for one in ends:
        mark = one.message.learning_context
        assert mark, f"{one.subject}: of no experiment"
        subject = names.end_subject(mark.experiment_id, mark.variant_index, one.message.job_id)
        assert one.subject == subject, f"{one.message.job_id} ended on {one.subject}"


def check_numbers(ends: Iterable[StoredEnd]) -> None:
    """Check that each runner has counted its ends: of an epoch no number is there twice, or beyond what it said."""
    numbered = [one.end for one in ends if one.end.number]
    counts = Counter((one.runner, one.epoch, one.number) for one in numbered)
    twice = [one for one, count in counts.items() if count > 1]
    assert not twice, f"numbers were given twice: {twice}"
    for one in numbered:
        assert one.complete < one.number, f"{one.runner} has sent {one.number} after all up to {one.complete}"


def check_statuses(view: ExperimentView, ends: Iterable[StoredEnd]) -> None:
    """Check that an experiment is what its ends add up to."""
    check_counts([Event(one.sequence, one.subject, one.message) for one in ends], view)
    totals = view.totals
    ended = totals.completed + totals.failed + totals.cancelled
    assert (ended, totals.running) == (totals.jobs, 0), f"{view.experiment_id}: {totals}"


def check_pictures(runners: Iterable[ServiceProcess], ends: Iterable[StoredEnd]) -> int:
    """Fetch every picture from every runner, and return how many there are."""
    hashes = {image.sha256 for one in ends for image in one.message.result.images}
    for runner in runners:
        for sha256 in hashes:
            data = fetched(runner, sha256)
            assert hashlib.sha256(data).hexdigest() == sha256, f"{runner.data.name} gives another picture for {sha256}"
    return len(hashes)


def fetched(runner: ServiceProcess, sha256: str) -> bytes:
    """Fetch a result by its hash."""
    data = b""
    while True:
        part = _part(runner, OutputParams(sha256=sha256, offset=len(data)))
        data += part.data
        if len(data) >= part.size:
            return data


def _part(runner: ServiceProcess, params: OutputParams) -> OutputReply:
    """Fetch a part of a result, from a runner that may just be connecting."""
    found: list[OutputReply] = []

    def is_found() -> bool:
        try:
            found.append(runner.ask("output", params, OutputReply))
        except ControlError as error:
            if error.code != "unavailable":
                raise
        return bool(found)

    wait_until(is_found, what=f"{params.sha256} at {runner.data.name}")
    return found[0]


def waiting_jobs(client: Client) -> int:
    """Return how many jobs are in the queue."""
    return int(client.run(client.js.stream_info(names.JOBS)).state.messages)


def check_no_job_waits(client: Client) -> None:
    """Check that the queue is empty."""
    left = waiting_jobs(client)
    assert not left, f"{left} jobs are still in the queue"
