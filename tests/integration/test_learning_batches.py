"""Events that come together have the same effect as one by one; only what is published in between is missing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from bus.contracts.messages import EventRejected, VariantStatus, encode_body
from bus.eventlog.transaction import Transaction
from bus.subscriber.delivery import Delivery
from learning_service.events import consumer
from learning_service.events.router import JobEvent
from learning_service.experiments import variants
from learning_service.experiments.model import variant_status
from learning_service.storage.store import LearningStore
from tests.support import consumer_bench
from tests.support.factories import (
    CANCELLED,
    JobScript,
    badly,
    context,
    messages,
    planned_experiment,
    planned_jobs,
    well,
)

NAMES: Final = ("exp-1", "exp-2")
VALUES: Final = (2.0, 4.0)
SEEDS: Final = 3
RESULTS: Final = (well("a", match=0.5), well("b", "c"), replace(well(), warnings=("odd",)), badly(), CANCELLED)


class Bench(consumer_bench.Bench):
    """A consumer of the events of two experiments."""

    def __init__(self, folder: Path, *, is_new: bool) -> None:
        """Plan two experiments of two variants, unless they are there."""
        super().__init__(folder / "learning.db")
        for name in NAMES if is_new else ():
            planned = planned_experiment(VALUES, jobs=SEEDS)
            planned.experiment_id = name
            for index, variant in list(planned.variants.items()):
                planned.put(replace(variant, jobs=planned_jobs(index, SEEDS, name)))
            with self.log.transaction() as tx:
                self.store.insert(tx, planned)

    def statuses(self) -> list[VariantStatus]:
        """Return all that was published of variants."""
        told = messages(self.log.fetch("variant.status.", 0).records)
        return [one for one in told if isinstance(one, VariantStatus)]

    def facts(self) -> dict[str, object]:
        """Return what is on disk and in memory after all events, but for the number of transactions."""
        found: dict[str, object] = {"counts": dict(self.consumer._counts), "at": self.store.positions()}
        rejected = messages(self.log.fetch("event.rejected.", 0).records)
        found["rejected"] = [one for one in rejected if isinstance(one, EventRejected)]
        newest = {(one.experiment_id, one.variant_index): unstamped(one) for one in self.statuses()}
        for store in (self.store, LearningStore(self.log)):
            for name in NAMES:
                one = store.get(name)
                facts = (dict(one.variants), one.totals, one.busy, one.updated_at, one.started_at)
                assert facts == found.setdefault(name, facts), "disk and memory differ"
                for index, variant in one.variants.items():
                    status = unstamped(variant_status(one, variant))
                    assert newest.get((name, index), status) == status
        for name in NAMES:
            found[f"results {name}"] = (store.results.all(name), store.results.pictures(name))
        return found


def unstamped(status: VariantStatus) -> VariantStatus:
    """Return a status without its time: an event that is no news changes that alone."""
    return replace(status, updated_at=0.0)


@contextmanager
def bench(folder: Path | None = None, *, is_new: bool = True) -> Iterator[Bench]:
    """Open a consumer, in a folder of its own unless one is given, and close it."""
    with TemporaryDirectory() as other:
        opened = Bench(folder or Path(other), is_new=is_new)
        try:
            yield opened
        finally:
            opened.close()


def deliveries(events: list[JobEvent]) -> list[Delivery]:
    """Return events as a subscriber delivers them."""
    return [
        Delivery(
            consumer_bench.RUNNER,
            consumer_bench.PREFIX,
            epoch=7,
            offset=offset,
            topic="job.x.",
            time_ns=1,
            body=Raw(encode_body(event)),
        )
        for offset, event in enumerate(events, 1)
    ]


def script(name: str, index: int, repeat: int) -> JobScript:
    """Return a job; the plan has none for the last seed."""
    return JobScript(context(index, VALUES[index], experiment=name, repeat=repeat))


JOBS: Final = [script(*one) for one in product(NAMES, range(len(VALUES)), range(SEEDS + 1))]
STRANGE: Final = [
    JobScript(context(5, 2.0)).completed(),
    JobScript(context(0, 9.0)).completed(),
    JobScript(context(0, 2.0, experiment="nobody's")).completed(),
    JobScript(None).completed(),
]
ENDS: Final = [job.completed(result, at=at) for job, result, at in product(JOBS, RESULTS, (12.0, 13.0, 30.0))]
events_of_jobs = st.one_of(
    st.sampled_from(ENDS),
    st.sampled_from([job.queued() for job in JOBS]),
    st.sampled_from([job.started() for job in JOBS]),
    st.sampled_from(STRANGE),
)


@settings(max_examples=8)
@given(st.lists(events_of_jobs, max_size=40), st.lists(st.integers(1, 12), min_size=1))
def test_events_of_a_batch_have_the_effect_of_as_many_batches(events: list[JobEvent], sizes: list[int]) -> None:
    """On states, counts, times, results, rejections and positions; revisions grow by the same."""
    came = deliveries(events)
    with bench() as alone, bench() as together:
        for one in came:
            alone.take([one])
        start = 0
        for size in sizes * len(came):
            together.take(came[start : start + size])
            start += size
        assert together.facts() == alone.facts()
        assert len(together.statuses()) <= len(alone.statuses())


def test_the_events_of_a_batch_are_one_new_state_and_one_status_a_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs a variant has: what is done for each event does not grow with them."""
    folds: list[int] = []
    fold = variants.advanced

    def counted(variant: variants.Variant, events: list[JobEvent]) -> variants.Variant:
        folds.append(len(events))
        return fold(variant, events)

    monkeypatch.setattr(variants, "advanced", counted)
    monkeypatch.setattr(consumer, "HANDLE_SECONDS", 10.0)  # a slow machine has a batch in parts, with a state for each
    jobs = [script("exp-1", index, repeat) for repeat in range(3) for index in (0, 1)]
    events: list[JobEvent] = [event for job in jobs for event in (job.queued(), job.started(), job.completed())]
    with bench() as one:
        one.take(deliveries(events))

        assert folds == [9, 9]
        assert [(told.variant_index, told.completed, told.revision) for told in one.statuses()] == [
            (0, 3, 6),
            (1, 3, 6),
        ]
        assert one.consumer._counts == {("applied", ""): 18}


