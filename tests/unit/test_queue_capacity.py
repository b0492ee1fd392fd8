"""Which pipelines may start jobs, and how long the queue takes."""

import pytest

from pipeline_runner.queue.capacity import ALL, PAUSED, PipelineQueue, PipelineQueues

NOBODY = frozenset[str]()


def waiting(**queued: int) -> PipelineQueues:
    """Return queues of one job at a time, with so many jobs waiting."""
    queues = PipelineQueues(dict.fromkeys(queued, 1), 2, 100)
    for name, count in queued.items():
        queues[name].waiting[0] = count
    return queues


def test_only_queues_with_jobs_and_room_are_open() -> None:
    """The room is what concurrency and running jobs leave."""
    queues = PipelineQueues({"busy": 1, "idle": 3, "part": 3}, 1, 100)
    queues["busy"].waiting[0] = queues["part"].waiting[7] = 5
    queues["busy"].running = queues["part"].running = 1

    assert queues.startable(0.0) == {"part": 2}


def test_places_of_jobs_that_end_meanwhile_count_as_free() -> None:
    """Even where a job was about to run alone: what has ended is what it waited for."""
    queues = waiting(a=1, b=1)
    queues["a"].running = 1
    assert queues.startable(0.0) == {"b": 1}
    assert queues.startable(0.0, {"a": 1}) == {"a": 1, "b": 1}

    queues.draining = True
    assert queues.startable(0.0, {"a": 1}) == {"a": 1, "b": 1}


def test_a_pipeline_that_is_gone_has_the_room_of_the_workers() -> None:
    """Its jobs have to come to an end; a pause of everything holds it up, too."""
    queues = PipelineQueues({}, 4, 100)
    queues["plug-in"].waiting[0] = 1
    assert queues.startable(0.0) == {"plug-in": 4}

    queues.set_pauses({ALL})
    queues["another"].waiting[0] = 1
    assert queues.startable(0.0) == {}


@pytest.mark.fault(item="F154")
def test_nothing_is_open_while_a_job_runs_alone_or_is_about_to() -> None:
    """So nobody looks again and again at jobs that cannot start."""
    queues = waiting(a=1, b=1)

    queues.draining = True
    assert queues.startable(0.0) == {}

    queues.draining = False
    assert queues.startable(0.0) == {"a": 1, "b": 1}


def test_a_pause_holds_up_one_queue_or_all() -> None:
    """What is paused says so, and how to go on."""
    queues = waiting(a=1, b=1)

    queues.set_pauses({"a"})
    assert queues.startable(0.0) == {"b": 1}
    assert queues.views(0.0, "")["a"].waits_for == PAUSED
    assert not queues.paused

    queues.set_pauses({ALL})
    assert queues.startable(0.0) == {}
    assert queues.paused

    queues.set_pauses(frozenset())
    assert queues.startable(0.0) == {"a": 1, "b": 1}


def test_a_queue_rests_for_a_while_and_names_the_reason() -> None:
    """Others go on meanwhile."""
    queues = waiting(a=1, b=1)

    assert queues["a"].note_fault(8.0, "no answer", NOBODY) == 2.0

    assert queues.startable(9.0) == {"b": 1}
    assert queues["a"].waits_for(9.0) == "rests for 1 s after: no answer"
    assert queues.startable(10.0) == {"a": 1, "b": 1}


def test_rests_grow_with_the_faults_in_a_row() -> None:
    """Whichever jobs they met; an answer of the server forgets them."""
    queue = PipelineQueue(1, 100)
    assert [queue.note_fault(0.0, "no", NOBODY) for _ in range(4)] == [2.0, 4.0, 8.0, 16.0]

    queue.note_answer()
    assert queue.note_fault(100.0, "no", NOBODY) == 2.0


