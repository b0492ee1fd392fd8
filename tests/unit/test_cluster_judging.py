"""What is wrong with a cluster: each condition is found, and a healthy one has none."""

from typing import Any, Final

import pytest
from msgspec.structs import replace

from variantbus.cluster.judging import (
    HELP,
    NEEDED,
    NO_JETSTREAM,
    Consumer,
    Replica,
    Server,
    Stream,
    View,
    metrics_of,
    needs_another_look,
    problems_of,
    with_heads,
)
from variantbus.reports.health import NOT_ANSWERING

COPIES: Final = tuple(Replica(server=name, current=True, offline=False, lag=0) for name in ("b", "c"))
STREAMS: Final = tuple(
    Stream(name=name, messages=1, bytes=10, head=5, copies=3, leader="a", replicas=COPIES) for name in NEEDED
)
HEALTHY: Final = View(
    servers=tuple(
        Server(address=f"nats://{name}:4222", name=name, version="2.15.1", problem="", syncs=True) for name in "abc"
    ),
    streams=STREAMS,
    consumers=(Consumer(name="embedded-normal", pending=3, running=2, redelivered=0),),
    leads="one (tcp://one:5571)",
    runners=("machine-1",),
)


def with_copy(**changes: Any) -> View:
    """Return the healthy cluster but for one copy of the first stream."""
    copies = (replace(COPIES[0], **changes), COPIES[1])
    return replace(HEALTHY, streams=(replace(STREAMS[0], replicas=copies), *STREAMS[1:]))


def with_first(**changes: Any) -> View:
    """Return the healthy cluster but for its first server."""
    return replace(HEALTHY, servers=(replace(HEALTHY.servers[0], **changes), *HEALTHY.servers[1:]))


SICK: Final = {
    "cluster_server_away": (with_first(problem="does not answer"), "nats://a:4222: does not answer; start it"),
    "cluster_server_unwell": (
        with_first(unwell="JetStream stream 'JOBS' write error: no space left on device"),
        "a says: JetStream stream 'JOBS' write error: no space left on device; if its disk is full, make room",
    ),
    "cluster_without_streams": (replace(HEALTHY, streams=STREAMS[1:]), "there is no stream JOBS"),
    "cluster_stream_without_leader": (
        replace(HEALTHY, streams=(replace(STREAMS[0], leader=None), *STREAMS[1:])),
        "JOBS has no leader",
    ),
    "cluster_copy_away": (with_copy(offline=True, current=False), "b is away"),
    "cluster_copy_stuck": (
        with_copy(current=False, lag=7),
        "copies at b are behind and do not catch up (nats-server #8319): JOBS (7 messages)",
    ),
    "cluster_few_copies": (
        replace(HEALTHY, streams=(replace(STREAMS[0], copies=1), *STREAMS[1:])),
        "fewer than 3 copies of JOBS",
    ),
    "cluster_not_synced": (with_first(syncs=False), "set `sync_interval: always`"),
    "cluster_versions_differ": (with_first(version="2.14.0"), "2.14.0, 2.15.1"),
    "cluster_no_leader": (replace(HEALTHY, leads=None), "no learning service leads"),
    "cluster_no_runner": (replace(HEALTHY, runners=()), "3 jobs wait, and no runner has announced itself"),
}


def test_a_copy_is_as_far_as_its_own_server_says() -> None:
    """Whoever leads the stream takes it for current; a server that tells nothing, or has more, changes nothing."""
    seen = with_heads(HEALTHY, {"b": {"JOBS": 2, "ENDS": 5}, "c": {"JOBS": 6}})
    assert seen.streams[0].replicas == (replace(COPIES[0], current=False, lag=3), COPIES[1])
    assert seen.streams[1:] == HEALTHY.streams[1:]
    assert needs_another_look(seen)
    (problem,) = problems_of(seen, seen)
    assert (problem.code, "JOBS (3 messages)" in problem.detail) == ("cluster_copy_stuck", True)


def test_a_healthy_cluster_has_no_problems() -> None:
    """Nor has one of which nobody told whether it writes through."""
    assert problems_of(HEALTHY, HEALTHY) == []
    assert problems_of(with_first(syncs=None), HEALTHY) == []
    assert not needs_another_look(HEALTHY)


@pytest.mark.parametrize("code", SICK)
def test_each_condition_is_found(code: str) -> None:
    """It has a code for programs, and a sentence that says what to do."""
    view, words = SICK[code]

    (problem,) = problems_of(view, view)

    assert problem.code == code
    assert words in problem.detail


def test_a_copy_that_catches_up_is_not_stuck() -> None:
    """Only who looks twice can tell."""
    before = with_copy(current=False, lag=7)

    assert needs_another_look(before)
    assert problems_of(with_copy(current=False, lag=3), before) == []
    assert problems_of(with_copy(current=False, lag=7), HEALTHY) == []


def test_copies_of_a_server_that_does_not_answer_are_not_stuck() -> None:
    """It is to be started, and its data kept; until the others have noticed, its copies stand still, too."""
    dead = replace(HEALTHY.servers[1], name="", problem="does not answer")
    sick = with_copy(current=False, lag=7)
    view = replace(sick, servers=(HEALTHY.servers[0], dead, HEALTHY.servers[2]))
    other = replace(COPIES[1], current=False, lag=7)
    both = replace(view, streams=(replace(STREAMS[0], replicas=(view.streams[0].replicas[0], other)), *STREAMS[1:]))

    assert [one.code for one in problems_of(view, view)] == ["cluster_server_away"]
    assert [one.code for one in problems_of(both, both)] == ["cluster_server_away", "cluster_copy_stuck"]


def test_all_copies_of_a_server_that_are_stuck_are_told_at_once() -> None:
    """With what to do, which is the same for all of them."""
    sick = replace(COPIES[0], current=False, lag=1)
    view = replace(HEALTHY, streams=tuple(replace(one, replicas=(sick, COPIES[1])) for one in STREAMS))

    (problem,) = problems_of(view, view)

    assert "JOBS (1 message), ENDS (1 message), LEDGER (1 message); if it stays so" in problem.detail


def test_a_server_without_majority_is_not_to_be_started() -> None:
    """It runs; the others are missing."""
    (problem,) = problems_of(with_first(problem=NO_JETSTREAM), HEALTHY)

    start = "start those that are away: most must be there; if a disk is full, make room and restart its server"
    assert problem.detail == f"nats://a:4222: {NO_JETSTREAM}; {start}"


def test_a_leader_that_was_there_a_moment_ago_is_not_missed() -> None:
    """Another one takes over within two seconds."""
    assert problems_of(replace(HEALTHY, leads=None), HEALTHY) == []


def test_each_number_is_told_under_its_name() -> None:
    """With the labels of what it is of."""
    metrics = {one.name: one.samples for one in metrics_of(HEALTHY)}

    assert list(metrics) == list(HELP)
    assert len(metrics["variantbus_cluster_replica_lag"]) == 6
    assert metrics["variantbus_cluster_consumer_pending"][0].value == 3


def test_a_cluster_that_does_not_answer_says_so_first() -> None:
    """Also where servers answer that are too few for JetStream."""
    for problem, words in {"does not answer": "answers", NO_JETSTREAM: "has a JetStream that answers"}.items():
        view = View(servers=tuple(replace(one, problem=problem) for one in HEALTHY.servers))

        first, *others = problems_of(view, view)

        assert (first.code, first.detail) == (NOT_ANSWERING, f"no server of the cluster {words}")
        assert {one.code for one in others} == {"cluster_server_away"}
