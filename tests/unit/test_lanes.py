"""Which pipelines may start jobs, and how long the queue takes."""

import pytest

from pipeline_runner.queue.capacity import ALL, PAUSED, Lane, Lanes


def waiting(**queued: int) -> Lanes:
    """Give lanes of one job at a time, with so many jobs waiting."""
    lanes = Lanes(dict.fromkeys(queued, 1), 2, 100)
    for name, count in queued.items():
        lanes[name].waiting[0] = count
    return lanes


def test_only_lanes_with_jobs_and_room_are_open() -> None:
    """The room is what concurrency and running jobs leave."""
    lanes = Lanes({"busy": 1, "idle": 3, "part": 3}, 1, 100)
    lanes["busy"].waiting[0] = lanes["part"].waiting[7] = 5
    lanes["busy"].running = lanes["part"].running = 1

    assert lanes.open(0.0) == {"part": 2}


def test_a_pipeline_that_is_gone_has_the_room_of_the_workers() -> None:
    """Its jobs have to come to an end; a pause of everything holds it up, too."""
    lanes = Lanes({}, 4, 100)
    lanes["plug-in"].waiting[0] = 1
    assert lanes.open(0.0) == {"plug-in": 4}

    lanes.set_pauses({ALL})
    lanes["another"].waiting[0] = 1
    assert lanes.open(0.0) == {}


def test_a_pause_holds_up_one_lane_or_all() -> None:
    """What is paused says so, and how to go on."""
    lanes = waiting(a=1, b=1)

    lanes.set_pauses({"a"})
    assert lanes.open(0.0) == {"b": 1}
    assert lanes.views(0.0)["a"].waits_for == PAUSED
    assert not lanes.paused

    lanes.set_pauses({ALL})
    assert lanes.open(0.0) == {}
    assert lanes.paused

    lanes.set_pauses(frozenset())
    assert lanes.open(0.0) == {"a": 1, "b": 1}


def test_a_lane_rests_for_a_while_and_names_the_reason() -> None:
    """Others go on meanwhile."""
    lanes = waiting(a=1, b=1)

    assert lanes["a"].note_fault(8.0, "NansException") == 2.0

    assert lanes.open(9.0) == {"b": 1}
    assert lanes["a"].waits_for(9.0) == "rests for 1 s after: NansException"
    assert lanes.open(10.0) == {"a": 1, "b": 1}


def test_rests_grow_with_the_faults_in_a_row() -> None:
    """Whichever jobs they met; an answer of the server forgets them."""
    lane = Lane(1, 100)
    assert [lane.note_fault(0.0, "no") for _ in range(4)] == [2.0, 4.0, 8.0, 16.0]

    lane.note_answer()
    assert lane.note_fault(100.0, "no") == 2.0


def test_a_lane_has_a_bound_of_its_own() -> None:
    """What waits in one takes no room from another."""
    lanes = Lanes({"a": 1, "b": 1}, 1, 10)
    lanes["a"].waiting.update({0: 7, 5: 2})
    lanes["b"].waiting[0] = 12

    assert (lanes["a"].room, lanes["b"].room) == (1, 0)
    assert (lanes["a"].queued, lanes.queued) == (9, 21)


def test_jobs_of_higher_priorities_are_ahead() -> None:
    """And those of the same one that are not behind."""
    lane = Lane(1, 100)
    lane.waiting.update({5: 2, 0: 10, -1: 4})

    assert [lane.ahead(5, 1), lane.ahead(5, 0), lane.ahead(0, 9), lane.ahead(0, 0), lane.ahead(-1, 3)] == [
        0,
        1,
        2,
        11,
        12,
    ]


def test_a_lane_waits_for_a_server_that_is_away() -> None:
    """However long that takes."""
    lanes = waiting(a=1)
    lanes["a"].away = "nobody answers"

    assert lanes.open(1e9) == {}
    assert lanes["a"].waits_for(1e9) == "nobody answers"


def test_newer_jobs_count_more_for_the_mean() -> None:
    """The first is the mean; a job that is different moves it by a fifth."""
    lane = Lane(1, 100)
    assert lane.mean_seconds is None

    lane.note_duration(10.0)
    lane.note_duration(20.0)

    assert lane.mean_seconds == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("ahead", "running", "concurrency", "seconds"),
    [(0, 0, 1, 10.0), (0, 1, 1, 20.0), (5, 1, 1, 70.0), (0, 1, 2, 10.0), (5, 2, 2, 40.0), (100, 64, 64, 30.0)],
)
def test_a_queued_job_ends_after_those_before_it(ahead: int, running: int, concurrency: int, seconds: float) -> None:
    """They run as many at a time as the lane has room for."""
    lane = Lane(concurrency, 100)
    lane.running = running
    lane.note_duration(10.0)

    assert lane.eta(ahead, now=0.0) == pytest.approx(seconds)


def test_nobody_knows_when_a_lane_goes_on() -> None:
    """Before the first job has ended, while it is paused, or while its server is away; a rest has an end."""
    lane = Lane(1, 100)
    assert lane.eta(0, now=0.0) is None

    lane.note_duration(10.0)
    lane.note_fault(0.0, "x")
    assert lane.eta(0, now=0.0) == pytest.approx(12.0)
    lane.away = "nobody answers"
    assert lane.eta(0, now=0.0) is None
    lane.away, lane.paused = "", True
    assert lane.eta(0, now=0.0) is None