def test_a_rest_ends_when_what_has_caused_it_is_cancelled() -> None:
    """The job or its experiment; another cancellation changes nothing."""
    queues = waiting(a=1, b=1)
    for cancelled in ("job", "experiment"):
        queues["a"].note_fault(0.0, "no", frozenset({"job", "experiment"}))

        queues.end_rest_after("another")
        assert queues.startable(1.0) == {"b": 1}

        queues.end_rest_after(cancelled)
        assert queues.startable(1.0) == {"a": 1, "b": 1}


def test_a_queue_has_a_bound_of_its_own() -> None:
    """What waits in one takes no room from another."""
    queues = PipelineQueues({"a": 1, "b": 1}, 1, 10)
    queues["a"].waiting.update({0: 7, 5: 2})
    queues["b"].waiting[0] = 12

    assert (queues["a"].capacity_left, queues["b"].capacity_left) == (1, 0)
    assert (queues["a"].queued, queues.queued) == (9, 21)


def test_jobs_of_higher_priorities_are_ahead() -> None:
    """And those of the same one that are not behind."""
    queue = PipelineQueue(1, 100)
    queue.waiting.update({5: 2, 0: 10, -1: 4})

    assert [queue.ahead(5, 1), queue.ahead(5, 0), queue.ahead(0, 9), queue.ahead(0, 0), queue.ahead(-1, 3)] == [
        0,
        1,
        2,
        11,
        12,
    ]


def test_a_queue_waits_for_a_server_that_is_away() -> None:
    """However long that takes."""
    queues = waiting(a=1)
    queues["a"].unreachable = "nobody answers"

    assert queues.startable(1e9) == {}
    assert queues["a"].waits_for(1e9) == "nobody answers"


def test_all_queues_wait_where_no_result_can_be_written() -> None:
    """Also one that is new."""
    queues = waiting(a=1)
    queues.hold("the disk is full")

    assert queues.startable(1.0) == {}
    assert queues["a"].waits_for(1.0) == queues["new"].waits_for(1.0) == "the disk is full"

    queues.hold("")
    assert queues.startable(1.0) == {"a": 1}


def test_newer_jobs_count_more_for_the_mean() -> None:
    """The first is the mean; a job that is different moves it by a fifth."""
    queue = PipelineQueue(1, 100)
    assert queue.mean_seconds is None

    queue.note_duration(10.0)
    queue.note_duration(20.0)

    assert queue.mean_seconds == pytest.approx(12.0)


@pytest.mark.parametrize(
    ("ahead", "running", "concurrency", "seconds"),
    [(0, 0, 1, 10.0), (0, 1, 1, 20.0), (5, 1, 1, 70.0), (0, 1, 2, 10.0), (5, 2, 2, 40.0), (100, 64, 64, 30.0)],
)
def test_a_queued_job_ends_after_those_before_it(ahead: int, running: int, concurrency: int, seconds: float) -> None:
    """They run as many at a time as the queue has room for."""
    queue = PipelineQueue(concurrency, 100)
    queue.running = running
    queue.note_duration(10.0)

    assert queue.eta(ahead, now=0.0) == pytest.approx(seconds)


def test_nobody_knows_when_a_queue_goes_on() -> None:
    """Before the first job has ended, while it is paused, or while its server is away; a rest has an end."""
    queue = PipelineQueue(1, 100)
    assert queue.eta(0, now=0.0) is None

    queue.note_duration(10.0)
    queue.note_fault(0.0, "x", NOBODY)
    assert queue.eta(0, now=0.0) == pytest.approx(12.0)
    queue.unreachable = "nobody answers"
    assert queue.eta(0, now=0.0) is None
    queue.unreachable, queue.paused = "", True
    assert queue.eta(0, now=0.0) is None


def test_the_queues_are_listed_with_their_pipelines() -> None:
    """Also those of pipelines that are not installed any more, once something was asked of them."""
    queues = PipelineQueues({"a": 1}, 2, 100)
    gone = queues["gone"]

    assert queues.all() == [("a", queues["a"]), ("gone", gone)]
    assert gone.concurrency == 2
