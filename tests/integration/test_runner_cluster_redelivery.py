"""Jobs of a cluster that are delivered more than once, and ends that it has lost."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bus.cluster import jobs, names, streams
from bus.cluster.messages import RepeatRequest, encode
from bus.contracts.pipeline_specs import StageSpec
from bus.eventlog.errors import StorageError
from tests.support.cluster_runners import SECONDS, Cluster, gated, subject_of
from tests.support.factories import context
from tests.support.helpers import TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers

ACK_SECONDS = 1.0


@pytest.fixture
def cluster(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    nats: NatsServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cluster]:
    """Return a cluster that gives a job to another runner after a second."""
    monkeypatch.setattr(streams, "ACK_SECONDS", ACK_SECONDS * TIME_FACTOR)
    cluster = Cluster(nats, tmp_path)
    yield cluster
    cluster.close()


def test_a_job_of_a_silent_runner_is_done_by_another_one_and_counts_once(cluster: Cluster) -> None:
    """The first one is not heard of for as long as a paused machine; its result comes too late."""
    silent = cluster.runner(is_open=False)
    cluster.publish(gated("job"))
    wait_until(lambda: silent.gated.ran, what="a job that runs")
    other = cluster.runner()
    assert cluster.ended("job").result.success
    assert other.gated.ran == ["job"]
    assert other.metric("redelivered_total") >= 1
    silent.gated.is_open = True
    wait_until(lambda: silent.metric("ends_fenced_total") == 1, what="a fenced end")
    cluster.wait_until_empty()
    assert cluster.count(names.ENDS) == 1


def test_a_runner_that_is_heard_of_keeps_its_jobs(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they take."""
    silence = 2 * ACK_SECONDS * TIME_FACTOR  # that is taken for the runner's death
    monkeypatch.setattr(streams, "ACK_SECONDS", silence)
    monkeypatch.setattr("pipeline_runner.cluster.keeper.BEAT_SECONDS", silence / 20)
    runners = [cluster.runner(is_open=False) for _ in range(2)]

    def ran() -> list[str]:
        return [job_id for one in runners for job_id in one.gated.ran]

    cluster.publish(gated("job"))
    wait_until(ran, what="a job that runs")
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 1.5 * silence, SECONDS, what="the end of a long time")
    cluster.publish(gated("next"))  # behind those that are delivered again
    wait_until(lambda: len(ran()) > 1, what="a job at the other one")
    for one in runners:
        one.gated.is_open = True
    assert cluster.ended("job").result.success
    assert cluster.ended("next").result.success
    assert ran() in (["job", "next"], ["next", "job"])


def test_a_job_that_is_here_already_is_not_run_twice(cluster: Cluster) -> None:
    """A delivery that comes again only says where the acknowledgement goes."""
    runner = cluster.runner(workers=2, is_open=False)
    cluster.publish(gated("job"))
    wait_until(lambda: runner.metric("redelivered_total") > 0, SECONDS, what="another delivery")
    assert runner.metric("tickets") == 1
    runner.gated.is_open = True
    cluster.ended("job")
    cluster.wait_until_empty()
    assert runner.gated.ran == ["job"]


def test_a_job_that_four_have_taken_and_nobody_has_ended_fails(cluster: Cluster) -> None:
    """It would be the end of all runners."""
    cluster.publish(gated("deadly"))
    client = cluster.client.connection.client
    for count in range(1, 5):
        found: list[jobs.Delivery] = []

        def is_given(found: list[jobs.Delivery] = found) -> bool:
            found += cluster.run(jobs.fetch(client, cluster.js, "gated", 1))
            return bool(found)

        wait_until(is_given, what=f"delivery {count}")
        assert found[0].deliveries == count
    runner = cluster.runner()
    error = cluster.ended("deadly").result.error
    assert error
    assert (error.kind, "each of the 4 runners" in error.message) == ("crashed", True)
    cluster.wait_until_empty()
    assert runner.gated.ran == []


def test_an_answer_of_nats_among_the_jobs_is_removed(cluster: Cluster) -> None:
    """Whoever may ask can have one put there; it is no job that somebody could do one day."""
    cluster.client.have_answers_at(names.job_subject("gated", "normal", "none"), names.JOBS)
    runner = cluster.runner()
    cluster.wait_until_empty()
    assert (runner.gated.ran, cluster.count(names.ENDS)) == ([], 0)


@pytest.mark.exhaustive
def test_a_job_that_no_runner_can_do_is_left_to_others_before_it_fails(cluster: Cluster) -> None:
    """The last sentence of refusal is its error."""
    runner = cluster.runner()
    cluster.publish(gated("strange", config={"levle": 1}))
    error = cluster.ended("strange").result.error
    assert error
    assert (error.kind, "did you mean 'level'" in error.message) == ("invalid_request", True)
    assert runner.metric("redelivered_total") == 3
    assert runner.gated.ran == []


def test_a_job_whose_server_has_just_gone_is_left_to_others(cluster: Cluster) -> None:
    """It does not fail for that."""
    runner = cluster.runner()
    stages = runner.thread.service._stages
    away, known = {"run": StageSpec(unavailable="gated: away")}, stages["gated"]
    runner.thread.call(lambda: stages.update(gated=away))
    cluster.publish(gated("job"))
    wait_until(lambda: runner.metric("redelivered_total") > 0, SECONDS, what="another delivery")
    runner.thread.call(lambda: stages.update(gated=known))
    assert cluster.ended("job").result.success


