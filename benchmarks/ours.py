"""The bus itself: a runner's publisher, the real learning service, and a subscriber."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks.crew import START_SECONDS, BenchmarkError, Child, Crew, Signals, poll_until
from benchmarks.role import Clock, Parent, Setup, Tally, batches
from benchmarks.workload import IDLE_VARIANTS, PIPELINE, STAGES, Checker, LostEventError, Workload
from bus import Delivery, Log, Loop, Publisher, Start, Subscriber, request
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import CreateParams, ExperimentView
from bus.contracts.jobs import CancelParams, CancelReply, PipelinesReply, SubmitParams, SubmitReply
from bus.contracts.messages import JobCompleted
from bus.protocol.addresses import Address
from bus.protocol.control import ControlError, MetricsReply, NoParams
from bus.transport.client import RequestClient

BATCH: Final = 256  # jobs in one transaction of the publisher, where they end faster than it can write
SLOWEST: Final = 200  # jobs created, or events applied, a second; whoever is slower has come to a halt
IN_FLIGHT: Final = 32  # experiments that are being created at a time
ANY_PORT: Final = Address("127.0.0.1", 0)


class FakeRunner:
    """Speaks the protocol of a runner; its jobs end when the benchmark says so."""

    def __init__(self, parent: Parent, setup: Setup) -> None:
        """Offer the pipeline, and take jobs."""
        self.log, self.loop = Log(Path(setup.folder) / "runner.db"), Loop()
        self._publisher = Publisher(
            self.log, self.loop, service="runner", version="bench", feed=ANY_PORT, control=ANY_PORT
        )
        self._parent, self._expected, self._submitted = parent, _jobs_of(setup), 0
        methods = self._publisher.methods
        methods.add("pipelines", NoParams, self._pipelines)
        methods.add("job.submit", SubmitParams, self._submit)
        methods.add("job.cancel", CancelParams, lambda _: CancelReply(cancelled=0))

    @property
    def control(self) -> str:
        """Where it answers."""
        return str(self._publisher.control)

    def publish(self, events: list[tuple[str, JobCompleted]]) -> None:
        """Publish the ends of jobs, in one transaction."""
        with self.log.transaction() as tx:
            for topic, message in events:
                tx.append(topic, message)

    def _pipelines(self, _params: NoParams) -> PipelinesReply:
        return PipelinesReply(pipelines={PIPELINE: STAGES}, outputs="/", queued=0, running=0)

    def _submit(self, params: SubmitParams) -> SubmitReply:
        self._submitted += len(params.jobs)
        if self._submitted == self._expected:
            self.loop.later(0, lambda: self._parent.tell("submitted"))
        return SubmitReply(accepted=len(params.jobs), known=0)


def produce(parent: Parent, setup: Setup) -> None:
    """Be the runner: take the jobs, and at each word `go` publish that some of them have ended."""
    runner = FakeRunner(parent, setup)
    loop, words = runner.loop, deque[str]()
    events = iter(setup.events())
    parent.on_word = lambda word: loop.call(lambda: words.append(word))
    parent.tell("ready", control=runner.control)
    while True:  # also behind the end: whoever has missed something asks for it
        while not words:
            loop.step()
        words.popleft()
        part = islice(events, setup.workload.events // setup.parts)
        clock = Clock(setup)
        if setup.interval:
            _publish_one_by_one(runner, part, clock)
        else:
            for batch in batches(part, BATCH):
                runner.publish(batch)
                loop.step(0)
        parent.tell("sent", start=clock.start, sent=clock.sent)


def _publish_one_by_one(runner: FakeRunner, events: Iterable[tuple[str, JobCompleted]], clock: Clock) -> None:
    for event in events:
        while (left := clock.left()) > 0:
            runner.loop.step(left)
        clock.note()
        runner.publish([event])


def consume(parent: Parent, setup: Setup) -> None:
    """Be whoever looks at the variants: a GUI or a logger."""
    watch(parent, setup, Checker(setup.workload, timed=setup.interval > 0))


def watch(parent: Parent, setup: Setup, checker: Checker) -> None:
    """Subscribe to the variants until all have ended."""
    with Subscriber([setup.addresses["learning"]], ["variant.status"], start=Start.NOW) as subscriber:
        if not subscriber.wait_ready(START_SECONDS):
            raise BenchmarkError("the subscription is not ready")
        parent.tell("ready")
        while not checker.done:
            for delivery in subscriber.receive():
                checker.take(delivery.message)
        parent.tell("received", end=time.monotonic_ns(), received=checker.received, notices=len(subscriber.notices))
        parent.wait("stop")


class _Listener:
    """A subscriber who counts, and sees to it that no offset is missing."""

    def __init__(self) -> None:
        self.last = 0

    def take(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            if delivery.offset != self.last + 1:
                raise LostEventError(f"offset {delivery.offset} after {self.last}")
            self.last = delivery.offset


def listen(parent: Parent, setup: Setup) -> None:
    """Be some subscribers who count the ends of jobs."""
    start, loop, tally = time.monotonic_ns(), Loop(), Tally(setup.tally)
    listeners = [_Listener() for _ in range(setup.subscribers)]
    subscribers = [
        Subscriber([setup.addresses["runner"]], start=Start.BEGINNING, loop=loop, on_batch=listener.take)
        for listener in listeners
    ]
    if not all(subscriber.wait_ready(START_SECONDS) for subscriber in subscribers):
        raise BenchmarkError("the subscriptions are not ready")
    parent.tell("ready")
    while any(listener.last < setup.workload.events for listener in listeners):
        loop.step()
        tally.set(min(listener.last for listener in listeners))
    parent.tell("received", start=start, end=time.monotonic_ns())
    parent.wait("stop")


def start_service(crew: Crew, *options: str) -> tuple[Child, str]:
    """Start the real learning service, and give it with its control address."""
    learning = crew.python(
        "learning",
        "learning_service",
        *("--data-dir", str(crew.folder), "--feed-port", "0", "--control-port", "0"),
        *("--max-variants", "100000", "--log-level", "warning", *options),
    )
    return learning, control_of(learning)


def control_of(service: Child) -> str:
    """Wait until a service of ours is ready, and give its control address."""
    words = service.wait_for_line("listening", START_SECONDS).split()
    return dict(word.split("=", 1) for word in words[1:])["control"]


def create_experiments(learning: str, ids: list[str], plan: ExperimentDefinition, seconds: float) -> None:
    """Create experiments by `experiment.create`, several in flight.

    Raises:
        BenchmarkError: the service refuses one, or it takes too long.
    """
    waiting = deque(ids)
    loop, deadline = Loop(), time.monotonic() + seconds
    client, left = RequestClient(loop, learning), len(ids)

    def created(_view: ExperimentView) -> None:
        nonlocal left
        left -= 1
        ask()

    def ask() -> None:
        if waiting:
            experiment_id = waiting.popleft()
            params = CreateParams(experiment_id=experiment_id, definition=plan)
            failed = _again(loop, ask, waiting, experiment_id)
            client.ask("experiment.create", params, ExperimentView, created, failed, seconds)

    try:
        for _ in range(IN_FLIGHT):
            ask()
        while left:
            Signals.check()
            loop.step(0.5)
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{left} of {len(ids)} experiments were not created in {seconds:g} s")
    finally:
        client.close()
        loop.close()


def _again(
    loop: Loop, ask: Callable[[], None], waiting: deque[str], experiment_id: str
) -> Callable[[ControlError], None]:
    """Repeat a request while the service has not heard from its runner yet."""

    def failed(error: ControlError) -> None:
        if error.code != "unavailable":
            raise BenchmarkError(f"{experiment_id}: {error.message}")
        waiting.append(experiment_id)
        loop.later(0.05, ask)

    return failed


def start_producer(crew: Crew, setup: Setup) -> tuple[Child, Setup]:
    """Start the runner alone, and say to others where it is."""
    runner = crew.role("benchmarks.ours:produce", setup)
    where = runner.wait_for("ready", START_SECONDS + setup.workload.events / SLOWEST)["control"]
    return runner, replace(setup, addresses={"runner": where})


def start_chain(crew: Crew, setup: Setup) -> tuple[Child, Child, Child, str]:
    """Start runner, learning service and subscriber, with all jobs submitted; and give the service's address."""
    workload, patience = setup.workload, START_SECONDS + _jobs_of(setup) / SLOWEST
    runner, there = start_producer(crew, setup)
    learning, control = start_service(crew, "--runner", there.addresses["runner"])
    create_experiments(control, workload.experiment_ids(), workload.definition(), patience)
    idle = [f"idle-{number:06x}" for number in range(setup.idle)]
    create_experiments(control, idle, Workload(setup.idle, IDLE_VARIANTS, 1).definition(), patience)
    runner.wait_for("submitted", patience)
    subscriber = crew.role("benchmarks.ours:consume", replace(setup, addresses={"learning": control}))
    subscriber.wait_for("ready")
    return runner, learning, subscriber, control


def wait_until_routed(control: str, events: int) -> None:
    """Wait until a learning service has applied so many events.

    Raises:
        BenchmarkError: it takes too long.
    """
    for _ in poll_until(START_SECONDS + events / SLOWEST, f"{events} applied events"):
        metrics = request(control, "metrics", {}, MetricsReply).metrics
        routed = [
            one for metric in metrics if metric.name == "variantbus_events_routed_total" for one in metric.samples
        ]
        counts = {one.labels["outcome"]: one.value for one in routed}
        if counts.keys() - {"applied"}:
            raise BenchmarkError(f"not every event was applied: {counts}")
        if counts.get("applied") == events:
            return


def _jobs_of(setup: Setup) -> int:
    return setup.workload.events + setup.idle * IDLE_VARIANTS