def test_an_event_that_comes_alone_is_applied_without_a_look_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the thread: each look is a system call, which takes long when the last one is a while ago."""
    looks: list[None] = []
    came = deliveries([script("exp-1", 0, repeat).completed() for repeat in range(3)])

    def clock() -> float:
        looks.append(None)
        return 0.0

    with bench() as one:
        monkeypatch.setattr(time, "thread_time", clock)
        one.take(came[:1])
        assert not looks
        one.take(came[1:])
        assert looks
        assert one.consumer._counts == {("applied", ""): 3}


def test_an_event_of_a_variant_builds_on_the_ends_before_it() -> None:
    """A repeated end is ignored, a start after it too, and what comes behind the last one is late."""
    first, second, third = (script("exp-1", 0, repeat) for repeat in range(3))
    events: list[JobEvent] = [
        first.completed(),
        first.completed(),
        first.started(),
        second.started(),
        second.completed(),
    ]
    with bench() as one:
        one.take(deliveries([*events, third.completed(), third.completed(badly())]))

        assert one.consumer._counts == {("applied", ""): 4, ("ignored", "job_already_applied"): 3}
        assert one.store.get("exp-1").variants[0].status == "completed"


def test_one_end_that_makes_a_batch_fail_is_rejected_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its job; all others count."""
    events: list[JobEvent] = [script("exp-1", 0, repeat).completed() for repeat in range(3)]
    fold = variants.advanced

    def failing(variant: variants.Variant, events: list[JobEvent]) -> variants.Variant:
        if any(job.job_id == "exp-1.0.1.0" for job in events):
            raise ZeroDivisionError
        return fold(variant, events)

    monkeypatch.setattr(variants, "advanced", failing)
    with bench() as one:
        one.take(deliveries(events))

        (rejected,) = messages(one.log.fetch("event.rejected.", 0).records)
        assert isinstance(rejected, EventRejected)
        assert (rejected.reason, rejected.job_id, rejected.offset) == ("handler_error", "exp-1.0.1.0", 2)
        assert one.store.get("exp-1").variants[0].completed == 2


class _EndError(BaseException):
    """The process ends here."""


@contextmanager
def ending_at(point: int) -> Iterator[list[int]]:
    """End the process at the n-th write of a transaction; yield the list that gets its number if it is reached."""
    reached: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("insert", "execute", "executemany", "append"):
            write = getattr(Transaction, name)

            def counted(tx: Transaction, *arguments: object, write: Callable[..., object] = write) -> object:
                reached.append(len(reached) + 1)
                if len(reached) == point:
                    raise _EndError
                return write(tx, *arguments)

            patch.setattr(Transaction, name, counted)
        yield reached


@pytest.mark.fault(item="F142")
def test_wherever_a_batch_ends_all_of_it_counts_or_nothing_and_then_it_comes_again(tmp_path: Path) -> None:
    """What was there before stays; read again, the batch has one status a variant, as if nothing had been."""
    jobs = [script("exp-1", index, repeat) for repeat in range(3) for index in (0, 1)]
    first, *events = deliveries([jobs[0].completed(RESULTS[0]), *(job.completed(RESULTS[1]) for job in jobs[1:])])
    for point in range(1, 1000):
        folder = tmp_path / str(point)
        folder.mkdir()
        with bench(folder) as one:
            one.take([first])
            before = one.facts()
            with ending_at(point) as reached, suppress(_EndError):
                one.take(events)
            has_ended = len(reached) == point
            assert not has_ended or one.facts() == before
        with bench(folder, is_new=False) as one:
            if has_ended:
                one.take(events)
            told = [(status.variant_index, status.completed, status.revision) for status in one.statuses()]
            assert told == [(0, 1, 2), (1, 3, 4), (0, 3, 4)]
            assert len(one.store.results.pictures("exp-1")) == 11
        if not has_ended:
            break
    assert point > 8, "so many writes there are"