@pytest.mark.exhaustive
def test_a_runner_without_room_on_its_disk_lets_no_job_fail(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fetch each job again and again, until that counts as one that kills all runners."""
    runner, tries = cluster.runner(), list[float]()

    def full(**_: object) -> None:
        tries.append(time.monotonic())
        raise StorageError("no room")

    cluster.publish(gated("before"))
    assert cluster.ended("before").result.success
    with monkeypatch.context() as patch:
        runner.thread.call(lambda: patch.setattr(runner.thread.log, "transaction", full))
        cluster.publish(gated("job"))
        long = 6 * ACK_SECONDS * TIME_FACTOR  # in which it would be delivered more than five times
        wait_until(lambda: tries and tries[-1] - tries[0] > long, SECONDS, what="looks for room")
    assert cluster.ended("job").result.success
    assert runner.metric("redelivered_total") == 1


def test_what_the_client_raises_in_surprise_ends_no_runner(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on when that is over."""
    tried: list[object] = []

    async def broken(*arguments: object) -> None:
        tried.append(arguments)
        raise AttributeError("'NoneType' object has no attribute 'write'")

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "fetch", broken)
        cluster.runner()
        cluster.publish(gated("job"))
        wait_until(lambda: tried, what="a surprise")
    assert cluster.ended("job").result.success


def test_what_is_no_job_is_left_alone(cluster: Cluster) -> None:
    """The next one runs."""
    cluster.run(cluster.js.publish(names.job_subject("gated", "high", "x"), b"no job"))
    alone = msgspec.structs.replace(gated("alone"), learning_context=None)
    runner = cluster.runner()
    cluster.publish(alone, gated("next"))
    assert cluster.ended("next").result.success
    assert runner.gated.ran == ["next"]
    wait_until(lambda: cluster.count(names.JOBS) == 2, what="an acknowledged job")


def test_ends_that_the_cluster_has_lost_are_published_again(cluster: Cluster) -> None:
    """With the numbers that they had; those that are there are left alone."""
    runner = cluster.runner()
    mine = [gated(f"job-{number}", context(number)) for number in range(3)]
    cluster.publish(*mine)
    for one in mine:
        cluster.ended(one.job_id)
    wait_until(lambda: runner.metric("tickets") == 0, what="no tickets")
    stored = [cluster.end_of(one.job_id) for one in mine]
    for lost in stored[1:]:
        assert lost
        cluster.run(cluster.js.delete_msg(names.ENDS, lost.sequence))
    assert cluster.end_of("job-1") is None
    first = stored[0]
    assert first
    request = RepeatRequest(epoch=first.end.epoch, number=1)
    cluster.tell(names.REPEAT + runner.name, encode(request))
    for one, before in zip(mine, stored, strict=True):
        cluster.ended(one.job_id)
        again = cluster.end_of(one.job_id)
        assert again
        assert before
        assert (again.end.number, again.end.run, again.end.body) == (
            before.end.number,
            before.end.run,
            before.end.body,
        )
    assert runner.gated.ran == ["job-0", "job-1", "job-2"]


def test_a_job_that_comes_again_after_its_end_was_lost_is_not_run_again(cluster: Cluster) -> None:
    """Its end is published once more."""
    runner = cluster.runner()
    job = gated("job")
    cluster.publish(job)
    cluster.ended("job")
    cluster.wait_until_empty()
    wait_until(lambda: runner.metric("tickets") == 0, what="no tickets")
    cluster.run(cluster.js.purge_stream(names.ENDS, subject=subject_of(job)))
    cluster.publish(job)
    assert cluster.ended("job").result.success
    cluster.wait_until_empty()
    assert runner.gated.ran == ["job"]


@pytest.mark.exhaustive
def test_runners_go_on_whichever_server_dies(
    no_leaks: None,  # noqa: ARG001 - it looks after us
    nats_cluster: NatsServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of three, first the one that leads the jobs, then the one that leads their ends.

    What a server has sent when it dies, or is sent to who is just not connected, is delivered again later.
    """
    monkeypatch.setattr(streams, "ACK_SECONDS", 5 * ACK_SECONDS * TIME_FACTOR)
    cluster = Cluster(nats_cluster, tmp_path)
    try:
        runners = [cluster.runner(workers=2) for _ in range(2)]
        mine = [gated(f"job-{number}", context(number % 3)) for number in range(30)]
        for stream, some in ((names.JOBS, mine[:15]), (names.ENDS, mine[15:])):
            leader = nats_cluster.leader_of(stream)
            assert leader
            cluster.publish(*some)
            leader.kill()
            for one in some:
                cluster.ended(one.job_id)
            nats_cluster.heal()
            nats_cluster.wait_healthy()
        cluster.wait_until_empty()
        assert cluster.count(names.ENDS) == len(mine)
        assert {name for runner in runners for name in runner.gated.ran} == {one.job_id for one in mine}
    finally:
        cluster.close()


def test_what_nobody_can_read_changes_nothing(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Requests may be of another version."""
    runner = cluster.runner()
    cluster.publish(gated("before"))
    cluster.ended("before")  # it hears what is told from now on
    for subject in (names.CANCEL, names.REPEAT + runner.name, names.WAKE):
        cluster.tell(subject, b"nonsense")
    wait_until(lambda: caplog.text.count("cannot be read") == 2, what="the warnings")
    cluster.publish(gated("job"))
    assert cluster.ended("job").result.success
