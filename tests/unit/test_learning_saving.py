"""A variant is stored now and then as a whole, and in between what has changed since: together they are the variant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from bus.contracts.messages import RatingSummary
from learning_service.events.router import JobEvent
from learning_service.experiments import pictures, saving, variants
from learning_service.experiments.phases import Phases
from learning_service.experiments.variants import Variant
from tests.support.factories import JobScript, badly, context, image, planned_jobs, well


class Disk:
    """What is stored of one variant."""

    def __init__(self, variant: Variant) -> None:
        """Store it as a whole."""
        self.written: list[int] = []  # bytes
        self.whole, self.news = b"", b""
        self.kept = self.write(variant)

    def write(self, variant: Variant) -> Variant:
        """Store it after a change, and return it as it is kept in memory."""
        if saving.is_whole_due(variant):
            self.whole, self.news = msgpack.encode(saving.whole(variant)), b""
            self.written.append(len(self.whole))
            return saving.saved(variant)
        self.news = msgpack.encode(saving.news(variant))
        self.written.append(len(self.news))
        return variant

    def read(self) -> Variant:
        """Return it as it is read after a restart."""
        news = msgpack.decode(self.news, type=Variant) if self.news else None
        return saving.joined(msgpack.decode(self.whole, type=Variant), news)


def planned(jobs: int) -> Variant:
    """Return a variant of which nothing has happened."""
    return Variant(index=0, value="a long text", jobs=planned_jobs(0, jobs))


def ended(variant: Variant, repeat: int) -> Variant:
    """Return it after one more job ended with a picture."""
    return variants.job_ended(variant, JobScript(context(repeat=repeat)).completed(well(str(repeat))))


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 4)), max_size=60))
def test_what_is_stored_is_the_variant(steps: list[tuple[int, int]]) -> None:
    """After any events and changes of the plan, however often it was stored as a whole; no earlier state changes."""
    disk = Disk(planned(30))
    variant = disk.kept
    for repeat, kind in steps:
        before, phases = variant, dict(variant.jobs)
        script = JobScript(context(repeat=repeat))
        if kind == 0:
            variant = variants.rated(variant, RatingSummary(mean=4.0, count=1), 1.0)
        elif variant.jobs.get(script.name) in ("planned", "queued", "running"):
            events: list[JobEvent] = [
                script.queued(),
                script.started(),
                script.completed(well("a", "b")),
                script.completed(badly()),
            ]
            variant = variants.advanced(variant, events[kind - 1 : kind])
        elif kind == 1:
            variant = variants.planned_more(variant, [f"more-{len(variant.jobs)}"], 2.0)
        variant = disk.write(variant)
        assert dict(before.jobs) == phases

        again = disk.read()
        assert again == variant
        assert dict(again.jobs.items()) == {name: variant.jobs[name] for name in variant.jobs}
        assert again.images == variant.images


@pytest.mark.parametrize("jobs", [8, 256, 1024])
def test_an_end_writes_little_however_many_jobs_there_are(jobs: int) -> None:
    """At the end a variant is large; what was written for each of its ends grows as the root of that, and not as it."""
    disk = Disk(planned(jobs))
    variant = disk.kept
    for repeat in range(jobs):
        variant = disk.write(ended(variant, repeat))

    size = len(msgpack.encode(saving.whole(variant)))
    assert len(variant.jobs) == variant.completed == jobs
    assert sum(disk.written[1:]) / jobs < min(1000 + size / 8, 20_000)


def test_a_new_plan_is_stored_as_a_whole() -> None:
    """As are phases of which many have changed."""
    few = saving.saved(planned(8))
    assert not saving.is_whole_due(ended(few, 0))
    assert saving.is_whole_due(planned(8))
    assert saving.is_whole_due(variants.planned_more(few, ["more"], 1.0))
    assert saving.is_whole_due(replace(few, jobs=Phases(planned_jobs(0, 9), planned_jobs(0, 9))))


def test_phases_are_a_map() -> None:
    """The later phase holds, and a job that is not there is none."""
    phases = Phases({"a": "planned", "b": "queued"}).moved({"a": "ended"})

    assert phases == {"a": "ended", "b": "queued"}
    assert (list(phases), len(phases), phases["a"], phases.get("c")) == (["a", "b"], 2, "ended", None)
    assert ("a" in phases, "c" in phases, dict(phases.items())) == (True, False, {"a": "ended", "b": "queued"})
    with pytest.raises(KeyError):
        phases["c"]


@pytest.mark.parametrize("first", [0, 1, 15, 16, 20])
@pytest.mark.parametrize("more", [0, 1, 16])
def test_pictures_are_parted_and_joined(first: int, more: int) -> None:
    """Wherever the header of the array grows."""
    images = [image(str(number)) for number in range(first + more)]
    packed = pictures.pack(images)
    extent = pictures.extent(pictures.pack(images[:first]))

    rest = pictures.behind(packed, extent)

    assert pictures.unpack(rest) == tuple(images[first:])
    assert bytes(pictures.joined(pictures.pack(images[:first]), rest)) == bytes(packed)
