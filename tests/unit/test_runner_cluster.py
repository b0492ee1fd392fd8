"""What a runner in a cluster decides: the numbers of its ends, what it does with a job that it is given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.contracts.messages import JobState
from bus.protocol.validation import InvalidInputError
from pipeline_runner.cluster.numbers import Numbers
from pipeline_runner.cluster.sending import AROUND_BYTES, Place, end_of, subject_of
from pipeline_runner.cluster.switching import check_joining
from pipeline_runner.cluster.taking import CarriedJob, Offer, Verdict, verdict
from pipeline_runner.queue.capacity import PAUSED, PipelineQueues
from tests.support.factories import context, record_of, well


def test_numbers_follow_each_other_and_those_that_are_free_come_first() -> None:
    """So all numbers up to `complete` are ends that count."""
    numbers = Numbers(0)
    assert (numbers.complete, numbers.upcoming(3)) == (0, [1, 2, 3])
    numbers.take([1, 2, 3])
    numbers.note(1, won=True)
    numbers.note(3, won=True)
    assert (numbers.complete, numbers.upcoming(2)) == (1, [4, 5])
    numbers.note(2, won=False)
    assert (numbers.complete, numbers.upcoming(2)) == (1, [2, 4])
    numbers.take([2])
    numbers.note(2, won=True)
    assert (numbers.complete, numbers.upcoming(1)) == (3, [4])


def test_numbers_go_on_with_what_is_on_disk() -> None:
    """What waited, and what was free."""
    numbers = Numbers(7, waiting=[4, 7], free=[3])
    assert (numbers.complete, numbers.upcoming(2)) == (2, [3, 8])
    numbers.take(numbers.upcoming(1))
    assert (numbers.complete, numbers.upcoming(1)) == (2, [8])


@given(st.lists(st.tuples(st.integers(1, 4), st.lists(st.booleans(), min_size=4, max_size=4))))
def test_no_number_is_left_out_and_none_is_used_twice(turns: list[tuple[int, list[bool]]]) -> None:
    """Whatever is refused, in whichever order."""
    numbers, won = Numbers(0), set[int]()
    for count, outcomes in turns:
        taken = numbers.upcoming(count)
        assert not won & set(taken)
        numbers.take(taken)
        assert numbers.complete < min(taken)
        for number, counts in zip(taken, outcomes, strict=False):
            numbers.note(number, won=counts)
            won |= {number} if counts else set()
        assert set(range(1, numbers.complete + 1)) <= won
        assert numbers.complete + 1 not in won


def offer(*, deliveries: int = 1, has_ended: bool = False) -> Offer:
    """Return a job that was fetched."""
    request = CarriedJob(job_id="job-1", pipeline="embedded", stage="txt2img", learning_context=context())
    return Offer(request, "reply", deliveries, has_ended)


@pytest.mark.parametrize(
    ("state", "given_", "has_ticket", "expected"),
    [
        (None, offer(), False, "take"),
        (None, offer(deliveries=4), False, "take"),
        (None, offer(deliveries=5), False, "give up"),
        (None, offer(deliveries=9, has_ended=True), False, "acknowledge"),
        ("queued", offer(), True, "renew"),
        ("running", offer(deliveries=5), True, "renew"),
        ("running", offer(has_ended=True), True, "renew"),
        ("completed", offer(has_ended=True), True, "renew"),
        ("completed", offer(has_ended=True), False, "acknowledge"),
        ("completed", offer(deliveries=7), False, "send again"),
        ("failed", offer(), True, "send again"),
    ],
)
def test_what_is_done_with_a_job_depends_on_what_is_known_of_it(
    state: JobState | None, given_: Offer, has_ticket: bool, expected: Verdict
) -> None:
    """None that has ended runs again, none that is here runs twice, and none kills one runner after the other."""
    known = replace(record_of(mark=context()), state=state) if state else None
    assert verdict(given_, known, has_ticket=has_ticket) == expected


def test_an_end_that_no_server_takes_is_a_failure_that_says_so() -> None:
    """It would wait for ever."""
    result = well(*(f"{number:064d}" for number in range(50)))
    record = replace(record_of(mark=context()), state="completed", result=result)
    place = Place("machine-1", 5, 2, 1)
    whole, cut = end_of(record, place, 1 << 20), end_of(record, place, 2000)
    assert len(bytes(whole.body)) > 2000 > len(bytes(cut.body))
    assert b"too_large" in bytes(cut.body)
    assert b"raise max_payload" in bytes(cut.body)
    assert (cut.run, cut.runner, cut.epoch, cut.number, cut.complete) == ("machine-1:5:2", "machine-1", 5, 2, 1)
    assert len(cut.run) + len(cut.runner) + 100 < AROUND_BYTES


def test_a_job_of_no_experiment_has_no_place_for_its_end() -> None:
    """It never came from a cluster."""
    with pytest.raises(ValueError, match="belongs to no experiment"):
        subject_of(record_of())


def test_a_runner_joins_with_jobs_of_the_cluster_or_of_no_experiment_alone() -> None:
    """All others would end where nobody hears of them."""
    mine = record_of("mine", mark=context())
    check_joining([mine, record_of("alone")], {"mine": ""})
    with pytest.raises(InvalidInputError, match=r"1 jobs of experiments .* such as mine; let them end"):
        check_joining([mine, record_of("alone")], {})


def test_places_are_free_where_a_job_would_start_at_once() -> None:
    """Beside those that wait, and in no pipeline that is held."""
    queues = PipelineQueues({"a": 3, "b": 1, "c": 2}, 1, 100)
    queues["a"].running, queues["a"].waiting[0] = 1, 1
    queues["b"].running = 1
    assert queues.free(0.0) == {"a": 1, "c": 2}
    queues["c"].unreachable = "away"
    assert queues.free(0.0) == {"a": 1}
    queues.draining = True
    assert queues.free(0.0) == {}
    queues.set_pauses({"a"})
    assert (queues.free(0.0), queues["a"].waits_for(0.0)) == ({}, PAUSED)
